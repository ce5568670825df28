"""Whether expected scores are true: what was observed among prompts of which about the same was expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Forecasts that lie close together."""

    expected: float
    observed: float
    n: int


def reliability(expected: Array, observed: Array, bins: int = BINS) -> tuple[Bin, ...]:
    """At most so many bins of about equally many forecasts, lowest first; equal forecasts share a bin.

    Both of one shape. Pairs of which either is unknown (NaN) are left out.
    """
    import numpy as np

    there = ~(np.isnan(expected) | np.isnan(observed))
    x, y = expected[there], observed[there]
    if not len(x):
        return ()
    cuts = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    place = np.searchsorted(cuts, x, side="right")
    parts = [(x[place == n], y[place == n]) for n in range(len(cuts) + 1)]
    return tuple(Bin(float(of.mean()), float(seen.mean()), len(of)) for of, seen in parts if len(of))


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Expected calibration error: the mean distance of a bin's observed score from the expected one; NaN for none."""
    n = sum(of.n for of in bins)
    return sum(of.n * abs(of.observed - of.expected) for of in bins) / n if n else float("nan")


def squared_error(expected: Array, observed: Array) -> float:
    """The mean squared error of known forecasts: Brier's score where scores are 0 or 1."""
    import numpy as np

    return float(np.nanmean((expected - observed) ** 2))
