"""FORC's assignments: who answers which query of a batch, decided for all of them at once.

"Fly-Swat or Cannon?" (FORC, 2308.06077) assigns each query to one model or to none, by predicted quality and cost.
Its five strategies are functions here, over arrays of (queries, members): `single`, `performance_maximizing`,
`thresholding`, `greedy` and `integer_program`. A member whose quality or cost is unknown (NaN) is given no query that
the strategy would have to weigh it for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from coterie.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NOBODY = -1
"""In place of a member: the query is left unsolved."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """Who answers which query, and what that is expected to achieve."""

    chosen: NDArray[np.int64]
    """(queries,): the member's column, or `NOBODY`."""
    quality: float
    """Sum of the expected qualities of those who were chosen."""
    cost_usd: float
    """Sum of their expected costs; NaN where one of them is unknown."""
    optimal: bool = True
    """False where the solver's time was over before it had proved that nothing is better."""

    @property
    def unsolved(self) -> int:
        return int((self.chosen == NOBODY).sum())


@dataclass(frozen=True)
class Program:
    """FORC's integer program: what is maximised, and within which limits.

    With neither limit it maximises `alpha * quality - (1 - alpha) * cost`; with a budget alone, quality; with a wanted
    quality alone, minus the cost. `weighs` overrides that. Each query that is left unsolved costs `nonsolved_penalty`.
    """

    budget_usd: float | None = None
    """For the whole batch."""
    wanted_quality: float | None = None
    """Sum of expected qualities over the batch; below 1 their mean, rounded to whole queries as the paper does."""
    weighs: Literal["auto", "quality", "cost", "both", "spending"] = "auto"
    """``spending`` maximises quality and what is spent of the budget, both (the code's ``maximise_budget``)."""
    alpha: float = 0.5
    nonsolved_penalty: float = 0.0
    binarize_above: float | None = None
    """Qualities above it count as 1, the others as 0; as they are where left out."""
    time_limit_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha <= 1.0:
            raise ValueError(f"alpha lies between 0 and 1, not at {self.alpha!r}")
        for name in ("budget_usd", "wanted_quality", "nonsolved_penalty"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must be 0 or more, not {value!r}")
        if not self.time_limit_s > 0:
            raise ValueError(f"time_limit_s must be greater than 0, not {self.time_limit_s!r}")


# ---- without a program ------------------------------------------------------------------------


def single(quality: Floats, cost_usd: Floats, member: int) -> Assignment:
    """Every query to one member."""
    _check(quality, cost_usd)
    return _assigned(np.full(len(quality), member, dtype=np.int64), quality, cost_usd)


def performance_maximizing(quality: Floats, cost_usd: Floats) -> Assignment:
    """Each query to the member of highest expected quality, whatever it costs; the first one of equals."""
    _check(quality, cost_usd)
    known = np.where(np.isnan(quality), -np.inf, quality)
    return _assigned(_or_nobody(known.argmax(axis=1), _any(np.isfinite(known))), quality, cost_usd)


def thresholding(
    quality: Floats,
    cost_usd: Floats,
    threshold: float = 0.5,
    *,
    otherwise: Literal["dearest", "cheapest"] = "dearest",
    several: Literal["cheapest", "dearest"] = "cheapest",
) -> Assignment:
    """Each query to the cheapest (or dearest) member with a quality above `threshold`; without one, to `otherwise`."""
    _check(quality, cost_usd)
    weighed = ~(np.isnan(quality) | np.isnan(cost_usd))
    enough = weighed & (quality > threshold)
    chosen = np.where(enough.any(axis=1), _extreme(cost_usd, enough, several), _extreme(cost_usd, weighed, otherwise))
    return _assigned(_or_nobody(chosen, _any(weighed)), quality, cost_usd)


def greedy(quality: Floats, cost_usd: Floats, budget_usd: float) -> Assignment:
    """One query after the other to its best member, if that one fits what is left of the budget; else to nobody.

    As in the paper: nobody falls back to a cheaper member, and a query that does not fit does not end the others.
    """
    _check(quality, cost_usd)
    best = performance_maximizing(np.where(np.isnan(cost_usd), np.nan, quality), cost_usd).chosen
    left = budget_usd
    chosen = np.full(len(quality), NOBODY, dtype=np.int64)
    for query, member in enumerate(best):
        if member != NOBODY and cost_usd[query, member] <= left:
            chosen[query] = member
            left -= cost_usd[query, member]
    return _assigned(chosen, quality, cost_usd)


# ---- the program ------------------------------------------------------------------------------


def integer_program(quality: Floats, cost_usd: Floats, program: Program) -> Assignment:
    """The assignment that the program's solution is; the best one found where the solver's time is over.

    HiGHS solves it, through SciPy. Raises `ConfigError` where no assignment keeps the limits or none was found in time,
    and `MissingExtra` without SciPy. A batch of one is solved like any other: there the paper's code takes the cheapest
    member above the threshold, and fails without a budget.
    """
    _check(quality, cost_usd)
    queries, members = quality.shape
    if not queries:
        return _assigned(np.empty(0, dtype=np.int64), quality, cost_usd)
    allowed = ~(np.isnan(quality) | np.isnan(cost_usd))
    value = _value(np.where(allowed, quality, 0.0), program)
    found = _solved(value, np.where(allowed, cost_usd, 0.0), allowed, program)
    if found.x is None:
        raise ConfigError(
            f"no assignment of {queries} queries to {members} members was found that keeps "
            f"budget_usd={program.budget_usd!r} and wanted_quality={program.wanted_quality!r} "
            f"within {program.time_limit_s:g} s: {found.message}"
        )
    taken = found.x[: queries * members].reshape(queries, members) > 0.5
    chosen = _or_nobody(taken.argmax(axis=1), _any(taken))
    return _assigned(chosen, quality, cost_usd, optimal=found.status == 0)


def _solved(value: Floats, cost_usd: Floats, allowed: NDArray[np.bool_], program: Program) -> Any:
    try:
        from scipy import optimize, sparse
    except ImportError as error:
        raise MissingExtra("FORC's integer program", "routers", "scipy") from error
    queries, members = value.shape
    pairs = queries * members
    # One column a pair, then one a query: 1 where it is left unsolved.
    each = sparse.hstack([sparse.kron(sparse.eye(queries), np.ones((1, members))), sparse.eye(queries)])
    limits = [optimize.LinearConstraint(each, 1, 1)]
    nothing = np.zeros(queries)
    if program.budget_usd is not None:
        row = sparse.csr_matrix(np.concatenate([cost_usd.ravel(), nothing]))
        limits.append(optimize.LinearConstraint(row, -np.inf, program.budget_usd))
    if program.wanted_quality is not None:
        row = sparse.csr_matrix(np.concatenate([value.ravel(), nothing]))
        limits.append(optimize.LinearConstraint(row, _wanted(program.wanted_quality, queries), np.inf))
    worth = np.concatenate([_worth(value, cost_usd, program).ravel(), np.full(queries, -program.nonsolved_penalty)])
    upper = np.concatenate([allowed.ravel().astype(np.float64), np.ones(queries)])
    return optimize.milp(
        -worth,
        constraints=limits,
        integrality=np.ones(pairs + queries),
        bounds=optimize.Bounds(0, upper),
        options={"time_limit": program.time_limit_s},
    )


def _value(quality: Floats, program: Program) -> Floats:
    return quality if program.binarize_above is None else (quality > program.binarize_above).astype(np.float64)


def _wanted(quality: float, queries: int) -> float:
    return quality if quality >= 1 else float(round(quality * queries))


def _worth(value: Floats, cost_usd: Floats, program: Program) -> Floats:
    """What assigning each pair adds to the objective."""
    weighs = program.weighs
    if weighs == "auto":
        weighs = "both"
        if program.budget_usd is not None and program.wanted_quality is None:
            weighs = "quality"
        elif program.wanted_quality is not None and program.budget_usd is None:
            weighs = "cost"
    match weighs:
        case "quality":
            return value
        case "cost":
            return -cost_usd
        case "spending":
            return program.alpha * value + (1.0 - program.alpha) * cost_usd
        case _:
            return program.alpha * value - (1.0 - program.alpha) * cost_usd


# ---- arrays -----------------------------------------------------------------------------------


def _check(quality: Floats, cost_usd: Floats) -> None:
    if quality.ndim != 2 or quality.shape != cost_usd.shape:
        raise ValueError(f"quality and cost are (queries, members) both, not {quality.shape!r} and {cost_usd.shape!r}")


def _extreme(cost_usd: Floats, among: NDArray[np.bool_], which: str) -> NDArray[np.int64]:
    """The cheapest or dearest column of each row among some, the first one of equals."""
    sign = 1.0 if which == "cheapest" else -1.0
    extreme: NDArray[np.int64] = np.argmin(np.where(among, sign * cost_usd, np.inf), axis=1)
    return extreme


def _any(rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows hold anything."""
    found: NDArray[np.bool_] = np.logical_or.reduce(rows, axis=1)
    return found


def _or_nobody(chosen: NDArray[np.int64], anybody: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.where(anybody, chosen, NOBODY).astype(np.int64)


def _assigned(chosen: NDArray[np.int64], quality: Floats, cost_usd: Floats, *, optimal: bool = True) -> Assignment:
    solved = np.flatnonzero(chosen != NOBODY)
    at = (solved, chosen[solved])
    return Assignment(chosen, float(np.nansum(quality[at])), float(cost_usd[at].sum()), optimal)
