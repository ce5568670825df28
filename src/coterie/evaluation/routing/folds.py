"""Forecasts of several routers, one a fold, made comparable with each other.

Each fold is forecast by a router that learned from the others, and has a level of its own: above the mean where the
fold itself is a hard one, since that is what it did not learn from. One threshold over all folds would sort them by
that, in the wrong order, and put a router that knows nothing below chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Places = NDArray[np.int64]


def levelled(quality: Array, folds: Places) -> Array:
    """`quality` (prompts, members), shifted in each fold (prompts,) so that a member's median is the same in all.

    Medians, so that forecasts which are equal within their folds are equal to the last bit over all of them. Only
    forecasts are looked at, no outcome. NaN stays.
    """
    import numpy as np

    found = quality.copy()
    for column in range(quality.shape[1]):
        known = ~np.isnan(quality[:, column])
        for fold in np.unique(folds[known]):
            rows = known & (folds == fold)
            found[rows, column] -= np.median(quality[rows, column])
        if known.any():
            found[known, column] += np.median(quality[known, column])
    return found
