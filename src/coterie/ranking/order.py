"""From points to a ranking: the one place where ties are broken and silence is placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from coterie.types import Ranking


def by_points(
    points: Mapping[str, float | None],
    over: Sequence[str],
    rule: str,
    *,
    unheard: float = float("-inf"),
    notes: Sequence[str] = (),
) -> Ranking:
    """`over`, most points first; equal points keep the order of `over` and are named as a tie.

    An id without points stands where `unheard` points would put it and keeps the score ``None``.
    When no id has points, the order is that of `over`, and a note says so.
    """
    if all(points.get(id_) is None for id_ in over):
        note = "every ballot abstained, so the order is the pool's"
        return Ranking(tuple(over), dict.fromkeys(over), rule, _tie(over), (*notes, note))

    def weight(id_: str) -> float:
        value = points.get(id_)
        return unheard if value is None else round(value, 12)  # averages of equal points differ in the last bits

    order = tuple(sorted(over, key=weight, reverse=True))
    ties = tuple(group for _, ids in groupby(order, key=weight) if len(group := tuple(ids)) > 1)
    silent = tuple(id_ for id_ in over if points.get(id_) is None)
    said = (*notes, f"no ballot spoke of {', '.join(silent)}") if silent else tuple(notes)
    return Ranking(order, {id_: points.get(id_) for id_ in over}, rule, ties, said)


def _tie(over: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return (tuple(over),) if len(over) > 1 else ()


def average(received: Sequence[float]) -> float | None:
    """The mean of what an id received, the same in whatever order it came; ``None`` for nothing."""
    return sum(sorted(received)) / len(received) if received else None


def points_of_places(about: Sequence[str], scores: Sequence[float]) -> dict[str, float]:
    """Borda points of one ballot: last earns 0, first `len(about) - 1`; tied ids share the mean of their places."""
    low_to_high = sorted(zip(scores, about, strict=True), key=lambda pair: pair[0])
    points: dict[str, float] = {}
    place = 0
    for _, tied in groupby(low_to_high, key=lambda pair: pair[0]):
        ids = [id_ for _, id_ in tied]
        shared = place + (len(ids) - 1) / 2
        points.update(dict.fromkeys(ids, shared))
        place += len(ids)
    return points
