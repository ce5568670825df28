"""Bootstrap samples that a whole table shares (the intervals are those of `significance`).

All examples of one prompt are drawn together, since they are not independent. Every number of a table is computed
on the same samples, so that whatever is compared in it is paired; and since a sample is how often it has each
prompt, a column of numbers costs one product of matrices.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from coterie.errors import MissingExtra
from coterie.evaluation.significance import Bootstrap, Estimate

Floats = Any
"""An array of numbers, one for each example."""

Ratio = tuple[Floats, Floats]
"""What each example adds to a sum, and to the number it is divided by; 0 and 0 where it says nothing."""

FOR_TABLES = Bootstrap(resamples=2000)


class Draws:
    """Samples of the prompts behind a list of examples."""

    def __init__(self, prompts: Sequence[Hashable], bootstrap: Bootstrap = FOR_TABLES) -> None:
        """`prompts`: of each example something that is equal for examples of one prompt. Raises `MissingExtra`."""
        np = _numpy()
        numbers: dict[Hashable, int] = {}
        self._prompt = np.array([numbers.setdefault(prompt, len(numbers)) for prompt in prompts], dtype=np.int64)
        self.prompts = len(numbers)
        """Different ones."""
        self.bootstrap = bootstrap
        chances = np.full(self.prompts, 1 / max(1, self.prompts))
        rng = np.random.default_rng(bootstrap.seed)
        drawn = rng.multinomial(self.prompts, chances, size=bootstrap.resamples) if self.prompts else np.zeros((1, 0))
        self._times = drawn.astype(np.float64)
        """[resamples, prompts]: how often each sample has each prompt."""

    def weights(self, at_once: int) -> Iterator[Floats]:
        """How often each sample has each example, so many samples at once: [samples, examples]."""
        for start in range(0, len(self._times), at_once):
            yield self._times[start : start + at_once, self._prompt]

    def ratio(self, of: Ratio) -> Estimate | None:
        """The one sum over the other; ``None`` where no example says anything."""
        there = of[1] > 0
        if not there.any():
            return None
        return self._estimate(float(of[0].sum() / of[1].sum()), self._ratios(of), there)

    def difference(self, one: Ratio, other: Ratio) -> Estimate | None:
        """The one's ratio less the other's, over the examples of which both say something."""
        np = _numpy()
        both = (one[1] > 0) & (other[1] > 0)
        if not both.any():
            return None
        a, b = ((np.where(both, part[0], 0.0), np.where(both, part[1], 0.0)) for part in (one, other))
        value = a[0].sum() / a[1].sum() - b[0].sum() / b[1].sum()
        return self._estimate(float(value), self._ratios(a) - self._ratios(b), both)

    def correlation(
        self, value: float, pairs: Mapping[str, Sequence[tuple[int, int, int]]], *, of_ranks: bool
    ) -> Estimate:
        """An interval for `value`, the mean over models of a correlation between small whole numbers.

        `pairs`: for each model (example, x, y). Pearson's correlation, or Spearman's where it is `of_ranks`. Since
        ranks take few values, a sample's correlation follows from how often it has each pair of them.
        """
        np = _numpy()
        there = np.zeros(len(self._prompt), dtype=bool)
        found: list[Any] = []
        for triples in pairs.values():
            examples, xs, ys = np.array(triples, dtype=np.int64).T
            there[examples] = True
            found.append(correlations(self._counts(examples, xs, ys), of_ranks=of_ranks))
        return self._estimate(value, np.mean(found, axis=0), there)

    def _ratios(self, of: Ratio) -> Any:
        np = _numpy()
        above, below = (self._times @ np.bincount(self._prompt, part, self.prompts) for part in of)
        with np.errstate(invalid="ignore", divide="ignore"):
            return above / below

    def _counts(self, examples: Any, xs: Any, ys: Any) -> Any:
        """[resamples, x, y]: how often each sample has each pair of values."""
        np = _numpy()
        wide, high = int(xs.max()) + 1, int(ys.max()) + 1
        of_prompt = np.zeros((self.prompts, wide * high))
        np.add.at(of_prompt, (self._prompt[examples], xs * high + ys), 1.0)
        return (self._times @ of_prompt).reshape(-1, wide, high)

    def _estimate(self, value: float, drawn: Any, there: Any) -> Estimate:
        """`value` between the quantiles of what the samples gave, unless a single prompt is behind it."""
        np = _numpy()
        known = drawn[np.isfinite(drawn)]
        undefined = len(drawn) - len(known)
        if len(set(self._prompt[there].tolist())) < 2 or not len(known):
            return Estimate(value, None, None, int(there.sum()), undefined=undefined)
        tail = (1 - self.bootstrap.level) / 2
        low, high = np.quantile(known, [tail, 1 - tail])
        return Estimate(value, float(low), float(high), int(there.sum()), undefined=undefined)


def correlations(counts: Any, *, of_ranks: bool) -> Any:
    """Of each sample the correlation of its pairs of values, given as counts [resamples, x, y]; NaN for a constant."""
    np = _numpy()
    of_x, of_y = counts.sum(axis=2), counts.sum(axis=1)
    xs, ys = (_mid_ranks(of) if of_ranks else np.broadcast_to(np.arange(of.shape[1]), of.shape) for of in (of_x, of_y))
    n = of_x.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = (of_x * xs).sum(axis=1) / n, (of_y * ys).sum(axis=1) / n
        off_x, off_y = xs - mean_x[:, None], ys - mean_y[:, None]
        both = np.einsum("rxy,rx,ry->r", counts, off_x, off_y)
        spread = (of_x * off_x**2).sum(axis=1) * (of_y * off_y**2).sum(axis=1)
        return both / np.sqrt(np.where(spread > 0, spread, np.nan))


def _mid_ranks(counts: Any) -> Any:
    """Of each value the mean rank of those that were drawn with it."""
    return counts.cumsum(axis=1) - (counts - 1) / 2


def _numpy() -> Any:
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtra("a bootstrap interval", "eval", "numpy") from error
    return np
