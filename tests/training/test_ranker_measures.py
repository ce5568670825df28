"""What held-out prompts say: by hand, fair to nobody, and beside the baselines."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.training.measures import by_length, constant, margins_of, measure, silent, wilson

QUALITIES = ((3.0,), (1.0,), (2.0,))


def test_by_hand() -> None:
    # 0 above 2 above 1 is right; here 2 is placed above 0.
    margins = [[0.0, 1.0, -0.5], [-1.0, 0.0, -2.0], [0.5, 2.0, 0.0]]
    found = measure([(margins, QUALITIES)])
    assert (found.examples, found.pairs) == (1, 3)
    assert found.pairwise_accuracy == pytest.approx(2 / 3)
    assert (found.best_of_n_accuracy, found.chosen_quality) == (0.0, 2.0)


def test_the_chosen_quality_is_that_of_the_first_metric_and_order_that_of_the_mean() -> None:
    found = measure([([[0, 1], [-1, 0]], ((1.0, 9.0), (5.0, 1.0)))])
    assert (found.pairwise_accuracy, found.best_of_n_accuracy, found.chosen_quality) == (1.0, 1.0, 1.0)


def test_who_says_nothing_gets_what_chance_gets() -> None:
    found = measure([(silent(3), QUALITIES)])
    assert found.pairwise_accuracy == 0.5
    assert found.best_of_n_accuracy == pytest.approx(1 / 3)
    assert found.chosen_quality == pytest.approx(2.0)


def test_pairs_of_equal_quality_are_no_pairs() -> None:
    found = measure([([[0.0, 1.0], [-1.0, 0.0]], ((1.0,), (1.0,)))])
    assert (found.pairs, found.pairwise_accuracy, found.interval) == (0, None, None)
    assert found.best_of_n_accuracy == 1.0
    assert measure([]).chosen_quality is None


def test_baselines() -> None:
    assert measure([(by_length([30, 10, 20]), QUALITIES)]).pairwise_accuracy == 1.0
    assert measure([(by_length([5, 5, 5]), QUALITIES)]).pairwise_accuracy == 0.5
    rng = Random(0)
    first = measure([(constant(3, rng), QUALITIES) for _ in range(2000)])
    assert first.best_of_n_accuracy == pytest.approx(1 / 3, abs=0.04)
    assert first.pairwise_accuracy == pytest.approx(0.5, abs=0.03)


def test_a_pair_rankers_table_becomes_margins() -> None:
    assert margins_of({(0, 1): 2.0, (1, 0): -1.0}, 2) == [[0.0, 3.0], [-3.0, 0.0]]


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilsons_interval_holds_the_share(right: int, wrong: int) -> None:
    n = right + wrong
    low, high = wilson(right / n, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1


def test_wilson_by_hand() -> None:
    assert wilson(0.6, 100) == pytest.approx((0.5020, 0.6906), abs=1e-4)
