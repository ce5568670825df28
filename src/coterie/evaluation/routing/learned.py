"""How a router's headline figure grows with the prompts that it learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie.evaluation.significance import Estimate

PAPERS_LABELS = 1_500
"""The gold labels that RouteLLM's routers were trained on beside battles (2406.18665, section 4.1)."""

DEFAULT_SIZES = (100, 250, 500, 1_000, PAPERS_LABELS, 3_000, 6_000)


@dataclass(frozen=True)
class Learned:
    """Figures by the number of prompts learned from, the last one being all there are."""

    figures: Mapping[str, Mapping[int, Estimate]]
    """Of each router, by the mean number of prompts over the folds."""

    @property
    def sizes(self) -> Sequence[int]:
        return sorted({size for of in self.figures.values() for size in of})
