"""Quality against money, at a price."""

from __future__ import annotations

import random
from dataclasses import dataclass

from coterie.decisions.ordering import best_first, in_the_dark, priced, without
from coterie.prospects import Choice, Prospects


@dataclass(frozen=True)
class Utility:
    """The member with the highest `quality - per_usd * cost_usd`.

    `per_usd` is what one dollar is worth in quality: 1 / willingness to pay (RouterBench, 2403.12031), FORC's
    trade-off (2308.06077). 0 is `best` among the members whose cost is known.
    """

    per_usd: float

    def __post_init__(self) -> None:
        if not self.per_usd >= 0:
            raise ValueError(f"per_usd is 0 or more, not {self.per_usd!r}")

    def choose(self, prospects: Prospects, _rng: random.Random) -> Choice:
        if dark := in_the_dark(prospects):
            return dark
        weighed = priced(prospects)
        worth = {p.member: (p.quality or 0.0) - self.per_usd * (p.cost_usd or 0.0) for p in weighed}
        order = best_first(prospects, worth)
        chosen = prospects.of(order[0])
        others = [prospect.member for prospect in prospects.members if prospect.member not in worth]
        return Choice(
            order,
            f"{order[0]}: quality {chosen.quality:.4g} less {self.per_usd:.4g} times {chosen.cost_usd:.3g} USD "
            f"is the most, {worth[order[0]]:.4g}{without(others)}",
        )
