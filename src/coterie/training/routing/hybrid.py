"""Training Hybrid LLM's routers (2404.14618, section 3; defaults from the authors' released script)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.routers.against import others
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch
from coterie.routers.hybrid import HybridRouter
from coterie.training.routing.gaps import EXACT, Gap, best_shift, mean_difference, of_answers, of_shares
from coterie.training.routing.text_lessons import Taught, outcomes_of, strongest, teach, untrained
from coterie.training.routing.text_settings import TextTraining
from coterie.training.settings import Optimizer
from coterie.types import Json

Labels = Literal["det", "prob", "trans"]
"""r_det: one answer each, y is 0 or 1; r_prob: Pr[H >= 0]; r_trans: Pr[H >= -t] with the t that tells most."""


@dataclass(frozen=True)
class HybridRecipe(TextTraining):
    """How likely is a small member's answer as good as the large one's? Any scores that can be compared.

    Probabilities come from several answers to a prompt (`Outcomes.samples`, every one against every one), from scores
    that are shares right of `answers` answers, or else from the single scores, where they are 0 or 1. The paper's base
    is DeBERTa-v3-large, read at a piece of its own; here it is the base's own first piece. One output with a sigmoid
    stands for the reference's two with a softmax. With more members than two there is one output for each but the
    reference, as in BEST-Route. The weights with the least held-back loss are kept; the reference takes the best
    rank correlation.
    """

    kind: ClassVar[str] = "hybrid"
    reads: ClassVar[Reads] = "texts"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    labels: Labels = "trans"
    """r_det, r_prob or r_trans."""
    shift: float = 0.0
    """By how much a small member's answer may be worse and still count as equally good: the t of `det` and `prob`."""
    shifts: int = 200
    """So many values of t are tried for `trans`, at most."""
    answers: int | None = None
    """Scores are shares right of so many answers; left out, a score is the quality of one answer."""
    reference: str | None = None
    """The large member; left out, the one with the highest mean score, of equals the dearest."""
    max_tokens: int = 128
    epochs: int = 5
    learning_rate: float = 1e-5
    warm_up: float = 0.05
    weight_decay: float = 0.1
    optimizer: Optimizer = "adafactor"
    batch: int = 8
    accumulate: int = 16
    drop_out: float | None = 0.05
    seed: int = 42

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels not in ("det", "prob", "trans"):
            raise ConfigError(f"labels are 'det', 'prob' or 'trans', not {self.labels!r}")
        if self.shifts < 1 or (self.answers is not None and self.answers < 1):
            raise ConfigError(f"shifts and answers are at least 1, not {self.shifts!r} and {self.answers!r}")
        if not 0 <= self.shift < math.inf:
            raise ConfigError(f"shift is at least 0, not {self.shift!r}")
        if self.shift and self.labels == "trans":
            raise ConfigError("a shift is given for 'det' and 'prob'; 'trans' finds its own")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> HybridRouter:  # noqa: ARG002
        """The classifier with the least loss on held-back prompts.

        Warns where r_trans is r_prob. Raises `ConfigError` where all prompts would be labelled alike, `MissingExtra`.
        """
        outcomes = outcomes_of(lessons, self.kind)
        large = strongest(outcomes, self.reference)
        small = others(outcomes.members, large)
        made = {member: self.of_member(outcomes, member, large) for member in small}
        from coterie.training.routing.text_rows import each_alone

        classifier = untrained(self, len(small))
        rows = classifier.reader.rows(outcomes.prompts)
        targets = zip(*(labelled.labels for labelled in made.values()), strict=True)
        known = [Taught(*one) for one in zip(outcomes.prompts, rows, targets, strict=True)]
        teach(classifier, known, each_alone, self, (self.kind, watch))
        how: dict[str, Json] = {
            "kind": self.labels,
            "shift": {member: made[member].shift for member in small},
            "collapsed": [member for member in small if made[member].collapsed],
        }
        return HybridRouter(outcomes.members, large, classifier, how)

    def of_member(self, outcomes: Outcomes, small: str, large: str) -> Labelled:
        """How the prompts are labelled for that pair. Raises `ConfigError` where all are labelled alike."""
        gaps = list(self._gaps(outcomes, outcomes.members.index(small), outcomes.members.index(large)))
        there = [gap for gap in gaps if gap is not None]
        if not there:
            raise ConfigError(f"no prompt has scores of both {small!r} and {large!r}")
        shift, collapsed = self.shift, False
        if self.labels == "trans":
            found = best_shift(there, self.shifts)
            shift, collapsed = found.t, found.collapsed
        if collapsed:
            warnings.warn(_collapsed(small, large), stacklevel=3)
        labels = [math.nan if gap is None else gap.within(shift) for gap in gaps]
        known = [label for label in labels if not math.isnan(label)]
        if mean_difference(known) <= EXACT:
            raise ConfigError(
                f"every prompt is labelled {known[0]:.3g} for {small!r} against {large!r}, so there is nothing to learn"
            )
        return Labelled(labels, shift, collapsed)

    def _gaps(self, outcomes: Outcomes, small: int, large: int) -> Sequence[Gap | None]:
        scores = outcomes.scores[:, [small, large]].tolist()
        if not outcomes.samples:
            return [self._gap(*pair) for pair in scores]
        answers = ((row[small], row[large]) for row in outcomes.samples)
        return [self._of_several(*of) or self._gap(*pair) for pair, of in zip(scores, answers, strict=True)]

    def _of_several(self, small: Sequence[float], large: Sequence[float]) -> Gap | None:
        if not (small and large):
            return None
        return of_answers(small[:1], large[:1]) if self.labels == "det" else of_answers(small, large)

    def _gap(self, small: float, large: float) -> Gap | None:
        if math.isnan(small) or math.isnan(large):
            return None
        if self.answers is not None and self.labels != "det":
            return of_shares(small, large, self.answers)
        return of_answers((small,), (large,))


@dataclass(frozen=True)
class Labelled:
    """The prompts of one pair of members."""

    labels: Sequence[float]
    """How likely the small member's answer is good enough; NaN where nothing is known."""
    shift: float
    collapsed: bool = False
    """True where r_trans is r_prob."""


def _collapsed(small: str, large: str) -> str:
    return (
        f"r_trans is r_prob for {small!r} against {large!r}: no shift of the quality tells prompts apart better than "
        "none, as wherever an answer is right or wrong; it needs graded scores"
    )
