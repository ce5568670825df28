"""Sides that take turns: how long single calls take, a block of calls on one side after a block on the other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Side:
    """Something that is called with a number, another one each time."""

    what: str
    call: Callable[[int], object]
    calls: int
    """In a block, after one whose time is not counted."""


@dataclass(frozen=True)
class Took:
    """Milliseconds of each call, block by block."""

    blocks: tuple[tuple[float, ...], ...]

    @property
    def all_ms(self) -> list[float]:
        return [ms for block in self.blocks for ms in block]

    @property
    def n(self) -> int:
        return len(self.all_ms)

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.all_ms)

    @property
    def p99_ms(self) -> float:
        return float(np.percentile(self.all_ms, 99))

    @property
    def per_second(self) -> float:
        """Calls by the time that all of them took."""
        return 1e3 * self.n / sum(self.all_ms)

    @property
    def spread_ms(self) -> tuple[float, float]:
        """The lowest and the highest median of a block."""
        medians = [statistics.median(block) for block in self.blocks]
        return min(medians), max(medians)


def in_turns(sides: Iterable[Side], blocks: int) -> dict[str, Took]:
    """What each side took; another one is first in each block."""
    order = list(sides)
    found: dict[str, list[tuple[float, ...]]] = {side.what: [] for side in order}
    for n in range(blocks):
        for side in _from(order, n % len(order)):
            found[side.what].append(_block(side, n))
    return {what: Took(tuple(taken)) for what, taken in found.items()}


def _from(order: Sequence[Side], first: int) -> list[Side]:
    return [*order[first:], *order[:first]]


def _block(side: Side, number: int) -> tuple[float, ...]:
    taken = []
    for call in range(number * (side.calls + 1), (number + 1) * (side.calls + 1)):
        began = time.perf_counter()
        side.call(call)
        taken.append(1e3 * (time.perf_counter() - began))
    return tuple(taken[1:])
