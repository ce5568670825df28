"""Bootstrap intervals: worked out by hand, against theory, and under every shift, scale, seed and hole."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.evaluation.significance import Bootstrap, Difference, Estimate, difference, estimate

np = pytest.importorskip("numpy", reason="intervals need numpy")

QUICK = Bootstrap(resamples=400)
VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40)
HOLES = st.lists(st.one_of(st.none(), st.just(math.nan), st.floats(-1e3, 1e3)), max_size=40)


def drawn(n: int, seed: int, mean: float = 0.0) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(mean, 1) for _ in range(n)]


def ends(found: Estimate) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def correlation(rows: Any) -> Any:
    x, y = (rows[..., n] - rows[..., n].mean(1, keepdims=True) for n in (0, 1))
    return (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))


# ---- intervals --------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "wanted"), [(0.95, (0.0, 1.0)), (0.4, (0.5, 0.5)), (0.52, (0.0, 1.0))])
def test_two_rows_by_hand(level: float, wanted: tuple[float, float]) -> None:
    """A resample's mean is 0, 1/2 or 1, with probability 1/4, 1/2, 1/4."""
    found = estimate([0.0, 1.0], bootstrap=Bootstrap(level=level))
    assert (found.value, *ends(found)) == (0.5, *wanted)


@pytest.mark.parametrize("seed", range(5))
def test_for_many_rows_it_is_the_normal_interval(seed: int) -> None:
    rows = drawn(2_000, seed, mean=3)
    low, high = ends(estimate(rows))
    half = 1.96 * float(np.std(rows)) / math.sqrt(len(rows))
    assert low == pytest.approx(np.mean(rows) - half, abs=0.08 * half)
    assert high == pytest.approx(np.mean(rows) + half, abs=0.08 * half)


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(300):
        low, high = ends(estimate(drawn(100, seed, mean=1), bootstrap=QUICK))
        held += low <= 1 <= high
    assert 0.90 <= held / 300 <= 0.98


@given(seed=st.integers(0, 10**6), n=st.integers(200, 400))
@settings(max_examples=30)
def test_for_many_rows_it_holds_their_mean(seed: int, n: int) -> None:
    found = estimate(drawn(n, seed), bootstrap=QUICK)
    low, high = ends(found)
    assert low < (found.value or 0.0) < high


