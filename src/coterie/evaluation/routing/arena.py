"""RouterArena's score: accuracy and cost in one number (RouteWorks/RouterArena 4714a9a, llm_evaluation/run.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BETA = 0.1
DEAREST_USD = 200.0
CHEAPEST_USD = 0.0044
"""Of 1000 queries: the ends between which costs are graded by their logarithm."""


def arena_score(accuracy: Array | float, usd_per_1000: Array | float, beta: float = BETA) -> Array:
    """(1 + beta) A C / (beta A + C), where C = log2(200 / c) / log2(200 / 0.0044) and c is USD for 1000 queries.

    Accuracy in [0, 1]. A weighted harmonic mean, in which cost weighs less as `beta` falls. Costs beyond the ends are
    taken as the ends. Raises `ValueError` for a cost that is not above 0: an unknown price makes no score, as
    RouterArena's own checks have it.
    """
    import numpy as np

    a, usd = np.asarray(accuracy, dtype=np.float64), np.asarray(usd_per_1000, dtype=np.float64)
    if not (usd > 0).all():
        raise ValueError(f"a cost is above 0, not {usd.min():g} USD for 1000 queries")
    if not ((a >= 0) & (a <= 1)).all():
        raise ValueError(f"an accuracy lies between 0 and 1, not from {a.min():g} to {a.max():g}")
    graded = np.log2(DEAREST_USD / np.clip(usd, CHEAPEST_USD, DEAREST_USD)) / np.log2(DEAREST_USD / CHEAPEST_USD)
    below = beta * a + graded
    score: Array = np.divide((1 + beta) * a * graded, below, out=np.zeros(below.shape), where=below > 0)
    return score
