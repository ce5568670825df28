"""Borda count, as in the thesis "Efficient Blending of Large Language Models" 4.4.1, and normalised."""

from __future__ import annotations

import math
from collections.abc import Sequence

from coterie.ranking.ballots import Ballot, ballots
from coterie.ranking.order import average, by_points, points_of_places
from coterie.types import Judgement, Ranking


def borda(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by the weighted sum of Borda points: of m ids on a ballot the first earns m - 1, the last 0.

    Tied scores on a ballot share the mean of their places; a ballot on a single id ranks nothing and
    is passed over. Faithful to the thesis, which has every source rank every candidate; where ballots
    differ in length or some are missing, the sum favours whoever was judged more often, and
    `normalised_borda` is the rule to use.
    """
    received: dict[str, list[float]] = {id_: [] for id_ in over}
    for ballot in ballots(judgements, over):
        for id_, earned in _points(ballot).items():
            received[id_].append(ballot.weight * earned)
    return by_points({id_: math.fsum(got) if got else None for id_, got in received.items()}, over, "borda")


def normalised_borda(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by mean normalised Borda points, in [0, 1]: the share of its rivals an id beat, averaged over its ballots.

    On a ballot with M ids the place p (0 is best) earns (M - 1 - p) / (M - 1); the average is weighted. A
    ballot on a single id ranks nothing and is passed over. An id that received no ballot stands at 0.5, the
    mean of every ballot, so that a reviewer who does not vote neither favours nor harms anybody.
    """
    received: dict[str, list[tuple[float, float]]] = {id_: [] for id_ in over}
    for ballot in ballots(judgements, over):
        for id_, earned in _points(ballot).items():
            received[id_].append((earned / (len(ballot.scores) - 1), ballot.weight))
    means = {id_: average(got) for id_, got in received.items()}
    return by_points(means, over, "normalised_borda", unheard=0.5)


def _points(ballot: Ballot) -> dict[str, float]:
    return points_of_places(list(ballot.scores), list(ballot.scores.values()))
