"""RouterBench's AIQ, average improvement in quality (2403.12031, section 3): one number for a curve over cost.

The curve is that of `sweeps.by_utility`, whose price of quality is one over RouterBench's willingness to pay. There a
grid of it is tried, here every value at which a choice changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coterie.evaluation.routing.curves import area, hull

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def aiq(cost: Array, quality: Array, low: float, high: float) -> float:
    """The mean height of the non-decreasing convex hull from cost `low` to `high`; NaN where there is no width.

    The paper's definition. Left of the hull's first point its first value counts, and right of its last the last.
    """
    import numpy as np

    x, y = hull(cost, quality)
    if not high > low:
        return float("nan")
    places = np.unique(np.concatenate([[low, high], x[(x > low) & (x < high)]]))
    return float(area(places, np.interp(places, x, y)) / (high - low))


def routerbench_aiq(cost: Array, quality: Array, high: float) -> float:
    """The area under the hull up to cost `high`, over `high`, as the code of RouterBench has it (withmartian cc67d10).

    `high` is the largest cost of anything compared. What lies left of the hull's first point counts as quality 0, so a
    router loses by being unable to spend nothing. Only routers held against the same `high` can be compared.
    """
    import numpy as np

    x, y = hull(cost, quality)
    return float(area(np.append(x, high), np.append(y, y[-1])) / high) if high > 0 else float("nan")
