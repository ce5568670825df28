"""Whether ballots that are still out can change who comes first: what lets a run stop waiting for them.

For each id the least and the most points that it can end with. All ids' bounds are reached together by one
completion that matters: for ids a and b, every outstanding ballot puts b first and a last. So for two ids the
bounds are exact, and the first k places are safe when nobody outside can end above, or level with and earlier in
the pool than, anybody inside.

How early that is depends on the rule. A runner-up who is second on every ballot keeps a sum or mean of points open
until the last one, because a single ballot can put it many places ahead; a majority is safe after about half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from coterie.ranking.ballots import Ballot, heard
from coterie.ranking.borda import borda, normalised_borda
from coterie.ranking.copeland import LEVEL, copeland, vote, won_by_first
from coterie.ranking.mean import mean
from coterie.ranking.order import points_of_places
from coterie.types import Judgement, Outstanding, Ranking

CLEAR = 1e-9
"""A smaller lead than this may be rounding, so nothing is built on it."""


@dataclass(frozen=True)
class Reach:
    """The least and the most points that an id can end with."""

    least: float
    most: float


Bound = Callable[[Sequence[Ballot], Sequence[Outstanding], Sequence[str]], Mapping[str, Reach]]


def decided(
    rule: str,
    judgements: Sequence[Judgement],
    outstanding: Sequence[Outstanding],
    over: Sequence[str],
    top_k: int = 1,
) -> bool:
    """True when the rule's first `top_k` of `over` are the same, as a set, however the outstanding ballots turn out.

    A tie for the last of these places counts only where it cannot become a defeat, and the pool's order breaks
    it as the rule does. False for a rule that is not bounded here, unless nothing that counts is outstanding.
    Takes time that grows with the ballots times the ids, under `copeland` times the pairs of ids.

    Raises `ValueError` for a `top_k` below 1.
    """
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k!r}")
    least = 2 if rule in _RANKS_PLACES else 1
    awaited = [out for given in outstanding if len((out := _among(given, over)).about) >= least and out.weight > 0]
    if not awaited or top_k >= len(over):
        return True
    if rule not in _BOUNDED:
        return False
    rank, bound = _BOUNDED[rule]
    order = rank(judgements, over).order
    cast, awaited = _rescaled(heard(judgements, over, least), awaited)
    reach = bound(cast, awaited, over)
    place = {id_: n for n, id_ in enumerate(over)}
    return all(
        reach[inside].least > reach[outside].most + CLEAR
        or (reach[inside].least >= reach[outside].most and place[inside] < place[outside])
        for inside in order[:top_k]
        for outside in order[top_k:]
    )


def _among(given: Outstanding, over: Sequence[str]) -> Outstanding:
    return replace(given, about=tuple(id_ for id_ in over if id_ in given.about))


def _rescaled(cast: Sequence[Ballot], awaited: Sequence[Outstanding]) -> tuple[list[Ballot], list[Outstanding]]:
    """All ballots with their weights in units of the heaviest."""
    heaviest = max([*(ballot.weight for ballot in cast), *(out.weight for out in awaited)])
    return (
        [Ballot(ballot.scores, ballot.weight / heaviest) for ballot in cast],
        [replace(out, weight=out.weight / heaviest) for out in awaited],
    )


# ---- the rules --------------------------------------------------------------------------------


def _borda(cast: Sequence[Ballot], awaited: Sequence[Outstanding], over: Sequence[str]) -> dict[str, Reach]:
    """A ballot on m ids adds between 0 and m - 1 points. Who is unheard may remain so, and then comes last."""
    points = [{id_: ballot.weight * earned for id_, earned in _points(ballot).items()} for ballot in cast]

    def reach(id_: str) -> Reach:
        earned = [ballot[id_] for ballot in points if id_ in ballot]
        more = [out.weight * (len(out.about) - 1) for out in awaited if id_ in out.about]
        least = math.fsum(earned) if earned else -math.inf
        return Reach(least, math.fsum([*earned, *more]) if earned or more else -math.inf)

    return {id_: reach(id_) for id_ in over}


def _normalised_borda(cast: Sequence[Ballot], awaited: Sequence[Outstanding], over: Sequence[str]) -> dict[str, Reach]:
    """A ballot adds a share between 0 and 1 to the average. Who is unheard stands at 0.5."""
    shares = [({id_: p / (len(n.scores) - 1) for id_, p in _points(n).items()}, n.weight) for n in cast]

    def reach(id_: str) -> Reach:
        earned = math.fsum(share[id_] * weight for share, weight in shares if id_ in share)
        more = math.fsum(out.weight for out in awaited if id_ in out.about)
        weight = math.fsum(weight for share, weight in shares if id_ in share) + more
        return Reach(earned / weight, (earned + more) / weight) if weight else Reach(0.5, 0.5)

    return {id_: reach(id_) for id_ in over}


def _mean(cast: Sequence[Ballot], awaited: Sequence[Outstanding], over: Sequence[str]) -> dict[str, Reach]:
    """A ballot on an id drags its mean to the scale's end, where that is beyond the mean. Who is unheard is last."""

    def reach(id_: str) -> Reach:
        given = [(ballot.scores[id_], ballot.weight) for ballot in cast if id_ in ballot.scores]
        mine = [out for out in awaited if id_ in out.about]
        worst = [(-math.inf if out.lowest is None else out.lowest, out.weight) for out in mine]
        best = [(math.inf if out.highest is None else out.highest, out.weight) for out in mine]
        least = _lowered(given, worst) if given else -math.inf
        most = -_lowered(_negated(given), _negated(best)) if given or mine else -math.inf
        return Reach(least - _slack(least), most + _slack(most)) if mine else Reach(least, most)

    return {id_: reach(id_) for id_ in over}


