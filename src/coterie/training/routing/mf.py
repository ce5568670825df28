"""Training RouteLLM's matrix factorisation (2406.18665, section 4.2; settings as in its script).

The model has three arrays and its gradient is four products, so it is trained with NumPy alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch

if TYPE_CHECKING:
    from coterie.routers.comparisons import Comparisons
    from coterie.routers.mf import MFRouter
    from coterie.training.routing.factors import Factors

Ties = Literal["dropped", "half"]


@dataclass(frozen=True)
class MFRecipe:
    """Learns from battles; of outcomes, all pairs of members that answered a prompt are battles, equal scores ties.

    As in RouteLLM's script, but for ties and the bias, which can be had as there: `ties="dropped", bias=False`.
    docs/routers-ranking.md says why.
    """

    kind: ClassVar[str] = "mf"
    reads: ClassVar[Reads] = "vectors"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes", "battles"})

    dimensions: int = 128
    """Of the space that members and queries are brought into."""
    epochs: int = 10
    """The paper's "about 10"; the script has 100."""
    batch: int = 64
    learning_rate: float = 3e-4
    weight_decay: float = 1e-5
    noise: float = 0.1
    """Standard deviation of what is added to each number of a query's vector while training."""
    held_back: float = 0.05
    """The share of prompts that tells which epoch is kept: the one of the least loss, without noise. RouteLLM keeps
    the last, and splits battles, so that two over one prompt can stand on both sides."""
    ties: Ties = "half"
    """A tie is half a win of each, so that log-odds grow with the difference to be expected; or left out."""
    bias: bool = True
    """Score W1 query + b, as the paper's formula does; the code and the published weights have no b."""
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("dimensions", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if not 0.0 <= self.held_back < 1.0:
            raise ConfigError(f"held_back is a share of the prompts below 1, not {self.held_back!r}")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> MFRouter:
        """The factors of the best epoch. Raises `ConfigError` where no battle was won."""
        import numpy as np

        from coterie.routers.comparisons import comparisons_of
        from coterie.routers.mf import MFRouter

        told = comparisons_of(lessons, vectors)
        decided = told.where(told.result != 0.5)
        if not len(decided):
            raise ConfigError(f"all {len(told)} battles are ties, so there is nothing to tell members apart by")
        battles = told if self.ties == "half" else decided
        # With a bias it is the same formula for queries less their mean, which say more by what they do not share.
        mean = battles.vectors.mean(axis=0) if self.bias else np.zeros_like(battles.vectors[0])
        factors = self._best(replace(battles, vectors=battles.vectors - mean), watch)
        bias = factors.bias - factors.projection @ mean if self.bias else None
        compared = np.isin(np.arange(len(told.members)), [battles.first, battles.second])
        members = np.where(compared[:, None], factors.members, np.float32(np.nan))
        return MFRouter(told.members, members, factors.projection, factors.classifier, bias)

    def _best(self, battles: Comparisons, watch: Watch) -> Factors:
        """The factors after the epoch with the least loss on held-back prompts; the last ones where none are held."""
        return min(self._epochs(battles, watch), key=lambda epoch: epoch[0])[1]

    def _epochs(self, battles: Comparisons, watch: Watch) -> Iterator[tuple[float, Factors]]:
        """After each epoch, what is least for the best one, and the factors as they were."""
        import numpy as np

        from coterie.training.routing.factors import accuracy, epochs, loss, split

        rng = np.random.default_rng(self.seed)
        training, held_back = split(battles, self.held_back, rng)
        for n, factors in enumerate(epochs(training, self, rng), 1):
            logits = factors.logits(held_back)
            watch(f"epochs, held-back pair accuracy {accuracy(logits, held_back.result):.3f}", n, self.epochs)
            yield loss(logits, held_back.result) if len(held_back) else -float(n), factors.copy()
