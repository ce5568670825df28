"""The best that a budget allows."""

from __future__ import annotations

import random
from dataclasses import dataclass

from coterie.decisions.ordering import best_first, in_the_dark, priced, without
from coterie.prospects import Choice, Prospects


@dataclass(frozen=True)
class Budget:
    """The member of highest expected quality among those expected to cost at most `usd`; else the cheapest one.

    Eagle's rule (2409.15518): the highest score within the user's budget. It bounds each request by itself; a budget
    for many at once is what `assignment` is for.
    """

    usd: float
    """USD for one request."""

    def __post_init__(self) -> None:
        if not self.usd >= 0:
            raise ValueError(f"usd is 0 or more, not {self.usd!r}")

    def choose(self, prospects: Prospects, _rng: random.Random) -> Choice:
        if dark := in_the_dark(prospects):
            return dark
        weighed = priced(prospects)
        costs = {prospect.member: prospect.cost_usd or 0.0 for prospect in weighed}
        within = {p.member: p.quality or 0.0 for p in weighed if costs[p.member] <= self.usd}
        first = best_first(prospects, within)[: len(within)]
        cheap = best_first(prospects, {member: -cost for member, cost in costs.items()})
        order = (*first, *(member for member in cheap if member not in first))
        others = [prospect.member for prospect in prospects.members if prospect.member not in costs]
        said = f"{order[0]} is the best of {len(within)} within {self.usd:.3g} USD"
        if not within:
            said = f"nobody is within {self.usd:.3g} USD, so {order[0]}, the cheapest, answers"
        return Choice(order, said + without(others))
