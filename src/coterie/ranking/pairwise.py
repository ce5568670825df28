"""Rules over pairwise judgements: what a pair ranker's logits say of the whole field.

A judgement about (a, b) scores both when they were read in that order; its logit is M[a, b] = s_a - s_b.
Reading the pair the other way round gives M[b, a], which need not be -M[a, b].

Judges may weigh differently. A reading counts as much as those who made it weigh on average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from coterie.ranking.ballots import ballots
from coterie.ranking.order import by_points
from coterie.ranking.strength import field_strengths
from coterie.types import Judgement, Ranking

Pair = tuple[str, str]


@dataclass(frozen=True)
class Reading:
    """What was said of one ordered pair, by all who read it in that order."""

    logit: float
    """Their mean, by their weights."""
    weight: float
    """Their mean weight, 1 where everybody weighs alike: a reading is one, however many made it."""


Readings = Mapping[Pair, Reading]


def readings_of(judgements: Sequence[Judgement], over: Sequence[str]) -> dict[Pair, Reading]:
    """M[a, b] for every ordered pair of `over` that was judged; several judges of one pair are averaged."""
    found: dict[Pair, list[tuple[float, float]]] = {}
    for ballot in ballots(judgements, over):
        for (a, score_a), (b, score_b) in combinations(ballot.scores.items(), 2):
            found.setdefault((a, b), []).append((score_a - score_b, ballot.weight))
    return {pair: _reading(said) for pair, said in found.items()}


def _reading(said: Sequence[tuple[float, float]]) -> Reading:
    weight = math.fsum(weight for _, weight in said)
    return Reading(math.fsum(logit * weight for logit, weight in said) / weight, weight / len(said))


def max_logits(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by the weighted mean over the field of M[i, j] - M[j, i], LLM-Blender's MaxLogits (2306.02561, 3.4).

    The mean counts i itself, as the reference code does; the paper's sum gives the same order. A pair
    that was not judged adds nothing, so with few comparisons `unbeaten` is the rule to use.
    """
    readings = readings_of(judgements, over)
    heard = {id_ for pair in readings for id_ in pair}
    points = {
        i: math.fsum(_margin(readings, i, j) for j in over if j != i) / len(over) if i in heard else None for i in over
    }
    return by_points(points, over, "max_logits")


def max_wins(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by the weight of the readings won: of j after i with M[i, j] > 0, and before i with M[j, i] < 0."""
    won: dict[str, list[float]] = {id_: [] for id_ in over}
    for (a, b), reading in readings_of(judgements, over).items():
        won[a].append(reading.weight * (reading.logit > 0))
        won[b].append(reading.weight * (reading.logit < 0))
    return by_points({id_: math.fsum(wins) if wins else None for id_, wins in won.items()}, over, "max_wins")


def unbeaten(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by elimination: first whoever lost to nobody left, again and again.

    What an adaptive tournament has decided comes out as it decided it, with no more comparisons than
    it made. Points are places counted from the end; those that nothing tells apart tie, and so do
    all members of a circle.
    """
    readings = readings_of(judgements, over)
    left = [id_ for id_ in over if any(id_ in pair for pair in readings)]
    beaten_by = {id_: {other for other in left if _margin(readings, other, id_) > 0} for id_ in left}
    points: dict[str, float | None] = dict.fromkeys(over)
    while left:
        standing = set(left)
        free = [id_ for id_ in left if not beaten_by[id_] & standing] or list(left)
        shared = len(left) - (len(free) + 1) / 2
        points.update(dict.fromkeys(free, shared))
        left = [id_ for id_ in left if id_ not in free]
    return by_points(points, over, "unbeaten")


def bradley_terry(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by Bradley-Terry strength (natural logarithm, mean 0) fitted to who won each reading.

    Every id also draws once against a field of mean strength, so that one that won or lost all its
    readings has a finite strength. Fitted by Hunter's minorisation-maximisation (2004) to 1e-9.
    """
    readings = readings_of(judgements, over)
    if not readings:
        return by_points(dict.fromkeys(over), over, "bradley_terry")
    shares: dict[str, list[float]] = {id_: [0.5] for id_ in over}
    met: dict[str, dict[str, float]] = {id_: {} for id_ in over}
    for (a, b), reading in readings.items():
        share = 0.5 if reading.logit == 0 else float(reading.logit > 0)
        shares[a].append(reading.weight * share)
        shares[b].append(reading.weight * (1 - share))
        met[a][b] = met[b][a] = met[a].get(b, 0.0) + reading.weight
    wins = {id_: math.fsum(won) for id_, won in shares.items()}
    strength = field_strengths(wins, {id_: others for id_, others in met.items() if others})
    return by_points({id_: strength.get(id_) for id_ in over}, over, "bradley_terry", unheard=0.0)


def _margin(readings: Readings, a: str, b: str) -> float:
    """How much better `a` is than `b` by both readings together; 0 when neither was made."""
    forth, back = readings.get((a, b)), readings.get((b, a))
    return (forth.logit * forth.weight if forth else 0.0) - (back.logit * back.weight if back else 0.0)
