"""Members put into tiers: the sum of the tiers' variances is the least there is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie.routers.tiers import tiers_of


def cost(tiers: list[NDArray[np.float64]]) -> float:
    return float(sum(np.var(tier) for tier in tiers))


def least(ratings: NDArray[np.float64], n_tiers: int) -> float:
    """By trying every way to cut the sorted ratings."""
    ordered = np.sort(ratings)[::-1]
    cuts = combinations(range(1, len(ordered)), min(n_tiers, len(ordered)) - 1)
    return min(cost(np.split(ordered, list(cut))) for cut in cuts)


def test_near_ratings_stand_together_and_the_best_tier_is_0() -> None:
    assert tiers_of(np.array([900.0, 1200.0, 1010.0, 1195.0, 990.0, 905.0]), 3).tolist() == [2, 0, 1, 0, 1, 2]


def test_it_is_the_variance_that_counts_and_not_the_squares() -> None:
    """By squares the two at the top would be cut apart, which stand 30 apart: their variance is 225, their squares 450.

    The five below have a variance of 240 and squares of 1200.
    """
    ratings = np.array([1030.0, 1000.0, 520.0, 520.0, 520.0, 520.0, 520.0 - 38.73])
    assert tiers_of(ratings, 3).tolist() == [0, 0, 1, 1, 1, 1, 2]
    assert least(ratings, 3) == pytest.approx(225.0)


@pytest.mark.parametrize("n_tiers", [3, 10])
def test_there_are_no_more_tiers_than_members(n_tiers: int) -> None:
    assert tiers_of(np.array([1.0, 3.0, 2.0]), n_tiers).tolist() == [2, 0, 1]


def test_one_tier_holds_all_and_one_member_stands_alone() -> None:
    assert tiers_of(np.array([5.0, 1.0, 9.0]), 1).tolist() == [0, 0, 0]
    assert tiers_of(np.array([1000.0]), 10).tolist() == [0]


def test_equal_ratings_may_be_told_apart_but_never_out_of_order() -> None:
    found = tiers_of(np.full(4, 1000.0), 2)
    assert sorted(set(found.tolist())) == [0, 1]
    assert tiers_of(np.array([1100.0, 1000.0, 1000.0, 1000.0]), 2).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(("ratings", "n_tiers"), [([], 3), ([1000.0], 0)])
def test_no_member_or_no_tier_is_an_error(ratings: list[float], n_tiers: int) -> None:
    with pytest.raises(ValueError, match="tiers"):
        tiers_of(np.array(ratings), n_tiers)


@settings(max_examples=40)
@given(st.lists(st.floats(600.0, 1400.0), min_size=1, max_size=8), st.integers(1, 5))
def test_no_other_tiers_cost_less(ratings: list[float], n_tiers: int) -> None:
    given_ = np.array(ratings)
    tiers = tiers_of(given_, n_tiers)
    assert sorted(set(tiers.tolist())) == list(range(min(n_tiers, len(given_))))
    assert (np.diff(tiers[np.argsort(-given_, kind="stable")]) >= 0).all()
    assert cost([given_[tiers == n] for n in range(tiers.max() + 1)]) == pytest.approx(least(given_, n_tiers), abs=1e-6)
