"""A threshold between cheap and dear: RouteLLM's and Hybrid LLM's rule, for any number of members."""

from __future__ import annotations

import random
from dataclasses import dataclass

from coterie.decisions.ordering import costs, in_the_dark, qualities, without
from coterie.errors import ConfigError
from coterie.prospects import Choice, Prospects


@dataclass(frozen=True)
class Threshold:
    """The cheapest member to which no dearer one is preferred with at least `at`.

    For two members it is RouteLLM's rule (2406.18665, section 2): the strong one if and only if its win rate is at
    least `at`. What is preferred how much is told by the router's scale (`Scale.preference`). Where the chosen one
    fails, dearer ones are asked first.
    """

    at: float = 0.5
    """In [0, 1]: 0 always takes the dearest, anything above 1 the cheapest."""
    order: tuple[str, ...] = ()
    """Members from cheap to dear; by expected cost where left out."""

    def __post_init__(self) -> None:
        if not self.at >= 0:
            raise ValueError(f"at is a win rate, 0 or more, not {self.at!r}")
        if len(set(self.order)) < len(self.order):
            raise ValueError(f"order takes each member once, unlike {self.order!r}")

    def choose(self, prospects: Prospects, _rng: random.Random) -> Choice:
        if dark := in_the_dark(prospects):
            return dark
        known = qualities(prospects)
        steps = [member for member in self._cheap_to_dear(prospects) if member in known]
        pool = [prospect.member for prospect in prospects.members]
        if not steps:
            return Choice(tuple(pool), "of nobody are both quality and cost known, so the pool's order decides")
        place, said = self._place(steps, known, prospects)
        order = (*steps[place:], *reversed(steps[:place]))
        others = tuple(member for member in pool if member not in steps)
        return Choice((*order, *others), said + without(others))

    def _place(self, steps: list[str], known: dict[str, float], prospects: Prospects) -> tuple[int, str]:
        """Where among `steps` to stop, and why."""
        last = "it is the only one that is known"
        for place, member in enumerate(steps):
            dearer = {other: prospects.scale.preference(known[other], known[member]) for other in steps[place + 1 :]}
            rival = max(dearer, key=dearer.__getitem__, default=None)
            if rival is None:
                return place, f"{member}: {last}"
            if dearer[rival] < self.at:
                return place, f"{member}: {rival} would be preferred with {dearer[rival]:.4g} < {self.at:.4g}"
            last = f"preferred to {member} with {self.at:.4g} or more ({rival}: {dearer[rival]:.4g})"
        raise AssertionError(steps)  # the dearest has no rival

    def _cheap_to_dear(self, prospects: Prospects) -> list[str]:
        names = [prospect.member for prospect in prospects.members]
        if self.order:
            return [member for member in self.order if member in names]
        known = costs(prospects.members)
        if len(names) > 1 and len(known) < 2:
            raise ConfigError(
                f"which of {names!r} is cheap and which is dear cannot be told, for their costs are unknown: "
                "name them from cheap to dear in `order`, or give the members a price"
            )
        return sorted(known, key=known.__getitem__)
