"""From points to a ranking: the one place where ties are broken and silence is placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from coterie.types import Ranking

EQUAL = 1e-12
"""Points that lie no further apart are equal: averages of equal points differ in the last bits."""


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

    groups = _levels({id_: unheard if (value := points.get(id_)) is None else value for id_ in over})
    order = tuple(id_ for group in groups for id_ in group)
    ties = tuple(group for group in groups if len(group) > 1)
    silent = tuple(id_ for id_ in over if points.get(id_) is None)
    said = (*notes, f"no ballot spoke of {', '.join(silent)}") if silent else tuple(notes)
    return Ranking(order, {id_: points.get(id_) for id_ in over}, rule, ties, said)


def _levels(values: Mapping[str, float]) -> list[tuple[str, ...]]:
    """The ids, highest first, in groups of equal value; inside a group they keep their order."""
    place = {id_: n for n, id_ in enumerate(values)}
    groups: list[list[str]] = []
    for id_ in sorted(values, key=values.__getitem__, reverse=True):
        above = values[groups[-1][-1]] if groups else None
        if above is not None and (above == values[id_] or above - values[id_] <= EQUAL):
            groups[-1].append(id_)
        else:
            groups.append([id_])
    return [tuple(sorted(group, key=place.__getitem__)) for group in groups]


def _tie(over: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return (tuple(over),) if len(over) > 1 else ()


def average(received: Sequence[tuple[float, float]]) -> float | None:
    """The mean of the values that an id received, by their weights, in whatever order they came; ``None`` for nothing.

    `received` holds pairs of value and weight.
    """
    ordered = sorted(received)
    return sum(value * weight for value, weight in ordered) / sum(weight for _, weight in ordered) if ordered else None


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
