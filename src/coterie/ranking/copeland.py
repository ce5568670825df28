"""Copeland: who wins most duels between two, by the majority of the ballots."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from coterie.ranking.order import by_points
from coterie.types import Judgement, Ranking


def copeland(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by duels won plus half the duels drawn, as a share of the duels that were decided by a ballot.

    Two ids duel on every ballot that scores both; the majority of those ballots wins the duel. A pair
    that no ballot compares is no duel, and an id without one stands at 0.5.
    """
    ballots = [dict(zip(j.about, j.scores, strict=True)) for j in judgements]
    won: dict[str, float] = dict.fromkeys(over, 0.0)
    duels: dict[str, int] = dict.fromkeys(over, 0)
    for a, b in combinations(over, 2):
        margins = [ballot[a] - ballot[b] for ballot in ballots if a in ballot and b in ballot]
        if not margins:
            continue
        lead = sum((margin > 0) - (margin < 0) for margin in margins)
        won[a] += 0.5 + 0.5 * ((lead > 0) - (lead < 0))
        won[b] += 0.5 - 0.5 * ((lead > 0) - (lead < 0))
        duels[a] += 1
        duels[b] += 1
    points = {id_: won[id_] / duels[id_] if duels[id_] else None for id_ in over}
    return by_points(points, over, "copeland", unheard=0.5)
