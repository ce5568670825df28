"""Names beside points, none over another name or point: greedily, each at the nearest place that is free."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from coterie.evaluation.blending.svg import SIZE, width_of

RADII = (9.0, 15.0, 22.0, 31.0, 42.0, 56.0, 74.0, 96.0)
"""How far from its point a name may stand, in units."""

DIRECTIONS = 32

NEAR = 12.0
"""Up to where it needs no line to its point."""

STEP = 6.0
"""Side of the squares that a line is held to be made of."""

POINT = 5.5
"""Half the side of the square that a point's mark is held to take."""


@dataclass(frozen=True)
class Box:
    """A rectangle, as its sides."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True)
class Label:
    """A name in its place."""

    text: str
    box: Box
    point: tuple[float, float]

    @property
    def at(self) -> tuple[float, float]:
        """Where its base line begins."""
        return self.box.left, self.box.bottom - 3

    @property
    def lead(self) -> tuple[float, float] | None:
        """Where a line from its point should end; ``None`` where it stands near enough."""
        x, y = self.point
        end = (min(max(x, self.box.left), self.box.right), min(max(y, self.box.top), self.box.bottom))
        return end if math.dist(end, self.point) > NEAR else None


def place(
    points: Sequence[tuple[float, float]], names: Sequence[str], area: Box, bars: Sequence[Box] = ()
) -> list[Label]:
    """Labels within the area, over as few `bars` as can be. A name that finds no room is left out."""
    marks = [Box(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    placed: list[Label] = []
    for point, name in zip(points, names, strict=True):
        taken = [*marks, *(label.box for label in placed)]
        free = [box for box in _around(point, name) if area.holds(box) and not any(map(box.meets, taken))]
        if free:
            clear = (box for box in free if not any(map(box.meets, bars)))
            best = next(clear, None) or min(free, key=lambda box: sum(map(box.meets, bars)))
            placed.append(Label(name, best, point))
    return placed


def along(path: Sequence[tuple[float, float]]) -> Iterator[Box]:
    """Small boxes in a row under a line, for names to keep clear of."""
    for (ax, ay), (bx, by) in pairwise(path):
        steps = max(1, math.ceil(math.dist((ax, ay), (bx, by)) / STEP))
        for n in range(steps):
            x, y = ax + (bx - ax) * (n + 0.5) / steps, ay + (by - ay) * (n + 0.5) / steps
            yield Box(x - STEP / 2, y - STEP / 2, x + STEP / 2, y + STEP / 2)


def _around(point: tuple[float, float], name: str) -> Iterator[Box]:
    """Boxes for the name, the nearest first, and of those as near the right one first."""
    wide, high = width_of(name), SIZE + 2.0
    for radius in RADII:
        for turn in range(DIRECTIONS):
            angle = (turn + 1) // 2 * math.tau / DIRECTIONS * (-1) ** turn
            x, y = point[0] + radius * math.cos(angle), point[1] - radius * math.sin(angle)
            left = x - wide * (1 - math.cos(angle)) / 2
            top = y - high * (1 + math.sin(angle)) / 2
            yield Box(left, top, left + wide, top + high)
