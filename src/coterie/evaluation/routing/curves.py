"""Curves of quality over cost: broken lines through points that were measured, the last axis along the line.

Between two points of a curve lies what mixing the two decisions at random gives. Every function takes one curve or
many at once, as arrays [..., points].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

ROUNDING = 1e-12
"""Means that differ by less, relatively, are equal: they are sums of thousands of numbers."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def area(x: Array, y: Array) -> Array:
    """The integral of y over x along the line: trapezoids, backward steps counted as negative."""
    found: Array = ((x[..., 1:] - x[..., :-1]) * (y[..., 1:] + y[..., :-1]) / 2).sum(axis=-1)
    return found


def band_mean(x: Array, y: Array, low: Array, high: Array) -> Array:
    """The mean of y over x from `low` to `high`, both [...]; NaN where the band has no width.

    The line counts where it lies within the band. Up to its first point the first value holds and from its last
    point on the last one: a budget that is not spent buys no quality, and costs none.
    """
    import numpy as np

    low, high = np.asarray(low)[..., None], np.asarray(high)[..., None]
    inside = np.clip(x, low, high)
    start, step = x[..., :-1], np.diff(x, axis=-1)
    slope = np.divide(np.diff(y, axis=-1), step, out=np.zeros_like(step), where=step != 0)
    left = y[..., :-1] + slope * (inside[..., :-1] - start)
    right = y[..., :-1] + slope * (inside[..., 1:] - start)
    along = (np.diff(inside, axis=-1) * (left + right) / 2).sum(axis=-1)
    before = y[..., 0] * (inside[..., 0] - low[..., 0])
    after = y[..., -1] * (high[..., 0] - inside[..., -1])
    width = (high - low)[..., 0]
    mean: Array = np.divide(before + along + after, width, out=np.full(along.shape, np.nan), where=width > 0)
    return mean


def least(x: Array, y: Array, target: Array) -> Array:
    """The smallest x of the line where y is at least `target` [...]; NaN where it never is."""
    import numpy as np

    target = np.asarray(target)[..., None]
    there = np.where(y >= target, x, np.inf).min(axis=-1)
    rise = np.diff(y, axis=-1)
    crossed = (y[..., :-1] >= target) != (y[..., 1:] >= target)
    share = np.divide(target - y[..., :-1], rise, out=np.zeros_like(rise), where=crossed)
    between = np.where(crossed, x[..., :-1] + share * np.diff(x, axis=-1), np.inf)
    found = np.minimum(there, between.min(axis=-1, initial=np.inf))
    smallest: Array = np.where(np.isfinite(found), found, np.nan)
    return smallest


def first(x: Array, y: Array, target: Array) -> Array:
    """`least` for lines whose x never falls, where the first place is the smallest one; one pass instead of six."""
    import numpy as np

    # A vertex that the target touches is reached, whichever way its sums were rounded.
    reached = y >= (np.asarray(target) - ROUNDING * np.abs(target))[..., None]
    right = np.argmax(reached, axis=-1)[..., None]
    left = np.maximum(right - 1, 0)
    x0, x1, y0, y1 = (np.take_along_axis(of, place, axis=-1)[..., 0] for of in (x, y) for place in (left, right))
    share = np.minimum(1.0, np.divide(target - y0, y1 - y0, out=np.ones_like(y0), where=y1 > y0))
    found: Array = np.where(np.any(reached, axis=-1), x0 + share * (x1 - x0), np.nan)
    return found


def at(x: Array, y: Array, place: float) -> Array:
    """y at `place`, of lines whose x never falls; the first or the last value beyond the ends.

    Where the line stands upright, its end there counts.
    """
    import numpy as np

    if x.shape[-1] == 1:
        alone: Array = y[..., 0]
        return alone
    right = np.clip((x <= place).sum(axis=-1), 1, x.shape[-1] - 1)[..., None]
    x0, x1 = (np.take_along_axis(x, right - n, axis=-1)[..., 0] for n in (1, 0))
    y0, y1 = (np.take_along_axis(y, right - n, axis=-1)[..., 0] for n in (1, 0))
    wide = x1 - x0
    share = np.clip(np.divide(place - x0, wide, out=np.ones_like(wide), where=wide > 0), 0.0, 1.0)
    value: Array = y0 + share * (y1 - y0)
    return value


def hull(x: Array, y: Array) -> tuple[Array, Array]:
    """The least concave line that never falls above all points of one curve: what mixing them can reach.

    It begins at the cheapest point and ends at the best one, the cheapest of several. RouterBench's "non-decreasing
    convex hull" (2403.12031, section 3).
    """
    import numpy as np

    order = np.lexsort((-y, x))
    kept: list[int] = []
    for n in order:
        if kept and y[n] <= y[kept[-1]]:
            continue
        while len(kept) > 1 and _below(x, y, kept[-2], kept[-1], n):
            kept.pop()
        kept.append(int(n))
    return x[kept], y[kept]


def _below(x: Array, y: Array, a: int, b: int, c: int) -> bool:
    """True where b does not lie above the line from a to c."""
    return bool((y[b] - y[a]) * (x[c] - x[a]) <= (y[c] - y[a]) * (x[b] - x[a]))
