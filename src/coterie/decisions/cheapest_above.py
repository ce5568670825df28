"""The cheapest member that is good enough."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from coterie.decisions.ordering import best_first, in_the_dark, priced, without
from coterie.prospects import Choice, Prospect, Prospects


@dataclass(frozen=True)
class CheapestAbove:
    """The cheapest member whose expected quality is above `quality`; where none is, the one that `otherwise` names.

    FORC's thresholding (2308.06077): 0.5, cheapest among several, dearest where none will do. Where the chosen one
    fails, the others that are good enough come first.
    """

    quality: float = 0.5
    """On the router's scale."""
    otherwise: Literal["dearest", "best", "cheapest"] = "dearest"
    several: Literal["cheapest", "dearest"] = "cheapest"

    def choose(self, prospects: Prospects, _rng: random.Random) -> Choice:
        if dark := in_the_dark(prospects):
            return dark
        weighed = priced(prospects)
        enough = [prospect for prospect in weighed if _quality(prospect) > self.quality]
        if enough:
            sign = -1.0 if self.several == "cheapest" else 1.0
            score = {prospect.member: sign * _cost(prospect) for prospect in enough}
            first = best_first(prospects, score)[: len(enough)]
            said = (
                f"{first[0]} is the {self.several} of {len(enough)} with an expected quality above {self.quality:.4g}"
            )
        else:
            first = ()
            said = f"none is expected to be above {self.quality:.4g}, so the {self.otherwise} one answers"
        rest = best_first(prospects, {prospect.member: self._else(prospect) for prospect in weighed})
        known = {prospect.member for prospect in weighed}
        others = [prospect.member for prospect in prospects.members if prospect.member not in known]
        return Choice((*first, *(member for member in rest if member not in first)), said + without(others))

    def _else(self, prospect: Prospect) -> float:
        match self.otherwise:
            case "dearest":
                return _cost(prospect)
            case "cheapest":
                return -_cost(prospect)
            case "best":
                return _quality(prospect)


def _quality(prospect: Prospect) -> float:
    assert prospect.quality is not None  # noqa: S101 - `priced` has looked
    return prospect.quality


def _cost(prospect: Prospect) -> float:
    assert prospect.cost_usd is not None  # noqa: S101 - `priced` has looked
    return prospect.cost_usd
