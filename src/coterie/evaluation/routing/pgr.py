"""Performance gap recovered, of two members (RouteLLM, 2406.18665, section 3), with ties taken in expectation.

PGR says how much of the way from the weak member's quality to the strong one's a router goes. APGR is its mean over all
shares of strong calls, and CPT(x) the least share of strong calls at which it reaches x.

Here the curve passes through every threshold that there is, and between two of them decisions are mixed at random. So
prompts with equal preferences are sent to the strong member in no order, which is the mean over all orders: constant
preferences give APGR 1/2 exactly, and CPT(x) = x. What RouteLLM's own code computes stands in `routellm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coterie.evaluation.routing.curves import ROUNDING, area, at, first

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEVELS = (0.2, 0.5, 0.8)
"""The PGR that CPT is told of."""

KEYS = ("apgr", "auc", *(f"cpt{level:.0%}".removesuffix("%") for level in LEVELS), "half")


def pgr(quality: Array, weak: Array, strong: Array) -> Array:
    """(quality - weak) / (strong - weak); NaN where the strong member is no better than the weak one."""
    import numpy as np

    gap = np.asarray(strong - weak)
    found: Array = np.divide(
        quality - weak, gap, out=np.full(np.shape(quality - gap), np.nan), where=better(strong, weak)
    )
    return found


def better(strong: Array, weak: Array) -> NDArray[np.bool_]:
    """Where the strong member's quality is the higher one, by more than rounding."""
    import numpy as np

    found: NDArray[np.bool_] = np.asarray(strong - weak > ROUNDING * np.maximum(np.abs(strong), np.abs(weak)))
    return found


def of_curves(share: Array, quality: Array) -> Array:
    """APGR, AUC, CPT(20 %), CPT(50 %), CPT(80 %) and the quality at half of the calls, [curves, 6], named in `KEYS`.

    Curves [curves, points] of a sweep of preferences, from no call of the strong member to all. AUC is the mean
    quality over all shares of calls. NaN where the strong member is no better.
    """
    import numpy as np

    weak, strong = quality[:, 0], quality[:, -1]
    auc = area(share, quality)
    targets = [weak + level * (strong - weak) for level in LEVELS]
    cpt = [np.where(better(strong, weak), first(share, quality, target), np.nan) for target in targets]
    return np.stack([pgr(auc, weak, strong), auc, *cpt, at(share, quality, 0.5)], axis=1)


def oracle_curve(weak: Array, strong: Array) -> tuple[Array, Array]:
    """The best quality there is at each share of strong calls, (points,) each: RouteLLM's "Optimal".

    The prompts that gain most go first, and none that would lose.
    """
    import numpy as np

    gains = np.sort(np.maximum(strong - weak, 0.0))[::-1]
    n = len(gains)
    share = np.arange(n + 1) / n
    return share, weak.mean() + np.append(0.0, np.cumsum(gains)) / n
