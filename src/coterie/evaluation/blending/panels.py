"""Panels of a figure: bars in stages, curves with intervals, and points with names. Each as wide as a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from coterie.evaluation.blending.placing import Box, along, place
from coterie.evaluation.blending.scales import Scale, scale
from coterie.evaluation.blending.svg import SHAPES, Drawing, Shape, shortened, width_of
from coterie.evaluation.significance import Estimate

WIDTH = 360.0

AREA = Box(52, 30, 344, 226)
"""Where a panel's marks stand."""

LINE = 15.0
"""Height of a line of a key."""

LONGEST_NAME = 44


@dataclass(frozen=True)
class Words:
    """What a panel says besides its marks."""

    title: str
    x: str
    y: str


@dataclass(frozen=True)
class Entry:
    """A line of a key."""

    name: str
    colour: str
    shape: Shape = "circle"
    mark: str = ""
    """Stands in the place of the shape, where it is not empty."""


@dataclass(frozen=True)
class Span:
    """A number with the ends of its interval, itself where there is none."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, found: Estimate | None, times: float = 1.0) -> Span | None:
        if found is None or found.value is None:
            return None
        low, high = (found.value if end is None else end for end in (found.low, found.high))
        return cls(times * found.value, times * low, times * high)

    @classmethod
    def exact(cls, value: float) -> Span:
        return cls(value, value, value)


@dataclass(frozen=True)
class Bar:
    """Stages upon one another, and the total's interval."""

    name: str
    parts: tuple[float, ...]
    total: Span
    says: str

    @property
    def most(self) -> float:
        """How high it reaches."""
        return max(self.total.high, math.fsum(self.parts))


@dataclass(frozen=True)
class Curve:
    """Points of one colour, joined."""

    entry: Entry
    points: tuple[tuple[float, Span, str], ...]
    """x, y and what the point says."""
    dashed: bool = False


@dataclass(frozen=True)
class Point:
    """A named point with intervals either way."""

    name: str
    x: Span
    y: Span
    colour: str
    shape: Shape
    says: str


def bars(words: Words, found: Sequence[Bar], stages: Sequence[Entry], most: float) -> Drawing:
    """Bars side by side, from 0 to `most` at least."""
    y = scale([0.0, most], AREA.bottom, AREA.top, zero=True)
    drawing = _framed(words, None, y)
    room = (AREA.right - AREA.left) / len(found)
    for n, bar in enumerate(found):
        middle, wide = AREA.left + room * (n + 0.5), min(46.0, room * 0.62)
        below = 0.0
        for part, stage in zip(bar.parts, stages, strict=True):
            top, bottom = y.at(below + part), y.at(below)
            says = f"{stage.name} {part:.3g} {bar.says}"
            drawing.bar((middle - wide / 2, top), wide, bottom - top, stage.colour, says)
            below += part
        _upright(drawing, middle, y, bar.total, "ink")
        drawing.text((middle, AREA.bottom + 15), bar.name, "soft", "middle")
    return drawing


def curves(words: Words, found: Sequence[Curve], mark: float | None = None) -> Drawing:
    """Curves over whole numbers, each a little beside the others, so that intervals can be told apart.

    `mark`: where on the way across a line is to stand.
    """
    xs = sorted({x for curve in found for x, _, _ in curve.points})
    ys = [end for curve in found for _, y, _ in curve.points for end in (y.low, y.high)]
    margin = (xs[-1] - xs[0]) * 0.08 or 0.5
    x = Scale(xs[0] - margin, xs[-1] + margin, AREA.left, AREA.right, tuple(xs))
    y = scale(ys, AREA.bottom, AREA.top)
    drawing = _framed(words, x, y)
    if mark is not None:
        drawing.line((x.at(mark), AREA.top), (x.at(mark), AREA.bottom), "soft", dash="3 3")
    for n, curve in enumerate(found):
        aside = 3.0 * (n - (len(found) - 1) / 2) if len(found) < 8 else 0.0
        places = [(x.at(at) + aside, y.at(of.value)) for at, of, _ in curve.points]
        drawing.path(places, curve.entry.colour, "5 3" if curve.dashed else "")
        for at, (_, of, says) in zip(places, curve.points, strict=True):
            _upright(drawing, at[0], y, of, curve.entry.colour)
            drawing.mark(at, curve.entry.shape, curve.entry.colour, says)
    return drawing


def cloud(
    words: Words, found: Sequence[Point], names: Sequence[str], *, zero: bool = False, log: bool = False
) -> tuple[Drawing, int]:
    """Points with names beside them, and how many of the names found no room. `zero`: with lines through 0."""
    x = scale([end for p in found for end in (p.x.low, p.x.high)], AREA.left, AREA.right, zero=zero, log=log)
    y = scale([end for p in found for end in (p.y.low, p.y.high)], AREA.bottom, AREA.top, zero=zero)
    drawing = _framed(words, x, y)
    lines = _zero_lines(drawing, x, y) if zero else []
    return drawing, _named_points(drawing, (x, y), found, names, lines)


def plot(
    words: Words, lines: Sequence[Curve], found: Sequence[Point] = (), names: Sequence[str] = ()
) -> tuple[Drawing, int]:
    """Lines without marks, over any numbers, and points with names; how many of the names found no room."""
    across = [at for line in lines for at, _, _ in line.points] + [end for p in found for end in (p.x.low, p.x.high)]
    up = [y.value for line in lines for _, y, _ in line.points] + [end for p in found for end in (p.y.low, p.y.high)]
    x, y = scale(across, AREA.left, AREA.right), scale(up, AREA.bottom, AREA.top)
    drawing = _framed(words, x, y)
    drawn: list[Box] = []
    for line in lines:
        places = [(x.at(at), y.at(of.value)) for at, of, _ in line.points]
        drawing.path(places, line.entry.colour, "5 3" if line.dashed else "")
        drawn += along(places)
    return drawing, _named_points(drawing, (x, y), found, names, drawn)


