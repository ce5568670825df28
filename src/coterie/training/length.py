"""What the length of two texts alone says of which is better, so that training can look past it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from coterie.training.preparing import Prepared
from coterie.training.quality import mean
from coterie.training.sampling import Places


def log_ratio(left: int, right: int) -> float:
    """Of two lengths in characters; 0 where they are equal."""
    return math.log1p(left) - math.log1p(right)


def slope(leads: Iterable[float], steps: int = 30) -> float:
    """The b that makes the better texts likeliest under sigma(b x), of their log ratios x to the worse ones.

    Newton's method on the log-likelihood with a Gaussian prior of variance 1 on b, so that it is finite even
    where the longer text is always the better one.
    """
    xs = list(leads)
    b = 0.0
    for _ in range(steps):
        likely = [(1 + math.tanh(b * x / 2)) / 2 for x in xs]  # sigma, which overflows nowhere
        gradient = math.fsum(x * (1 - p) for x, p in zip(xs, likely, strict=True)) - b
        curvature = math.fsum(x * x * p * (1 - p) for x, p in zip(xs, likely, strict=True)) + 1
        b += gradient / curvature
        if abs(gradient) < 1e-9 * max(1, len(xs)):
            break
    return b


def leads(drawn: Iterable[tuple[Prepared, Places]]) -> list[float]:
    """The log ratio of the better text's length to the worse one's, of every pair that differs in quality."""
    found = []
    for prepared, (a, b) in drawn:
        ahead = mean(prepared.qualities[a]) - mean(prepared.qualities[b])
        if ahead:
            found.append(math.copysign(1, ahead) * log_ratio(prepared.lengths[a], prepared.lengths[b]))
    return found
