"""Correlations, on lists small enough to count by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.evaluation import correlation as evaluated
from coterie.signals import mid_ranks, pearson, spearman, tau_b
from coterie.signals.correlation import Pairs

lists = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8)


def test_tau_b_counts_pairs() -> None:
    assert tau_b([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)  # five agree, one does not
    assert tau_b([1, 2, 3], [3, 2, 1]) == -1.0
    assert tau_b([1, 1, 2], [1, 2, 2]) == pytest.approx(0.5)  # one pair agrees, each side ties another one


@pytest.mark.parametrize(("xs", "ys"), [([], []), ([1], [1]), ([1, 1], [1, 2]), ([1, 2, 3], [5, 5, 5])])
def test_nothing_to_compare_is_no_correlation(xs: list[float], ys: list[float]) -> None:
    assert tau_b(xs, ys) is pearson(xs, ys) is spearman(xs, ys) is None


def test_lists_of_two_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        tau_b([1, 2], [1])
    with pytest.raises(ValueError, match="cannot be paired"):
        pearson([1, 2], [1])


def test_pooled_pairs_are_of_each_part_alone() -> None:
    parts = [Pairs.of([1, 2], [1, 2]), Pairs.of([8, 9, 9], [4, 3, 2])]
    assert Pairs.pooled(parts) == Pairs(1 - 2, 1 + 2, 1 + 3)
    assert Pairs.pooled(parts).tau_b == pytest.approx(-1 / math.sqrt(3 * 4))
    assert Pairs.pooled([]).tau_b is None


@given(pairs=lists)
def test_tau_b_is_within_its_bounds_and_turns_with_a_side(pairs: list[tuple[int, int]]) -> None:
    xs, ys = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    tau = tau_b(xs, ys)
    assert tau == tau_b(ys, xs)
    if tau is None:
        assert len(set(xs)) < 2 or len(set(ys)) < 2
        return
    assert -1 <= tau <= 1 + 1e-12
    assert tau_b([-x for x in xs], ys) == -tau
    assert tau_b(xs, xs) == pytest.approx(1.0)


@given(pairs=lists)
def test_correlations_are_those_of_evaluation(pairs: list[tuple[int, int]]) -> None:
    xs, ys = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    assert mid_ranks(xs) == evaluated.mid_ranks(xs)
    assert spearman(xs, ys) == pytest.approx(evaluated.spearman(xs, ys))