def _named_points(
    drawing: Drawing, scales: tuple[Scale, Scale], found: Sequence[Point], names: Sequence[str], lines: list[Box]
) -> int:
    """Draw points, their intervals and as many of their names as find room; how many find none."""
    x, y = scales
    places = [(x.at(p.x.value), y.at(p.y.value)) for p in found]
    for p, at in zip(found, places, strict=True):
        _upright(drawing, at[0], y, p.y, p.colour)
        if p.x.low < p.x.high:
            drawing.line((x.at(p.x.low), at[1]), (x.at(p.x.high), at[1]), p.colour, wide=1.2)
    for p, at in zip(found, places, strict=True):
        drawing.mark(at, p.shape, p.colour, p.says)
    arms = [arm for p, at in zip(found, places, strict=True) for arm in _arms(p, at, x, y)]
    labels = place(places, names, AREA, [*lines, *arms])
    for label in labels:
        if label.lead is not None:
            drawing.line(label.point, label.lead, "soft", wide=0.6)
        drawing.text(label.at, label.text)
    return len(found) - len(labels)


def _zero_lines(drawing: Drawing, x: Scale, y: Scale) -> list[Box]:
    """Lines through 0, and where they are."""
    drawing.line((x.at(0), AREA.top), (x.at(0), AREA.bottom), "soft", dash="3 3")
    drawing.line((AREA.left, y.at(0)), (AREA.right, y.at(0)), "soft", dash="3 3")
    return [
        Box(x.at(0) - 1, AREA.top, x.at(0) + 1, AREA.bottom),
        Box(AREA.left, y.at(0) - 1, AREA.right, y.at(0) + 1),
    ]


def _arms(point: Point, at: tuple[float, float], x: Scale, y: Scale) -> tuple[Box, Box]:
    """Where a point's intervals are drawn."""
    return (
        Box(x.at(point.x.low), at[1] - 1, x.at(point.x.high), at[1] + 1),
        Box(at[0] - 1, y.at(point.y.high), at[0] + 1, y.at(point.y.low)),
    )


def _upright(drawing: Drawing, x: float, y: Scale, of: Span, colour: str) -> None:
    """An interval, standing."""
    if of.low < of.high:
        drawing.line((x, y.at(of.low)), (x, y.at(of.high)), colour, wide=1.2)


def _thinned(ticks: Sequence[float], x: Scale) -> Sequence[float]:
    """As many of them as have room for what they say."""
    if len(ticks) < 2:
        return ticks
    apart = min(b - a for a, b in pairwise(sorted(map(x.at, ticks))))
    widest = max(width_of(x.label(tick)) for tick in ticks) + 6
    return ticks[:: max(1, math.ceil(widest / apart))]


# ---- the frame and the key ----------------------------------------------------------------------


def _framed(words: Words, x: Scale | None, y: Scale) -> Drawing:
    """A panel with its scales and their titles, and nothing in it."""
    drawing = Drawing(WIDTH, AREA.bottom + 42, words.title)
    drawing.text((8, 16), shortened(words.title, 52), bold=True)
    for tick in y.ticks:
        drawing.line((AREA.left, y.at(tick)), (AREA.right, y.at(tick)), "rule")
        drawing.text((AREA.left - 5, y.at(tick) + 4), y.label(tick), "soft", "end")
    if x is not None:
        for tick in _thinned(x.ticks, x):
            drawing.line((x.at(tick), AREA.bottom), (x.at(tick), AREA.bottom + 4), "soft")
            drawing.text((x.at(tick), AREA.bottom + 15), x.label(tick), "soft", "middle")
    drawing.line((AREA.left, AREA.bottom), (AREA.right, AREA.bottom), "soft")
    drawing.text(((AREA.left + AREA.right) / 2, AREA.bottom + 31), words.x, "soft", "middle")
    drawing.upright((13, (AREA.top + AREA.bottom) / 2), words.y)
    return drawing


def key(entries: Sequence[Entry]) -> Drawing:
    """What colours, shapes and numbers stand for, as wide as a panel."""
    lines: list[list[Entry]] = []
    taken = WIDTH
    for entry in entries:
        wide = _wide(entry)
        if taken + wide > WIDTH or bool(entry.mark) != bool(lines[-1][-1].mark):
            lines.append([])
            taken = 8.0
        lines[-1].append(entry)
        taken += wide
    drawing = Drawing(WIDTH, 12 + LINE * len(lines), "Key")
    for number, line in enumerate(lines):
        left = 8.0
        for entry in line:
            _key_entry(drawing, (left, 16 + LINE * number), entry)
            left += _wide(entry)
    return drawing


def _wide(entry: Entry) -> float:
    return _indent(entry) + width_of(shortened(entry.name, LONGEST_NAME)) + 8


def _indent(entry: Entry) -> float:
    return max(16.0, width_of(entry.mark) + 8)


def _key_entry(drawing: Drawing, at: tuple[float, float], entry: Entry) -> None:
    left, base = at
    if entry.mark:
        drawing.text((left, base), entry.mark, entry.colour, bold=True)
    else:
        drawing.mark((left + 5, base - 4), entry.shape, entry.colour)
    drawing.text((left + _indent(entry), base), shortened(entry.name, LONGEST_NAME))


def series(n: int) -> tuple[str, Shape]:
    """The colour and the shape of the n-th of things that are no kind: both differ from its neighbours'."""
    return f"series{n % 5}", SHAPES[(n + n // 5) % len(SHAPES)]
