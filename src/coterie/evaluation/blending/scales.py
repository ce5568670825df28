"""Scales: from values to places on a sheet, with round ticks that say what they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Values between two ends, on units between two others."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        low, high, here = (math.log(of) if self.log else of for of in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (here - low) / (high - low)

    def label(self, tick: float) -> str:
        if self.log:
            return f"{tick:g}"
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1
        return f"{tick:z.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


SPREAD = 30
"""How many times the least the largest is from where on a scale of shares is clearer."""


def scale(values: Sequence[float], start: float, end: float, *, zero: bool = False, log: bool = False) -> Scale:
    """One that holds all values, and 0 for `zero`, with round ticks; `log`: of powers of ten where that is clearer."""
    low, high = min(values), max(values)
    if log and not zero and low > 0 and high / low >= SPREAD:
        return _shares(low, high, start, end)
    if zero:
        low, high = min(0.0, low), max(0.0, high)
    if low == high:
        low, high = low - (abs(low) / 10 or 1), high + (abs(high) / 10 or 1)
    step = _round_step((high - low) / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(step * n for n in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, ticks)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))


def _shares(low: float, high: float, start: float, end: float) -> Scale:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    low, high = low / 1.3, high * 1.3
    ticks = [10.0**power for power in powers if low <= 10.0**power <= high]
    return Scale(low, high, start, end, tuple(ticks[:: math.ceil(len(ticks) / 6)]), log=True)
