"""What all routers of one comparison are measured on: the same prompts, members, costs and samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.evaluation.routing.costs import Costs, Given, costs_of
from coterie.evaluation.routing.samples import FOR_ROUTERS, Samples
from coterie.evaluation.significance import Bootstrap
from coterie.examples.split import text_key
from coterie.outcomes.outcome import Outcomes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two members, of which one is asked only where it is worth it."""

    weak: str
    strong: str


@dataclass(frozen=True, eq=False)
class Ground:
    """Outcomes in which every score is known, and how intervals are made on them."""

    outcomes: Outcomes
    pair: Pair | None = None
    """Set where only two members are compared, by the share of calls."""
    costs: Costs | None = None
    unpriced: str = ""
    """Why there are no costs."""
    bootstrap: Bootstrap = FOR_ROUTERS
    folds: NDArray[np.int64] | None = None
    """(prompts,): which prompts one router forecasts, where each fold has a router of its own."""

    def __len__(self) -> int:
        return len(self.outcomes)

    @cached_property
    def samples(self) -> Samples:
        """Prompts that differ in case and white space alone are drawn together, as they are split together."""
        return Samples([text_key(prompt) for prompt in self.outcomes.prompts], self.bootstrap)

    @property
    def scores(self) -> Array:
        return self.outcomes.scores

    @property
    def weak(self) -> Array:
        """Scores of the pair's weak member."""
        return self._column(self._pair.weak)

    @property
    def strong(self) -> Array:
        return self._column(self._pair.strong)

    @property
    def best_single(self) -> int:
        """The member of highest mean score on these very prompts, the cheaper of equals: the hardest one to beat."""
        import numpy as np

        means = self.scores.mean(axis=0)
        usd = self.costs.usd.mean(axis=0) if self.costs else np.zeros(len(means))
        return int(np.lexsort((usd, -means))[0])

    def preference(self, quality: Array) -> Array:
        """How much more is expected of the strong member than of the weak one, (prompts,)."""
        members = self.outcomes.members
        difference: Array = quality[:, members.index(self._pair.strong)] - quality[:, members.index(self._pair.weak)]
        return difference

    def part(self, rows: NDArray[np.int64]) -> Ground:
        """The same comparison on some of the prompts."""
        costs = replace(self.costs, usd=self.costs.usd[rows]) if self.costs else None
        folds = None if self.folds is None else self.folds[rows]
        return replace(self, outcomes=self.outcomes.rows(rows), costs=costs, folds=folds)

    @property
    def _pair(self) -> Pair:
        if self.pair is None:
            raise ValueError("no pair was named")
        return self.pair

    def _column(self, member: str) -> Array:
        column: Array = self.scores[:, self.outcomes.members.index(member)]
        return column


def complete(outcomes: Outcomes) -> tuple[Outcomes, int]:
    """The prompts on which every member's score is known, and how many others there are. Raises `ConfigError` for none.

    Where a member has no score, nothing can be said of a router that chooses it.
    """
    import numpy as np

    whole = np.flatnonzero(~np.isnan(outcomes.scores).any(axis=1))
    if not len(whole):
        known = {m: int((~np.isnan(outcomes.scores[:, n])).sum()) for n, m in enumerate(outcomes.members)}
        raise ConfigError(f"there is no prompt on which every member has a score; prompts with one: {known!r}")
    return outcomes.rows(whole), len(outcomes) - len(whole)


def ground_of(
    outcomes: Outcomes,
    pair: Pair | None = None,
    given: Given = Given(),  # noqa: B008 - a frozen one
    bootstrap: Bootstrap = FOR_ROUTERS,
) -> Ground:
    """The ground of a comparison on outcomes that are `complete`; without costs where a member's price is unknown.

    Raises `ConfigError` for a pair that is not among the members, or is one member.
    """
    if len(outcomes.members) < 2:
        raise ConfigError(f"there is nothing to route between with {list(outcomes.members)!r} alone")
    if pair is not None:
        if pair.weak == pair.strong:
            raise ConfigError(f"weak and strong are two members, not {pair.weak!r} twice")
        outcomes = outcomes.of((pair.weak, pair.strong))
    try:
        costs, unpriced = costs_of(outcomes, given), ""
    except ConfigError as error:
        if given.usd or given.prices:
            raise
        costs, unpriced = None, str(error)
    return Ground(outcomes, pair, costs, unpriced, bootstrap)


def likely_pair(outcomes: Outcomes) -> Pair:
    """The two members of outcomes that have two, the one of higher mean score the strong one."""
    first, second = outcomes.members
    means = outcomes.scores.mean(axis=0)
    return Pair(first, second) if means[1] >= means[0] else Pair(second, first)
