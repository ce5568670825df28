"""Copeland: who wins most duels between two, by the majority of the ballots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from coterie.ranking.ballots import ballots
from coterie.ranking.order import by_points
from coterie.types import Judgement, Ranking

LEVEL = 1e-12
"""A lead of less than this share of a duel's votes is none: sums of weights differ in the last bits."""


def copeland(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by duels won plus half the duels drawn, as a share of the duels that were decided by a ballot.

    Two ids duel on every ballot that scores both; the weighted majority of those ballots wins the duel. A
    pair that no ballot compares is no duel, and an id without one stands at 0.5.
    """
    given = ballots(judgements, over)
    won: dict[str, float] = dict.fromkeys(over, 0.0)
    duels: dict[str, int] = dict.fromkeys(over, 0)
    for a, b in combinations(over, 2):
        votes = [(n.scores[a] - n.scores[b], n.weight) for n in given if a in n.scores and b in n.scores]
        if not votes:
            continue
        share = won_by_first([vote(margin) * weight for margin, weight in votes], [weight for _, weight in votes])
        won[a] += share
        won[b] += 1 - share
        duels[a] += 1
        duels[b] += 1
    points = {id_: won[id_] / duels[id_] if duels[id_] else None for id_ in over}
    return by_points(points, over, "copeland", unheard=0.5)


def vote(margin: float) -> int:
    """1 for the first of two, -1 for the second, 0 for neither."""
    return (margin > 0) - (margin < 0)


def won_by_first(votes: Sequence[float], weights: Sequence[float]) -> float:
    """What a duel gives to the first of the two: 1, 0.5 for a draw, or 0."""
    lead = math.fsum(votes)
    return 0.5 if abs(lead) <= LEVEL * math.fsum(weights) else float(lead > 0)
