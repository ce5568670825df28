"""What routing among many members is worth: against the best single member, a random one, and the oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coterie.evaluation.routing.curves import least

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def saved(cost: Array, quality: Array, single_cost: Array, single_quality: Array) -> Array:
    """The share of the best single member's cost that a router's curve saves at that member's quality.

    Curves [..., points]. Below 0 where the router pays more for it; NaN where it never reaches the quality.
    """
    import numpy as np

    paid = least(cost, quality, single_quality)
    share: Array = np.divide(paid, single_cost, out=np.full(np.shape(paid), np.nan), where=np.asarray(single_cost) > 0)
    return 1 - share


def closed(quality: Array, single: Array, oracle: Array) -> Array:
    """The share of the way from the best single member to the oracle; NaN where there is none between them."""
    import numpy as np

    gap = np.asarray(oracle - single)
    found: Array = np.divide(quality - single, gap, out=np.full(np.shape(quality - gap), np.nan), where=gap > 0)
    return found


def relative(quality: Array, rival: Array) -> Array:
    """(quality - rival) / rival.

    LLMRouterBench's Gain@R against a member drawn at random and Gain@B against the best single one, and less than 0
    its Gap@O against the oracle (2601.07206, section 3.2, as others restate it; there, means over data sets).
    """
    import numpy as np

    found: Array = np.divide(quality - rival, rival, out=np.full(np.shape(quality - rival), np.nan), where=rival > 0)
    return found