@given(rows=VALUES, shift=st.floats(-1e3, 1e3), scale=st.floats(0.01, 100), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_it_moves_and_stretches_with_the_rows(rows: list[float], shift: float, scale: float, seed: int) -> None:
    bootstrap = Bootstrap(100, seed=seed)
    low, high = ends(estimate(rows, bootstrap=bootstrap))
    moved = estimate([scale * row + shift for row in rows], bootstrap=bootstrap)
    turned = estimate([-row for row in rows], bootstrap=bootstrap)
    assert ends(moved) == pytest.approx((scale * low + shift, scale * high + shift), abs=1e-6, rel=1e-9)
    assert ends(turned) == pytest.approx((-high, -low), abs=1e-9)
    assert min(rows) - 1e-9 <= low <= high <= max(rows) + 1e-9


@given(rows=VALUES, seed=st.integers(0, 10**9))
@settings(max_examples=30)
def test_the_same_seed_gives_the_same_interval(rows: list[float], seed: int) -> None:
    assert estimate(rows, bootstrap=Bootstrap(100, seed=seed)) == estimate(rows, bootstrap=Bootstrap(100, seed=seed))


def test_another_seed_draws_other_prompts() -> None:
    rows = drawn(50, 1)
    assert len({ends(estimate(rows, bootstrap=Bootstrap(seed=seed))) for seed in range(5)}) == 5


def test_a_higher_level_is_a_wider_interval() -> None:
    rows = drawn(50, 1)
    (low_80, high_80), (low_99, high_99) = (ends(estimate(rows, bootstrap=Bootstrap(level=p))) for p in (0.8, 0.99))
    assert low_99 < low_80 < high_80 < high_99


def test_rows_that_do_not_vary_have_an_interval_of_one_point() -> None:
    assert estimate([0.25] * 9) == Estimate(0.25, 0.25, 0.25, 9)


def test_more_rows_than_are_drawn_at_once() -> None:
    rows = drawn(3_000, 3)
    few, many = (estimate(rows, bootstrap=Bootstrap(resamples)) for resamples in (10, 2_000))
    assert few.value == many.value
    assert ends(few) != ends(many)


# ---- missing rows -----------------------------------------------------------------------------


@given(rows=HOLES)
@settings(max_examples=60)
def test_a_missing_row_is_left_out_and_counted(rows: list[float | None]) -> None:
    known = [row for row in rows if row is not None and not math.isnan(row)]
    found = estimate(rows, bootstrap=QUICK)
    without = estimate(known, bootstrap=QUICK)
    assert found == Estimate(without.value, without.low, without.high, len(known), len(rows) - len(known))
    if known:
        assert found.value == pytest.approx(math.fsum(known) / len(known), abs=1e-9)


def test_none_and_one_row() -> None:
    assert estimate([]) == Estimate(None, None, None, 0)
    assert estimate([None, math.nan]) == Estimate(None, None, None, 0, missing=2)
    assert estimate([0.75, None]) == Estimate(0.75, None, None, 1, missing=1)


def test_a_row_of_several_is_missing_where_any_of_them_is() -> None:
    rows = [(1.0, 2.0), (3.0, None), (math.nan, 4.0), (5.0, 6.0), (7.0, 9.0)]
    found = estimate(rows, lambda sample: sample[..., 0].sum(1) / sample[..., 1].sum(1), QUICK)
    assert found.value == pytest.approx(13 / 17)
    assert (found.n, found.missing) == (3, 2)


# ---- other statistics -------------------------------------------------------------------------


def test_a_statistic_of_several_columns() -> None:
    rng = random.Random(5)
    xs = [rng.gauss(0, 1) for _ in range(400)]
    rows = [(x, 0.6 * x + 0.8 * rng.gauss(0, 1)) for x in xs]
    found = estimate(rows, correlation)
    low, high = ends(found)
    assert found.value == pytest.approx(np.corrcoef(np.array(rows).T)[0, 1])
    # Fisher's z: what theory says of a correlation of normal variables.
    z, half = math.atanh(found.value or 0), 1.96 / math.sqrt(397)
    assert (low, high) == pytest.approx((math.tanh(z - half), math.tanh(z + half)), abs=0.03)


def test_a_statistic_without_a_value_on_some_resamples() -> None:
    """A correlation needs two different rows, and one resample of three in nine holds one row alone."""
    found = estimate([(0.0, 1.0), (1.0, 0.0), (2.0, 5.0)], correlation, Bootstrap(9_000))
    assert found.undefined == pytest.approx(1_000, abs=150)
    assert ends(found) == pytest.approx((-1, 1))
    assert estimate([(1.0, 1.0), (1.0, 2.0)], correlation) == Estimate(None, None, None, 2)


def test_a_median() -> None:
    rows = [*drawn(200, 7), 1e6]
    found = estimate(rows, lambda sample: np.median(sample, axis=1))
    assert found.value == pytest.approx(np.median(rows))
    assert ends(found)[1] < 1


# ---- paired differences -----------------------------------------------------------------------


def test_a_difference_of_pairs_is_told_where_two_intervals_overlap() -> None:
    theirs = drawn(300, 1)
    ours = [value + 0.1 + noise / 10 for value, noise in zip(theirs, drawn(300, 2), strict=True)]
    found = difference(ours, theirs)
    low, high = ends(found.estimate)
    assert ends(estimate(ours))[0] < ends(estimate(theirs))[1]
    assert found.clear is True
    assert 0.08 < low < 0.1 < high < 0.12
    assert (found.wins + found.losses, found.ties) == (300, 0)
    assert found.wins > found.losses > 0


@given(
    pairs=st.lists(
        st.tuples(st.one_of(st.none(), st.integers(-5, 5)), st.one_of(st.none(), st.integers(-5, 5))), max_size=30
    )
)
@settings(max_examples=60)
def test_a_difference_turned_round(pairs: list[tuple[int | None, int | None]]) -> None:
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = difference(ours, theirs, bootstrap=QUICK), difference(theirs, ours, bootstrap=QUICK)
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    assert (there.wins, there.ties, there.losses) == (back.losses, back.ties, back.wins)
    assert (there.wins, there.ties) == (sum(a > b for a, b in both), sum(a == b for a, b in both))
    assert (there.estimate.n, there.estimate.missing) == (len(both), len(pairs) - len(both))
    assert there.clear == back.clear
    if both:
        assert there.estimate.value == pytest.approx(-(back.estimate.value or 0))
    if len(both) > 1:
        low, high = ends(back.estimate)
        assert ends(there.estimate) == pytest.approx((-high, -low), abs=1e-12)


def test_near_values_are_ties_where_that_is_asked() -> None:
    ours, theirs = [1.0, 2.0, 3.0, 4.0], [1.2, 2.0, 2.0, 4.1]
    exact, coarse = difference(ours, theirs), difference(ours, theirs, tie=0.25)
    assert (exact.wins, exact.ties, exact.losses) == (1, 1, 2)
    assert (coarse.wins, coarse.ties, coarse.losses) == (1, 3, 0)
    assert coarse.estimate == exact.estimate


def test_a_difference_of_another_statistic() -> None:
    ours, theirs = drawn(101, 4, mean=2), drawn(101, 5)
    found = difference(ours, theirs, lambda sample: np.median(sample, axis=1))
    assert found.estimate.value == pytest.approx(np.median(ours) - np.median(theirs))
    assert found.clear is True


def test_a_difference_of_nothing() -> None:
    assert difference([], []) == Difference(Estimate(None, None, None, 0), 0, 0, 0)
    assert difference([1.0], [None]).clear is None
    one = difference([1.0, None], [0.5, 2.0])
    assert one == Difference(Estimate(0.5, None, None, 1, missing=1), 1, 0, 0)
    assert one.clear is None
    assert difference([1.0, 2.0], [1.0, 2.0]).clear is False


# ---- wrong calls ------------------------------------------------------------------------------


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match=r"row 1 holds an infinite value.*: -inf"):
        estimate([1.0, -math.inf])
    with pytest.raises(ValueError, match=r"gave an array \(1, 2\) for 1 samples"):
        estimate([(1.0, 2.0), (3.0, 4.0)])
    with pytest.raises(ValueError, match="rows differ in length"):
        estimate([(1.0, 2.0), (3.0,)])
    with pytest.raises(ValueError, match="2 and 1 cannot be paired"):
        difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="a tie is no difference below 0: -1"):
        difference([1.0], [1.0], tie=-1)
    with pytest.raises(ValueError, match="resamples is at least 1, not 0"):
        Bootstrap(0)
    with pytest.raises(ValueError, match=r"level lies between 0 and 1, not at 95"):
        Bootstrap(level=95)
