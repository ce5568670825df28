"""Hybrid LLM: how likely a smaller member is as good as the large one, told from the query (2404.14618)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from coterie.prospects import Scale
from coterie.routers.against import others, qualities
from coterie.routers.classifier import WEIGHTS, TextClassifier, opened
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.reference import reference_of
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class HybridRouter:
    """One output for each member but the reference: p, high where its answer will be as good (section 3).

    Of two members the small one has the quality p and the large one 1 - p, so that the paper's rule, small where p is
    at least a threshold, is a threshold on the preference. Of more, each is compared with the reference alone, as
    BEST-Route does. One forward a query, whatever the number of members.
    """

    kind: ClassVar[str] = "hybrid"
    scale: ClassVar[Scale] = Scale.SCORE
    reads: ClassVar[Reads] = "texts"

    members: tuple[str, ...]
    reference: str
    """The large member."""
    classifier: TextClassifier
    labels: Mapping[str, Json] = field(default_factory=dict)
    """How it was taught: the labels' kind, and for each member the shift t that they were made with."""

    def forecast(self, queries: Queries) -> Forecast:
        import numpy as np

        logits = self.classifier.logits(self.classifier.reader.rows(queries.texts))
        chances = 1.0 / (1.0 + np.exp(-logits))
        return Forecast(qualities(chances, self.members.index(self.reference)))

    def settings(self) -> Mapping[str, Json]:
        return {"reference": self.reference, "labels": dict(self.labels), **self.classifier.settings()}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def save(self, folder: Path) -> None:
        """Afterwards the artifact's `folder` holds the weights."""
        self.classifier.save(folder / WEIGHTS)

    @classmethod
    def load(cls, kept: Kept) -> HybridRouter:
        """The router that was saved. Raises `ConfigError`, `MissingExtra`."""
        reference = reference_of(kept)
        classifier = opened(kept, len(others(kept.members, reference)))
        labels = kept.settings.get("labels")
        return cls(kept.members, reference, classifier, labels if isinstance(labels, dict) else {})
