"""How sure a figure is: percentile bootstrap intervals over prompts (Efron 1979), alone or for a paired difference.

What was measured once for each prompt is drawn again with replacement, prompts whole, and the figure computed
anew each time. The same seed draws the same prompts, whatever is measured on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coterie.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Statistic = Callable[[Array], Array]
    """Figures [samples], of rows [samples, n] or [samples, n, columns]."""

Row = float | None | Sequence[float | None]
"""What was measured on one prompt: a number, or several. ``None`` and NaN are missing."""

DRAWN_AT_ONCE = 2_000_000
"""Rows held at once while resampling."""


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made."""

    resamples: int = 10_000
    level: float = 0.95
    """How often such an interval is meant to hold the true value."""
    seed: int = 42

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise ValueError(f"resamples is at least 1, not {self.resamples!r}")
        if not 0 < self.level < 1:
            raise ValueError(f"level lies between 0 and 1, not at {self.level!r}")


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval it was measured with."""

    value: float | None
    """``None`` where there is no row, or the statistic has no value on the rows."""
    low: float | None
    high: float | None
    """``None``, both, for fewer than two rows: one prompt says nothing of how prompts vary."""
    n: int
    """Rows it was computed of."""
    missing: int = 0
    """Rows left out because something in them is missing."""
    undefined: int = 0
    """Resamples on which the statistic has no value; the interval is of the others."""


@dataclass(frozen=True)
class Difference:
    """One way's figure less another's, on the prompts where both were measured."""

    estimate: Estimate
    wins: int
    ties: int
    losses: int

    @property
    def clear(self) -> bool | None:
        """True when the interval does not hold 0; ``None`` where there is no interval."""
        low, high = self.estimate.low, self.estimate.high
        return None if low is None or high is None else low > 0 or high < 0


STANDARD = Bootstrap()


def mean(rows: Array) -> Array:
    """The mean of each sample."""
    means: Array = rows.mean(axis=1)
    return means


def estimate(rows: Sequence[Row], statistic: Statistic = mean, bootstrap: Bootstrap = STANDARD) -> Estimate:
    """`statistic` of `rows`, one for each prompt, with its percentile interval.

    A row in which anything is missing is left out whole, and counted. Raises `ValueError` for an infinite
    value, for rows of different lengths, and for a statistic that does not give one figure a sample.
    """
    known, missing = _known(rows)
    n = len(known)
    if n == 0:
        return Estimate(None, None, None, 0, missing)
    figure = float(_figures(statistic, known[None])[0])
    value = None if math.isnan(figure) else figure
    if n == 1 or value is None:
        return Estimate(value, None, None, n, missing)
    low, high, undefined = _interval(_resampled(known, statistic, bootstrap), bootstrap.level)
    return Estimate(value, low, high, n, missing, undefined)


def difference(
    ours: Sequence[float | None],
    theirs: Sequence[float | None],
    statistic: Statistic = mean,
    bootstrap: Bootstrap = STANDARD,
    *,
    tie: float = 0.0,
) -> Difference:
    """`statistic` of `ours` less that of `theirs`, both on the same prompts: in the data, and in each resample.

    The two stand in the order of the prompts; a prompt on which either is missing is left out. Values no
    further apart than `tie` are a tie. Raises `ValueError` like `estimate`, and where the lengths differ.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired values stand prompt by prompt: {len(ours)} and {len(theirs)} cannot be paired")
    if tie < 0:
        raise ValueError(f"a tie is no difference below 0: {tie!r}")
    pairs = list(zip(ours, theirs, strict=True))
    known, _ = _known(pairs)
    gains = [float(a - b) for a, b in known]
    wins, losses = sum(gain > tie for gain in gains), sum(gain < -tie for gain in gains)
    found = estimate(pairs, lambda rows: statistic(rows[..., 0]) - statistic(rows[..., 1]), bootstrap)
    return Difference(found, wins, len(gains) - wins - losses, losses)


def _known(rows: Sequence[Row]) -> tuple[Array, int]:
    """The rows in which nothing is missing, [n] or [n, columns], and how many others there are."""
    np = _numpy()
    try:
        array = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"rows differ in length, or hold something else than numbers: {error}") from error
    if np.isinf(array).any():
        place = int(np.argwhere(np.isinf(array))[0][0])
        raise ValueError(f"row {place} holds an infinite value, of which no interval can be made: {rows[place]!r}")
    missing = np.isnan(array) if array.ndim == 1 else np.isnan(array).any(axis=1)
    return array[~missing], int(missing.sum())


def _resampled(rows: Array, statistic: Statistic, bootstrap: Bootstrap) -> Array:
    """The statistic of each resample. What is drawn depends on the seed and the number of rows alone."""
    np = _numpy()
    rng = np.random.default_rng(bootstrap.seed)
    step = max(1, DRAWN_AT_ONCE // len(rows))
    parts = []
    for start in range(0, bootstrap.resamples, step):
        drawn = rng.integers(0, len(rows), size=(min(step, bootstrap.resamples - start), len(rows)))
        parts.append(_figures(statistic, rows.take(drawn, axis=0)))
    figures: Array = np.concatenate(parts)
    return figures


def _figures(statistic: Statistic, samples: Array) -> Array:
    np = _numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = np.asarray(statistic(samples), dtype=np.float64)
    if figures.shape != samples.shape[:1]:
        raise ValueError(
            f"the statistic gave an array {figures.shape!r} for {len(samples)} samples: it gives one figure a sample"
        )
    defined: Array = np.where(np.isfinite(figures), figures, np.nan)
    return defined


def _interval(figures: Array, level: float) -> tuple[float | None, float | None, int]:
    np = _numpy()
    defined = figures[~np.isnan(figures)]
    undefined = len(figures) - len(defined)
    if not len(defined):
        return None, None, undefined
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), undefined


def _numpy() -> Any:
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtra("a bootstrap interval", "eval", "numpy") from error
    return np
