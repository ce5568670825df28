"""RouteLLM's BERT classifier: the strong member wins, a tie, the weak one wins (2406.18665, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from coterie.errors import ConfigError
from coterie.prospects import Scale
from coterie.routers.against import others, qualities
from coterie.routers.classifier import WEIGHTS, TextClassifier, opened
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.reference import reference_of
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABELS = 3
"""0: the strong member wins, 1: a tie, 2: the weak one wins."""


@dataclass(frozen=True, eq=False)
class BertRouter:
    """Three labels for each member but the reference, which is the strong one: softmax among the three.

    The strong member's win rate is the first label's probability, 1 - (p1 + p2): a tie counts for the weak one. Of two
    members the strong one has the quality p0 and the weak one 1 - p0, which is RouteLLM's router exactly. Of more,
    each is compared with the reference alone. One forward a query, whatever the number of members.
    """

    kind: ClassVar[str] = "bert"
    scale: ClassVar[Scale] = Scale.SCORE
    reads: ClassVar[Reads] = "texts"

    members: tuple[str, ...]
    reference: str
    """The strong member."""
    classifier: TextClassifier

    @classmethod
    def published(cls, name: str, strong: str, weak: str, max_tokens: int = 512) -> BertRouter:
        """RouteLLM's published layout, a sequence classifier with three labels, in a folder or under a hub name.

        Raises `ConfigError` where it cannot be had or has other labels, `MissingExtra`.
        """
        if strong == weak:
            raise ConfigError(f"a router is between two members, and not {strong!r} and itself")
        return cls((strong, weak), strong, TextClassifier.load(name, LABELS, max_tokens))

    def forecast(self, queries: Queries) -> Forecast:
        return Forecast(qualities(1.0 - self._labels(queries)[..., 0], self.members.index(self.reference)))

    def settings(self) -> Mapping[str, Json]:
        return {"reference": self.reference, **self.classifier.settings()}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def save(self, folder: Path) -> None:
        """Afterwards the artifact's `folder` holds the weights."""
        self.classifier.save(folder / WEIGHTS)

    @classmethod
    def load(cls, kept: Kept) -> BertRouter:
        """The router that was saved. Raises `ConfigError`, `MissingExtra`."""
        reference = reference_of(kept)
        return cls(kept.members, reference, opened(kept, LABELS * len(others(kept.members, reference))))

    def _labels(self, queries: Queries) -> NDArray[np.float64]:
        """Probabilities, (queries, members but the reference, labels)."""
        import numpy as np

        logits = self.classifier.logits(self.classifier.reader.rows(queries.texts))
        logits = logits.reshape(len(queries), -1, LABELS)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
        return shares
