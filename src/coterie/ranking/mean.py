"""Mean score: for judges that share one scale."""

from __future__ import annotations

from collections.abc import Sequence

from coterie.ranking.ballots import ballots
from coterie.ranking.order import average, by_points
from coterie.types import Judgement, Ranking


def mean(judgements: Sequence[Judgement], over: Sequence[str]) -> Ranking:
    """`over` by the weighted mean of the scores each id received; ids without a score come last.

    Scores of different judges are averaged as they are, so their scales must agree.
    """
    received: dict[str, list[tuple[float, float]]] = {id_: [] for id_ in over}
    for ballot in ballots(judgements, over, least=1):
        for id_, score in ballot.scores.items():
            received[id_].append((score, ballot.weight))
    return by_points({id_: average(got) for id_, got in received.items()}, over, "mean")
