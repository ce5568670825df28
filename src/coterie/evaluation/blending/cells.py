"""What stands in one place of a table: how a number is printed beside what it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from coterie.evaluation.blending.header import Measure
from coterie.evaluation.sheets import NOTHING
from coterie.evaluation.significance import Estimate

ROUNDING = 1e-9
"""Share of a number up to which an interval's width is an error of reckoning."""


@dataclass(frozen=True)
class Cell:
    """A number or words, as they are shown and as they are."""

    text: str = NOTHING
    value: float | str | None = None
    """What it is sorted by, and what a CSV file holds; ``None`` where nothing is known."""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    """Questions that it was computed of."""
    word: str = ""
    """What the number says, in a word or two."""
    best: bool = False
    """True where intervals say that nothing else in the column is as good."""
    wrong: bool = False
    """True where a reader has to be warned of it."""

    @property
    def said(self) -> str:
        return f"{self.text} {self.word}".strip()


def words(text: str) -> Cell:
    """Plain words."""
    return Cell(text or NOTHING, text or None)


def count(value: float | None) -> Cell:
    """A whole number, or a mean of such."""
    if value is None:
        return Cell()
    return Cell(f"{value:.0f}" if float(value).is_integer() else significant(value), value)


def number(value: float | None) -> Cell:
    """Three significant digits."""
    return Cell() if value is None else Cell(significant(value), value)


def share(value: float | None) -> Cell:
    """A part of 1, in percent."""
    return Cell() if value is None else Cell(f"{value:.0%}", value)


def mean(found: Estimate | None) -> Cell:
    """A mean and half of its interval, to three significant digits of the mean."""
    like = None if found is None else found.value
    return _halved(found, lambda value: significant(value, like))


def quality(found: Estimate | None, measure: Measure) -> Cell:
    """A metric's mean and half of its interval."""
    return _halved(found, measure.text)


def difference(found: Estimate | None, measure: Measure, word: str = "") -> Cell:
    """A difference in a metric, with its interval."""
    return _between(found, lambda value: measure.text(value, "+"), word=word)


def times(found: Estimate | None) -> Cell:
    """How many times as much, with its interval."""
    return _between(found, lambda value: f"{value:.2f}", unit="×")


def gain_s(found: Estimate | None) -> Cell:
    """A difference in seconds, with its interval."""
    like = None if found is None else found.value
    return _between(found, lambda value: significant(value, like, "+"))


def significant(value: float, like: float | None = None, sign: str = "") -> str:
    """`value` with as many decimals as `like` (or itself) needs to have three significant digits."""
    size = abs(like or value)
    decimals = min(9, max(0, 2 - math.floor(math.log10(size)))) if size > 0 else 0
    return f"{value:{sign}z.{decimals}f}"


def _halved(found: Estimate | None, text: Callable[[float], str]) -> Cell:
    if found is None or found.value is None:
        return Cell()
    half = 0.0 if found.low is None or found.high is None else (found.high - found.low) / 2
    shown = f"{text(found.value)} ±{text(half)}" if half > ROUNDING * abs(found.value) else text(found.value)
    return Cell(shown, found.value, found.low, found.high, found.n)


def _between(found: Estimate | None, text: Callable[[float], str], *, unit: str = "", word: str = "") -> Cell:
    if found is None or found.value is None:
        return Cell()
    ends = "" if found.low is None or found.high is None else f" [{text(found.low)}, {text(found.high)}]"
    return Cell(f"{text(found.value)}{unit}{ends}", found.value, found.low, found.high, found.n, word)
