"""The upper confidence bound: a member is taken for as good as it may well be."""

from __future__ import annotations

import random
from dataclasses import dataclass

from coterie.decisions.ordering import best_first
from coterie.prospects import Choice, Prospects


@dataclass(frozen=True)
class Optimistic:
    """The member with the highest `quality + alpha * uncertainty`; members of whom nothing is known come first.

    LinUCB's rule, as MetaLLM uses it (2407.10834); 0 explores nothing.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ValueError(f"alpha is 0 or more, not {self.alpha!r}")

    def choose(self, prospects: Prospects, _rng: random.Random) -> Choice:
        bound = {p.member: (p.quality or 0.0) + self.alpha * (p.uncertainty or 0.0) for p in prospects.known}
        unheard = [prospect.member for prospect in prospects.members if prospect.member not in bound]
        if unheard:
            rest = best_first(prospects, bound)[: len(bound)]
            return Choice((*unheard, *rest), f"nothing is known of {', '.join(unheard)}, so that is found out first")
        order = best_first(prospects, bound)
        return Choice(order, f"{order[0]} may be the best: its upper bound is {bound[order[0]]:.4g}")
