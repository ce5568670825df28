"""JudgeBlender's two ways to make one label of several judges' graded ones (2412.13268).

For labels from a short scale, such as scores from 1 to 5: of scores that are seldom equal there is no majority.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import partial
from typing import Literal

from coterie.ranking.ballots import ballots
from coterie.ranking.copeland import LEVEL
from coterie.ranking.order import average, by_points
from coterie.types import Judgement, Ranking

Ties = Literal["average", "max", "min", "random"]
"""Which label stands for several that are equally frequent; their average need not be a label."""

_Label = tuple[float, float]
"""With the weight of the ballot that gave it."""


def majority_vote(
    judgements: Sequence[Judgement], over: Sequence[str], ties: Ties = "average", seed: int = 0
) -> Ranking:
    """`over` by the label that the greatest weight of ballots gave to each; ids without a label come last.

    Majority voting is not monotone: a reviewer who gives a better label than before can break a majority
    and so lower whom it meant to raise. `seed` is of the draw among tied labels, one for each place in `over`.
    """
    labels = _labels(judgements, over)
    rule = "majority_vote" if ties == "average" else f"majority_vote_{ties}"
    points = {
        id_: _settled(_most_frequent(got), ties, random.Random(f"{seed} {place}")) if got else None
        for place, (id_, got) in enumerate(labels.items())
    }
    return by_points(points, over, rule)


majority_vote_max = partial(majority_vote, ties="max")
"""`majority_vote` where the best of tied labels stands for all."""

majority_vote_min = partial(majority_vote, ties="min")
"""`majority_vote` where the worst of tied labels stands for all."""


def average_vote(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by the weighted mean of the labels each received, rounded to a whole one, halves upwards.

    Ids without a label come last. Rounding ties what the rule `mean` tells apart.
    """
    means = {id_: average(got) for id_, got in _labels(judgements, over).items()}
    points = {id_: None if mean is None else float(math.floor(round(mean, 9) + 0.5)) for id_, mean in means.items()}
    return by_points(points, over, "average_vote")


def _labels(judgements: Sequence[Judgement], over: Sequence[str]) -> dict[str, list[_Label]]:
    received: dict[str, list[_Label]] = {id_: [] for id_ in over}
    for ballot in ballots(judgements, over, least=1):
        for id_, label in ballot.scores.items():
            received[id_].append((label, ballot.weight))
    return received


def _most_frequent(received: Sequence[_Label]) -> list[float]:
    """The labels with the greatest weight, from the worst to the best."""
    weights = {
        label: math.fsum(weight for other, weight in received if other == label)
        for label in sorted({label for label, _ in received})
    }
    most = max(weights.values())
    return [label for label, weight in weights.items() if weight >= most * (1 - LEVEL)]


def _settled(tied: Sequence[float], ties: Ties, rng: random.Random) -> float:
    match ties:
        case "average":
            return math.fsum(tied) / len(tied)
        case "max":
            return tied[-1]
        case "min":
            return tied[0]
        case "random":
            return rng.choice(tied)
