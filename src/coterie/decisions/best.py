"""The best member, whatever it costs."""

from __future__ import annotations

import random
from dataclasses import dataclass

from coterie.decisions.ordering import best_first, in_the_dark, qualities
from coterie.prospects import Choice, Prospects


@dataclass(frozen=True)
class Best:
    """The member of highest expected quality; members that the router does not know come last, in pool order.

    FORC's "performance maximizing" (2308.06077).
    """

    def choose(self, prospects: Prospects, _rng: random.Random) -> Choice:
        if dark := in_the_dark(prospects):
            return dark
        known = qualities(prospects)
        order = best_first(prospects, known)
        return Choice(order, f"{order[0]} has the highest expected quality, {known[order[0]]:.4g}")