def _slack(bound: float) -> float:
    """What rounding may be worth among scores of this size."""
    return CLEAR * max(1.0, abs(bound)) if math.isfinite(bound) else 0.0


def _lowered(given: Sequence[tuple[float, float]], offered: Sequence[tuple[float, float]]) -> float:
    """The least weighted mean of the given scores and any of the offered ones."""
    total = math.fsum(score * weight for score, weight in given)
    weight = math.fsum(weight for _, weight in given)
    for score, more in sorted(offered):
        if weight == 0 or score < total / weight:
            total, weight = total + score * more, weight + more
    return total / weight


def _negated(scores: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(-score, weight) for score, weight in scores]


def _copeland(cast: Sequence[Ballot], awaited: Sequence[Outstanding], over: Sequence[str]) -> dict[str, Reach]:
    """All outstanding ballots on a pair may go to one of the two, and make a duel where there is none yet."""
    worst: dict[str, list[float]] = {id_: [] for id_ in over}
    best: dict[str, list[float]] = {id_: [] for id_ in over}
    for a, b in combinations(over, 2):
        votes = [(n.scores[a] - n.scores[b], n.weight) for n in cast if a in n.scores and b in n.scores]
        signed = [vote(margin) * weight for margin, weight in votes]
        weights = [weight for _, weight in votes]
        more = [out.weight for out in awaited if a in out.about and b in out.about]
        if not votes and not more:
            continue
        low, high = _won(signed, weights, more), 1 - _won([-vote for vote in signed], weights, more)
        worst[a].append(low)
        best[a].append(high)
        worst[b].append(1 - high)
        best[b].append(1 - low)
    return {
        id_: Reach(sum(worst[id_]) / len(worst[id_]), sum(best[id_]) / len(best[id_]))
        if worst[id_]
        else Reach(0.5, 0.5)
        for id_ in over
    }


def _won(votes: Sequence[float], weights: Sequence[float], against: Sequence[float]) -> float:
    """The least that the first of two gets out of their duel."""
    if not against:
        return won_by_first(votes, weights)
    lead = math.fsum([*votes, *(-weight for weight in against)])
    all_weights = math.fsum([*weights, *against])
    if lead > CLEAR * all_weights:
        return 1.0
    return 0.5 if lead >= -LEVEL / 2 * all_weights else 0.0


def _points(ballot: Ballot) -> dict[str, float]:
    return points_of_places(list(ballot.scores), list(ballot.scores.values()))


_RANKS_PLACES = frozenset({"borda", "copeland", "normalised_borda"})
"""Rules to which a ballot on a single id says nothing."""

_BOUNDED: Mapping[str, tuple[Callable[[Sequence[Judgement], Sequence[str]], Ranking], Bound]] = {
    "borda": (borda, _borda),
    "copeland": (copeland, _copeland),
    "mean": (mean, _mean),
    "normalised_borda": (normalised_borda, _normalised_borda),
}
