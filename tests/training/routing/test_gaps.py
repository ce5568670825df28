"""Hybrid LLM's labels: probabilities over several answers, the shift that tells prompts apart, and its collapse."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import ConfigError
from coterie.training.routing.gaps import best_shift, mean_difference, of_answers, of_shares

GRADED = st.lists(st.integers(0, 10).map(lambda n: n / 10), min_size=1, max_size=5)
RIGHT = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=5)


@given(GRADED, GRADED, st.integers(0, 10).map(lambda n: n / 10))
def test_a_label_is_the_share_of_pairs_in_which_the_small_one_is_good_enough(
    small: list[float], large: list[float], t: float
) -> None:
    pairs = list(itertools.product(small, large))
    expected = sum(round(10 * s) >= round(10 * other) - round(10 * t) for s, other in pairs) / len(pairs)
    assert of_answers(small, large).within(t) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_mean_difference_is_that_of_all_ordered_pairs(labels: list[float]) -> None:
    expected = sum(abs(a - b) for a in labels for b in labels) / len(labels) ** 2
    assert mean_difference(labels) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(RIGHT, RIGHT), min_size=1, max_size=8))
def test_where_answers_are_right_or_wrong_no_shift_is_better_than_none(
    answers: list[tuple[list[float], list[float]]],
) -> None:
    gaps = [of_answers(*one) for one in answers]
    found = best_shift(gaps)
    assert found.collapsed
    assert found.t == 0.0
    for t in (0.3, 0.999):
        assert [gap.within(t) for gap in gaps] == [gap.within(0.0) for gap in gaps]
    assert {round(gap.within(1.0), 9) for gap in gaps} == {1.0}


def test_a_small_member_that_is_always_worse_is_told_apart_by_how_much() -> None:
    """At t = 0 every label is 0; at 0.25 half of the prompts are within it: labels cannot differ more."""
    gaps = [of_answers([0.75], [1.0]), of_answers([0.75], [1.0]), of_answers([0.25], [1.0]), of_answers([0.0], [1.0])]
    found = best_shift(gaps)
    assert (found.t, found.spread, found.unshifted) == (0.25, 0.5, 0.0)
    assert not found.collapsed


@given(st.lists(st.tuples(GRADED, GRADED), min_size=1, max_size=6))
def test_the_best_shift_is_as_good_as_any(answers: list[tuple[list[float], list[float]]]) -> None:
    gaps = [of_answers(*one) for one in answers]
    found = best_shift(gaps)
    for t in (n / 20 for n in range(25)):
        assert mean_difference([gap.within(t) for gap in gaps]) <= found.spread + 1e-9


def test_many_distinct_gaps_are_tried_evenly() -> None:
    gaps = [of_answers([0.0], [n / 1000]) for n in range(1000)]
    found = best_shift(gaps, most=10)
    assert found.t == pytest.approx(0.4995)
    with pytest.raises(ValueError, match="one gap at least"):
        best_shift([])


@given(st.integers(0, 10), st.integers(0, 10))
def test_shares_of_ten_answers_say_how_likely_ten_more_are_as_good(a: int, b: int) -> None:
    gap = of_shares(a / 10, b / 10, 10)
    assert math.fsum(gap.weights) == pytest.approx(1.0)
    assert list(gap.values) == sorted(gap.values)
    back = of_shares(b / 10, a / 10, 10)
    below = math.fsum(w for v, w in zip(back.values, back.weights, strict=True) if v < -1e-9)
    assert gap.within(0.0) + below == pytest.approx(1.0)  # as good or better, or else the other one is better
    mean = math.fsum(v * w for v, w in zip(gap.values, gap.weights, strict=True))
    assert mean == pytest.approx((b - a) / 11)  # of (n + 1/2) / (10 + 1) each
    if a < 10:
        assert of_shares((a + 1) / 10, b / 10, 10).within(0.0) > gap.within(0.0)


def test_one_answer_that_is_right_or_wrong_is_a_share_too() -> None:
    """Jeffreys' prior after one right answer expects the next one to be right three times of four."""
    gap = of_shares(1.0, 0.0, 1)
    assert gap.values == (-1.0, 0.0, 1.0)
    assert gap.weights == pytest.approx((9 / 16, 6 / 16, 1 / 16))


@pytest.mark.parametrize("share", [0.55, 1.1, -0.1])
def test_a_score_that_is_no_share_of_the_answers_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="no share right of 10"):
        of_shares(share, 0.5, 10)
