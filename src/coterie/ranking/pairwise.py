"""Rules over pairwise judgements: what a pair ranker's logits say of the whole field.

A judgement about (a, b) scores both when they were read in that order; its logit is M[a, b] = s_a - s_b.
Reading the pair the other way round gives M[b, a], which need not be -M[a, b].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from coterie.ranking.order import by_points
from coterie.types import Judgement, Ranking

Logits = Mapping[tuple[str, str], float]


def logits_of(judgements: Sequence[Judgement], over: Sequence[str]) -> dict[tuple[str, str], float]:
    """M[a, b] for every ordered pair of `over` that was judged; several judges of one pair are averaged."""
    known = set(over)
    found: dict[tuple[str, str], list[float]] = {}
    for judgement in judgements:
        scored = [(i, s) for i, s in zip(judgement.about, judgement.scores, strict=True) if i in known]
        for n, (a, score_a) in enumerate(scored):
            for b, score_b in scored[n + 1 :]:
                found.setdefault((a, b), []).append(score_a - score_b)
    return {pair: math.fsum(values) / len(values) for pair, values in found.items()}


def max_logits(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by the mean over the field of M[i, j] - M[j, i], LLM-Blender's MaxLogits (2306.02561, 3.4).

    The mean counts i itself, as the reference code does; the paper's sum gives the same order. A pair
    that was not judged adds nothing, so with few comparisons `unbeaten` is the rule to use.
    """
    logits = logits_of(judgements, over)
    heard = {id_ for pair in logits for id_ in pair}
    points = {
        i: math.fsum(logits.get((i, j), 0.0) - logits.get((j, i), 0.0) for j in over if j != i) / len(over)
        if i in heard
        else None
        for i in over
    }
    return by_points(points, over, "max_logits")


def max_wins(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by the number of readings won: of j after i with M[i, j] > 0, and before i with M[j, i] < 0."""
    logits = logits_of(judgements, over)
    wins: dict[str, float | None] = dict.fromkeys(over)
    for (a, b), logit in logits.items():
        wins[a] = (wins[a] or 0.0) + (logit > 0)
        wins[b] = (wins[b] or 0.0) + (logit < 0)
    return by_points(wins, over, "max_wins")


def unbeaten(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by elimination: first whoever lost to nobody left, again and again.

    What an adaptive tournament has decided comes out as it decided it, with no more comparisons than
    it made. Points are places counted from the end; those that nothing tells apart tie, and so do
    all members of a circle.
    """
    logits = logits_of(judgements, over)
    left = [id_ for id_ in over if any(id_ in pair for pair in logits)]
    beaten_by = {id_: {other for other in left if _margin(logits, other, id_) > 0} for id_ in left}
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
    logits = logits_of(judgements, over)
    if not logits:
        return by_points(dict.fromkeys(over), over, "bradley_terry")
    wins = dict.fromkeys(over, 0.5)
    met: dict[str, dict[str, int]] = {id_: {} for id_ in over}
    for (a, b), logit in logits.items():
        share = 0.5 if logit == 0 else float(logit > 0)
        wins[a] += share
        wins[b] += 1 - share
        met[a][b] = met[a].get(b, 0) + 1
        met[b][a] = met[b].get(a, 0) + 1
    heard = [id_ for id_ in over if met[id_]]
    strength = _fitted(wins, met, heard)
    return by_points({id_: strength.get(id_) for id_ in over}, over, "bradley_terry", unheard=0.0)


def _fitted(wins: Mapping[str, float], met: Mapping[str, Mapping[str, int]], heard: Sequence[str]) -> dict[str, float]:
    gamma = dict.fromkeys(heard, 1.0)
    for _ in range(10_000):
        fresh = {
            i: wins[i] / (1 / (gamma[i] + 1) + math.fsum(n / (gamma[i] + gamma[j]) for j, n in met[i].items()))
            for i in heard
        }
        step = max(abs(math.log(fresh[i] / gamma[i])) for i in heard)
        gamma = fresh
        if step < 1e-9:
            break
    centre = math.fsum(map(math.log, gamma.values())) / len(gamma)
    return {i: math.log(value) - centre for i, value in gamma.items()}


def _margin(logits: Logits, a: str, b: str) -> float:
    """How much better `a` is than `b` by both readings together; 0 when neither was made."""
    return logits.get((a, b), 0.0) - logits.get((b, a), 0.0)
