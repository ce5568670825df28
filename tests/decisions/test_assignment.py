"""FORC's five strategies: their limits, and that the program finds what looking at everything finds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie.decisions.assignment import (
    NOBODY,
    Program,
    greedy,
    integer_program,
    performance_maximizing,
    single,
    thresholding,
)
from coterie.errors import ConfigError

Floats = NDArray[np.float64]

QUALITY = np.array([[0.2, 0.6, 0.9], [0.7, 0.6, 0.8], [0.1, 0.3, 0.4]])
COST = np.array([[1.0, 2.0, 10.0], [1.0, 2.0, 12.0], [1.5, 2.0, 9.0]])

rows = st.integers(1, 4).flatmap(
    lambda n: st.lists(
        st.tuples(*[st.tuples(st.floats(0.01, 1), st.floats(0.01, 5)) for _ in range(3)]), min_size=n, max_size=n
    )
)


def arrays(drawn: list[tuple[tuple[float, float], ...]]) -> tuple[Floats, Floats]:
    cells = np.array(drawn)
    return cells[:, :, 0], cells[:, :, 1]


def best_by_looking(quality: Floats, cost: Floats, budget: float) -> float:
    """The most quality that any assignment within the budget has."""
    members = (*range(quality.shape[1]), None)
    worth = [
        sum(quality[q, m] for q, m in enumerate(each) if m is not None)
        for each in itertools.product(members, repeat=len(quality))
        if sum(cost[q, m] for q, m in enumerate(each) if m is not None) <= budget + 1e-12
    ]
    return float(max(worth))


def test_single_sends_everything_to_one() -> None:
    found = single(QUALITY, COST, 1)
    assert found.chosen.tolist() == [1, 1, 1]
    assert found.quality == pytest.approx(1.5)
    assert found.cost_usd == pytest.approx(6.0)


def test_performance_maximizing_ignores_cost() -> None:
    found = performance_maximizing(QUALITY, COST)
    assert (found.chosen.tolist(), found.cost_usd, found.unsolved) == ([2, 2, 2], 31.0, 0)


def test_thresholding() -> None:
    assert thresholding(QUALITY, COST).chosen.tolist() == [1, 0, 2]
    assert thresholding(QUALITY, COST, several="dearest").chosen.tolist() == [2, 2, 2]
    assert thresholding(QUALITY, COST, 0.95, otherwise="cheapest").chosen.tolist() == [0, 0, 0]


def test_greedy_has_no_fallback_and_goes_on() -> None:
    found = greedy(QUALITY, COST, 20.0)
    assert found.chosen.tolist() == [2, NOBODY, 2]
    assert (found.cost_usd, found.unsolved) == (19.0, 1)


# ---- the program's limits ---------------------------------------------------------------------


@given(rows)
@settings(max_examples=10)
def test_an_endless_budget_maximizes_performance(drawn: list[tuple[tuple[float, float], ...]]) -> None:
    quality, cost = arrays(drawn)
    found = integer_program(quality, cost, Program(budget_usd=math.inf))
    assert found.quality == pytest.approx(performance_maximizing(quality, cost).quality)


@given(rows)
@settings(max_examples=10)
def test_no_budget_solves_nothing(drawn: list[tuple[tuple[float, float], ...]]) -> None:
    quality, cost = arrays(drawn)
    assert integer_program(quality, cost, Program(budget_usd=0.0)).unsolved == len(quality)


@given(rows, st.floats(0.1, 8))
@settings(max_examples=15)
def test_within_a_budget_nothing_is_better(drawn: list[tuple[tuple[float, float], ...]], budget: float) -> None:
    quality, cost = arrays(drawn)
    found = integer_program(quality, cost, Program(budget_usd=budget))
    assert found.optimal
    assert found.cost_usd <= budget + 1e-6
    assert found.quality == pytest.approx(best_by_looking(quality, cost, budget), abs=1e-5)
    assert found.quality >= greedy(quality, cost, budget).quality - 1e-6


@given(rows)
@settings(max_examples=10)
def test_a_wanted_quality_is_had_for_the_least_money(drawn: list[tuple[tuple[float, float], ...]]) -> None:
    quality, cost = arrays(drawn)
    most = performance_maximizing(quality, cost)
    found = (
        integer_program(quality, cost, Program(wanted_quality=max(1.0, 0.8 * most.quality)))
        if (most.quality >= 1.25)
        else None
    )
    if found is not None:
        assert found.quality >= 0.8 * most.quality - 1e-6
        assert found.cost_usd <= most.cost_usd + 1e-6


@given(rows)
@settings(max_examples=10)
def test_thresholding_costs_at_most_what_always_the_dearest_does(drawn: list[tuple[tuple[float, float], ...]]) -> None:
    quality, cost = arrays(drawn)
    assert thresholding(quality, cost).cost_usd <= cost.max(axis=1).sum() + 1e-9


def test_a_mean_quality_is_rounded_to_whole_queries() -> None:
    sure = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    cost = np.array([[1.0, 5.0]] * 3)
    assert integer_program(sure, cost, Program(wanted_quality=0.6)).cost_usd == pytest.approx(2.0)
    assert integer_program(sure, cost, Program(wanted_quality=0.9)).cost_usd == pytest.approx(7.0)


def test_without_limits_quality_and_cost_are_weighed() -> None:
    cheap = integer_program(QUALITY, COST, Program(alpha=0.05, nonsolved_penalty=100.0))
    dear = integer_program(QUALITY, COST, Program(alpha=1.0))
    assert cheap.chosen.tolist() == [0, 0, 0]
    assert dear.chosen.tolist() == [2, 2, 2]
    assert integer_program(QUALITY, COST, Program(alpha=0.05)).unsolved == 3


def test_spending_a_budget_is_an_aim_too() -> None:
    alike = np.full((1, 2), 0.5)
    cost = np.array([[1.0, 3.0]])
    assert integer_program(alike, cost, Program(budget_usd=5.0, weighs="spending")).chosen.tolist() == [1]


def test_binarized_qualities() -> None:
    found = integer_program(QUALITY, COST, Program(wanted_quality=2.0, binarize_above=0.5))
    assert found.chosen.tolist() == [1, 0, NOBODY]


def test_what_cannot_be_kept_is_said() -> None:
    with pytest.raises(ConfigError, match="no assignment of 3 queries"):
        integer_program(QUALITY, COST, Program(wanted_quality=3.0, budget_usd=1.0))


def test_the_solvers_time_is_bounded() -> None:
    rng = np.random.default_rng(1)
    quality, cost = rng.random((400, 8)), rng.random((400, 8))
    found = integer_program(quality, cost, Program(budget_usd=60.0, time_limit_s=2.0))
    assert found.cost_usd <= 60.0 + 1e-6


# ---- odd input --------------------------------------------------------------------------------


def test_the_unknown_is_weighed_by_nobody() -> None:
    quality = np.array([[np.nan, 0.5], [np.nan, np.nan], [0.9, 0.1]])
    cost = np.array([[1.0, 1.0], [1.0, 1.0], [np.nan, 1.0]])
    assert performance_maximizing(quality, cost).chosen.tolist() == [1, NOBODY, 0]
    assert math.isnan(performance_maximizing(quality, cost).cost_usd)
    assert thresholding(quality, cost).chosen.tolist() == [1, NOBODY, 1]
    assert greedy(quality, cost, 9.0).chosen.tolist() == [1, NOBODY, 1]
    assert integer_program(quality, cost, Program(budget_usd=9.0)).chosen.tolist() == [1, NOBODY, 1]


def test_no_query_is_no_problem() -> None:
    empty = np.empty((0, 3))
    assert integer_program(empty, empty, Program()).chosen.shape == (0,)
    assert greedy(empty, empty, 1.0).quality == 0.0


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="queries, members"):
        single(QUALITY, COST[:2], 0)


@pytest.mark.parametrize(
    "odd", [{"alpha": 2.0}, {"budget_usd": -1.0}, {"time_limit_s": 0.0}, {"nonsolved_penalty": math.nan}]
)
def test_settings_that_mean_nothing_are_refused(odd: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|lies"):
        Program(**odd)  # type: ignore[arg-type]
