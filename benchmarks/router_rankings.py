"""What similarity-weighted ranking costs, by the number of battles, in turns with its limit and with RouteLLM's way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coterie.outcomes.outcome import Lessons
from coterie.routers.forecast import Queries, Vectors
from coterie.training.routing.sw_ranking import SWRankingRecipe
from figures import progress
from router_ranking import MEMBERS, Regression, arena, drawn
from router_times import Elos, Plan, Report, Row
from turns import Side, in_turns

TARGET = 65_000
"""Battles at which there is a target; and the most of which RouteLLM's way is tried."""
LEAST_PER_SECOND = 200.0
LARGE = 200_000
"""Battles from which on a decision takes tens of milliseconds."""
CHECKED = 3
"""Queries whose Elos are compared."""

Rows = NDArray[np.float32]


def measure(plan: Plan, report: Report) -> None:
    """Afterwards the report has a row for each number of battles, and how far the Elos are from the peer's."""
    for size in plan.ranked:
        _one(plan, size, report)


def _one(plan: Plan, size: int, report: Report) -> None:
    progress(f"sw_ranking: {size:,} battles")
    battles, vectors = arena(size)
    router = SWRankingRecipe().fit(Lessons(battles=battles), Vectors(battles=vectors), lambda *_: None)
    queries = drawn(500, seed=2)
    calls = plan.slow // 2 if size > LARGE else max(plan.slow, plan.calls // 4)
    sides = [
        Side("router", lambda n: router.forecast(_asked(queries, n)), calls),
        Side(
            "limit: all vectors read once, a byte a number", lambda n: router.prompts.cosines(_row(queries, n)), calls
        ),
        Side("a scan in float32", lambda n: vectors @ queries[n % len(queries)], calls),
    ]
    if size <= TARGET:
        apart = router.tiers[battles.first] != router.tiers[battles.second]
        regression = Regression(router, vectors[apart])
        sides.append(Side("peer: RouteLLM's way, a logistic regression", lambda n: regression(_row(queries, n)), 1))
    took = in_turns(sides, plan.blocks)
    least = LEAST_PER_SECOND if size == TARGET else None
    name = f"sw_ranking, {MEMBERS} members"
    report.rows.append(Row("decision", name, took.pop("router"), size, "vectors", took, least_per_second=least))
    if size <= TARGET and size == max(n for n in plan.ranked if n <= TARGET):
        off, stopped = [], []
        for n in range(CHECKED):
            exact = regression(_row(queries, n), gradient=1e-9)[router.tiers]
            off.append(np.abs(router.forecast(_asked(queries, n)).quality[0] - exact).max())
            stopped.append(np.abs(regression(_row(queries, n))[router.tiers] - exact).max())
        report.elos.append(Elos(size, CHECKED, float(max(off)), float(max(stopped))))


def _row(queries: Rows, n: int) -> Rows:
    place = n % len(queries)
    return queries[place : place + 1]


def _asked(queries: Rows, n: int) -> Queries:
    return Queries(("",), _row(queries, n))
