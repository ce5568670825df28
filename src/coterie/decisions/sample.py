"""Drawing members by weight."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from coterie.decisions.ordering import in_the_dark
from coterie.prospects import Choice, Prospects, Scale


@dataclass(frozen=True)
class Sample:
    """A member drawn with a probability in proportion to its quality; the others follow in the order of further draws.

    Blending's choice (2401.02994), and how linear reward-inaction acts (PickLLM, 2412.12170): there the qualities are
    weights. On the scales of odds and Elo points it draws in proportion to the odds. Members of whom nothing is known
    are drawn only after all others; where nobody has any weight, all are alike.
    """

    def choose(self, prospects: Prospects, rng: random.Random) -> Choice:
        if dark := in_the_dark(prospects):
            return dark
        left = dict(_weights(prospects))
        drawn: list[str] = []
        probability = 1.0
        while left:
            total = math.fsum(left.values())
            weights = left if total > 0 else dict.fromkeys(left, 1.0)
            [member] = rng.choices(list(weights), weights=list(weights.values()))
            if not drawn:
                probability = weights[member] / math.fsum(weights.values())
            drawn.append(member)
            del left[member]
        others = [prospect.member for prospect in prospects.members if prospect.member not in drawn]
        return Choice((*drawn, *others), f"{drawn[0]} was drawn with probability {probability:.4g}", probability)


def _weights(prospects: Prospects) -> Mapping[str, float]:
    known = {prospect.member: prospect.quality or 0.0 for prospect in prospects.known}
    if not known or prospects.scale is Scale.SCORE:
        return {member: max(0.0, quality) for member, quality in known.items()}
    unit = math.log(10.0) / 400.0 if prospects.scale is Scale.ELO else 1.0
    highest = max(known.values())
    return {member: math.exp((quality - highest) * unit) for member, quality in known.items()}
