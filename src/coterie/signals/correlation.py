"""How near two lists of numbers are to each other in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby


def pearson(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Pearson's r, in [-1, 1]; ``None`` where one side does not vary, which includes a single pair and none."""
    n = len(xs)
    if n != len(ys):
        raise ValueError(f"{n} numbers cannot be paired with {len(ys)}")
    if n < 2:
        return None
    mean_x, mean_y = math.fsum(xs) / n, math.fsum(ys) / n
    var_x = math.fsum((x - mean_x) ** 2 for x in xs)
    var_y = math.fsum((y - mean_y) ** 2 for y in ys)
    if var_x == 0 or var_y == 0:
        return None
    together = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return max(-1.0, min(1.0, together / math.sqrt(var_x * var_y)))


def mid_ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value, 1 for the least; equal ones share the mean of their ranks."""
    places = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    below = 0
    for _, tied in groupby(places, key=values.__getitem__):
        group = list(tied)
        for place in group:
            ranks[place] = below + (len(group) + 1) / 2
        below += len(group)
    return ranks


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's rho: Pearson's r of the ranks, equal values sharing their mean rank."""
    return pearson(mid_ranks(xs), mid_ranks(ys))


@dataclass(frozen=True)
class Pairs:
    """The pairs of one list or of several, counted as Kendall's tau counts them."""

    lead: int
    """Those in one order on both sides, less those in opposite orders."""
    ordered_x: int
    """Those that the first side does not tie."""
    ordered_y: int

    @classmethod
    def of(cls, xs: Sequence[float], ys: Sequence[float]) -> Pairs:
        signs = [(_sign(x, v), _sign(y, w)) for (x, y), (v, w) in combinations(zip(xs, ys, strict=True), 2)]
        return cls(
            sum(x * y for x, y in signs),
            sum(x != 0 for x, _ in signs),
            sum(y != 0 for _, y in signs),
        )

    @classmethod
    def pooled(cls, parts: Iterable[Pairs]) -> Pairs:
        """Pairs inside each part; none between two of them."""
        counted = list(parts)
        return cls(
            sum(part.lead for part in counted),
            sum(part.ordered_x for part in counted),
            sum(part.ordered_y for part in counted),
        )

    @property
    def tau_b(self) -> float | None:
        """Kendall's tau-b; ``None`` where one side ties everything, which includes fewer than two numbers."""
        if not (self.ordered_x and self.ordered_y):
            return None
        return self.lead / math.sqrt(self.ordered_x * self.ordered_y)


def tau_b(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Kendall's tau-b (Kendall, "The treatment of ties in ranking problems", 1945), in [-1, 1]; ``None`` as `Pairs`."""
    return Pairs.of(xs, ys).tau_b


def _sign(a: float, b: float) -> int:
    return (a > b) - (a < b)
