"""How often each member's answers won under each reviewer: all that the weights are learned from."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from coterie.reviewers.reviews import Review

Divisor = Literal["battles", "weights"]
"""What a weighted sum of wins is divided by: the number of battles, as published, or the sum of their weights."""

_Counts = Mapping[str, Mapping[str, float]]
"""By author, then by reviewer."""


@dataclass(frozen=True)
class Tally:
    """Battles, summed up."""

    won: _Counts
    """Ties count half."""
    fought: _Counts
    reviews: Mapping[str, int]
    """By reviewer."""

    @classmethod
    def of(cls, reviews: Iterable[Review]) -> Tally:
        won: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        fought: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        made: defaultdict[str, int] = defaultdict(int)
        for review in reviews:
            made[review.reviewer] += 1
            for battle in review.battles:
                for author, share in ((battle.a, (1 + battle.score) / 2), (battle.b, (1 - battle.score) / 2)):
                    won[author][review.reviewer] += share
                    fought[author][review.reviewer] += 1
        return cls(
            {author: dict(won[author]) for author in sorted(won)},
            {author: dict(fought[author]) for author in sorted(fought)},
            {reviewer: made[reviewer] for reviewer in sorted(made)},
        )

    @property
    def peers(self) -> tuple[str, ...]:
        """Reviewers whose own answers were reviewed."""
        return tuple(reviewer for reviewer in self.reviews if reviewer in self.fought)

    def win_rate(self, author: str, weights: Mapping[str, float], divisor: Divisor) -> float | None:
        """The wins of an author's answers by their reviewers' weights, over `divisor`; ``None`` without a battle.

        Where all who reviewed it weigh nothing, they weigh alike.
        """
        fought = self.fought.get(author)
        if not fought:
            return None
        weight = {reviewer: weights.get(reviewer, 0.0) for reviewer in fought}
        if not any(weight.values()):
            weight = dict.fromkeys(fought, 1.0)
        won = math.fsum(weight[reviewer] * share for reviewer, share in self.won[author].items())
        counted = (number * (weight[r] if divisor == "weights" else 1.0) for r, number in fought.items())
        return won / math.fsum(counted)
