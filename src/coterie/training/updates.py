"""The order in which training reads what was drawn: updates of equally many pairs, cut into batches of equal cost.

A batch costs its rows times its longest row. Within an update rows are sorted by length and cut so that the
dearest batch is as cheap as can be: padding is little, and no batch needs much more memory than another. Every
pair weighs the same in its update, however many stand in its batch.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random

WINDOW = 50
"""Updates whose pairs are sorted together where an update is a single batch."""

MOST_REPEATS = 4
"""How often a balanced draw may take the same pair in one epoch: a handful of pairs must not be learned by heart."""


@dataclass(frozen=True)
class Cost:
    """Of reading one pair or list."""

    rows: int
    length: int
    """Tokens of its longest row."""


def epoch(costs: Sequence[Cost], batch: int, accumulate: int, rng: Random) -> list[list[list[int]]]:
    """Updates of batches of places in `costs`: each place once, `batch` x `accumulate` in each update but the last.

    Every update has `accumulate` batches, the last one as many as it has pairs, at most.
    """
    order = list(range(len(costs)))
    rng.shuffle(order)
    size = batch * accumulate
    if accumulate == 1:
        order = _by_window(order, costs, size * WINDOW)
    updates = [order[start : start + size] for start in range(0, len(order), size)]
    if accumulate == 1:
        rng.shuffle(updates)
    return [cut(sorted(update, key=lambda n: -costs[n].length), costs, accumulate) for update in updates]


def n_batches(n: int, batch: int, accumulate: int) -> int:
    """How many batches `epoch` makes of `n` pairs."""
    whole, rest = divmod(n, batch * accumulate)
    return whole * accumulate + min(rest, accumulate)


def cut(places: Sequence[int], costs: Sequence[Cost], parts: int) -> list[list[int]]:
    """`places`, longest first, in `parts` runs of which the dearest is as cheap as can be; fewer if there are fewer."""
    low, high = max(_cost(places[:1], costs), 1), _cost(places, costs)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_filled(places, costs, middle)) <= parts else (middle + 1, high)
    runs = _filled(places, costs, high)
    while len(runs) < min(parts, len(places)):
        dearest = max((run for run in runs if len(run) > 1), key=lambda run: _cost(run, costs))
        at = runs.index(dearest)
        runs[at : at + 1] = [dearest[: len(dearest) // 2], dearest[len(dearest) // 2 :]]
    return runs


def balanced(cells: Sequence[Hashable], rng: Random) -> list[int]:
    """As many places in `cells` as there are, drawn so that each cell comes equally often, in random order.

    A cell that would have to be repeated more than `MOST_REPEATS` times leaves the rest of its share to the larger
    ones; those are thinned out, anew in each draw.
    """
    members: dict[Hashable, list[int]] = {}
    for place, cell in enumerate(cells):
        members.setdefault(cell, []).append(place)
    drawn: list[int] = []
    for n, own in enumerate(sorted(members.values(), key=len)):
        share = (len(cells) - len(drawn)) // (len(members) - n)
        whole, rest = divmod(min(share, MOST_REPEATS * len(own)), len(own))
        drawn += own * whole + rng.sample(own, rest)
    rng.shuffle(drawn)
    return drawn


def _by_window(order: Sequence[int], costs: Sequence[Cost], window: int) -> list[int]:
    """Windows of the order, each sorted by length."""
    windows = (order[start : start + window] for start in range(0, len(order), window))
    return [n for window in windows for n in sorted(window, key=lambda n: -costs[n].length)]


def _cost(places: Sequence[int], costs: Sequence[Cost]) -> int:
    """Of reading these, longest first, in one batch: tokens, padding included."""
    return costs[places[0]].length * sum(costs[n].rows for n in places)


def _filled(places: Sequence[int], costs: Sequence[Cost], budget: int) -> list[list[int]]:
    """Runs of the places, longest first, each as long as the budget allows; one place at least."""
    runs: list[list[int]] = []
    spent, longest = 0, 0
    for n in places:
        rows = costs[n].rows
        if not runs or spent + rows * longest > budget:
            runs.append([])
            spent, longest = 0, costs[n].length
        runs[-1].append(n)
        spent += rows * longest
    return runs
