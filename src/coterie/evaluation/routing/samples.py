"""Bootstrap intervals for figures that follow from how often a sample has each prompt.

All routers are measured on the same samples, so what is compared is paired. The draws are those of `resampling`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.evaluation.resampling import Draws
from coterie.evaluation.significance import Bootstrap, Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FOR_ROUTERS = Bootstrap(resamples=1000)

HELD = 2**18
"""Numbers held at once while resampling: what stays near the processor."""


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of the data, and of every sample of them; NaN where it has no value."""

    value: float
    drawn: Array
    """(samples,)"""
    n: int
    """Prompts behind it."""
    level: float

    def __sub__(self, other: Figure) -> Figure:
        """The difference, sample by sample."""
        return Figure(self.value - other.value, self.drawn - other.drawn, self.n, self.level)

    @property
    def estimate(self) -> Estimate:
        """The figure with its percentile interval, over the samples on which it has a value."""
        import numpy as np

        known = self.drawn[np.isfinite(self.drawn)]
        undefined = len(self.drawn) - len(known)
        value = self.value if np.isfinite(self.value) else None
        if value is None or self.n < 2 or not len(known):
            return Estimate(value, None, None, self.n, undefined=undefined)
        tail = (1 - self.level) / 2
        low, high = np.quantile(known, [tail, 1 - tail])
        return Estimate(value, float(low), float(high), self.n, undefined=undefined)


class Samples:
    """Samples of the prompts of a table, drawn once. Rows of one prompt are drawn together."""

    def __init__(self, prompts: Sequence[Hashable], bootstrap: Bootstrap = FOR_ROUTERS) -> None:
        self._draws = Draws(prompts, bootstrap)
        self._rows = len(prompts)
        self.bootstrap = bootstrap

    def figures(self, statistic: Callable[[Array], Array], width: int = 0) -> list[Figure]:
        """What `statistic` makes of weights [samples, rows], [samples, figures]: each column a figure.

        `width` is how many numbers it holds for one sample, where that is more than there are rows.
        """
        import numpy as np

        step = max(1, HELD // max(width, self._rows, 1))
        value = statistic(np.ones((1, self._rows)))[0]
        drawn = np.concatenate([statistic(weights) for weights in self._draws.weights(step)])
        n, level = self._draws.prompts, self.bootstrap.level
        return [Figure(float(one), many, n, level) for one, many in zip(value, drawn.T, strict=True)]

    def mean(self, values: Array) -> Figure:
        """The mean over rows."""
        [figure] = self.figures(lambda weights: (weights @ values / weights.sum(axis=1))[:, None])
        return figure
