"""Broken lines: areas, least places and hulls, against what can be reckoned by hand or by another way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="curves are arrays")

from coterie.evaluation.routing.aiq import aiq, routerbench_aiq  # noqa: E402
from coterie.evaluation.routing.curves import area, at, band_mean, first, hull, least  # noqa: E402

X = np.array([0.0, 1.0, 3.0])
Y = np.array([1.0, 3.0, 2.0])


def many(*rows: list[float]) -> Any:
    return np.array(rows)


def test_an_area_is_the_sum_of_trapezoids_and_goes_back_with_the_line() -> None:
    assert area(X, Y) == pytest.approx(2.0 + 5.0)
    assert area(X[::-1], Y[::-1]) == pytest.approx(-7.0)
    assert area(many([0, 1, 3], [0, 2, 2]), many([1, 3, 2], [4, 4, 9])) == pytest.approx([7.0, 8.0])


def test_a_band_holds_the_first_value_before_the_line_and_the_last_behind_it() -> None:
    assert band_mean(X, Y, np.array(0.0), np.array(3.0)) == pytest.approx(7 / 3)
    assert band_mean(X, Y, np.array(-1.0), np.array(0.0)) == pytest.approx(1.0)
    assert band_mean(X, Y, np.array(3.0), np.array(9.0)) == pytest.approx(2.0)
    assert band_mean(X, Y, np.array(-1.0), np.array(4.0)) == pytest.approx((1.0 + 7.0 + 2.0) / 5)
    assert band_mean(X, Y, np.array(0.5), np.array(2.0)) == pytest.approx((1.25 + 2.75) / 1.5)


def test_a_band_without_width_has_no_mean_and_one_point_is_a_line() -> None:
    assert np.isnan(band_mean(X, Y, np.array(1.0), np.array(1.0)))
    assert band_mean(np.array([2.0]), np.array([0.7]), np.array(0.0), np.array(5.0)) == pytest.approx(0.7)


def test_a_line_that_goes_back_counts_where_it_was_twice_no_more_than_once() -> None:
    """Out to 2 at height 1, back to 1, out again: what was gone twice is taken back once."""
    x, y = np.array([0.0, 2.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0, 1.0])
    assert band_mean(x, y, np.array(0.0), np.array(2.0)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("target", "place"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.5), (3.0, 1.0), (2.5, 0.75), (3.1, float("nan"))]
)
def test_the_least_place_that_reaches_a_height(target: float, place: float) -> None:
    for reach in (least, first):
        assert reach(X, Y, np.array(target)) == pytest.approx(place, nan_ok=True)


def test_the_least_place_of_a_line_that_goes_back_may_come_late() -> None:
    x, y = np.array([0.0, 4.0, 1.0]), np.array([0.0, 1.0, 0.9])
    assert least(x, y, np.array(0.2)) == pytest.approx(0.8)
    assert least(x, y, np.array(0.9)) == pytest.approx(1.0)
    assert least(x, y, np.array(0.95)) == pytest.approx(2.5)


def test_both_ways_of_finding_the_least_place_agree_where_the_line_never_goes_back() -> None:
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.integers(0, 3, (50, 9)), axis=1).astype(float)
    y, target = rng.normal(size=(50, 9)), rng.normal(size=50)
    assert first(x, y, target) == pytest.approx(least(x, y, target), nan_ok=True)


def test_a_height_is_read_between_points_at_an_upright_step_and_beyond_the_ends() -> None:
    x, y = many([0.0, 1.0, 1.0, 2.0]), many([0.0, 1.0, 5.0, 6.0])
    assert [float(at(x, y, place)[0]) for place in (-1, 0, 0.5, 1, 1.5, 2, 3)] == [0, 0, 0.5, 5, 5.5, 6, 6]
    assert at(many([1.0]), many([0.3]), 0.0) == pytest.approx([0.3])


def by_chords(x: Any, y: Any, place: float) -> float:
    """The highest chord over a place, or the best value at most so far to the right."""
    heights = [b for a, b in zip(x, y, strict=True) if a <= place]
    for (x0, y0), (x1, y1) in itertools.permutations(zip(x, y, strict=True), 2):
        if x0 <= place < x1:
            heights.append(y0 + (y1 - y0) * (place - x0) / (x1 - x0))
    return float(max(heights))


def test_a_hull_is_the_highest_chord_everywhere() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        x, y = rng.integers(0, 6, 7).astype(float), rng.normal(size=7)
        over_x, over_y = hull(x, y)
        assert (np.diff(over_x) > 0).all()
        assert (np.diff(over_y) > 0).all()
        slopes = np.diff(over_y) / np.diff(over_x)
        assert (np.diff(slopes) < 1e-12).all()
        for place in np.linspace(x.min(), x.max(), 13):
            assert np.interp(place, over_x, over_y) == pytest.approx(by_chords(x, y, place))


def test_aiq_is_the_hulls_mean_height_and_routerbenchs_code_takes_what_is_left_of_it_for_nothing() -> None:
    cost, quality = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 0.4, 0.8, 0.6])
    # The hull: (1, .5), (3, .8), and .8 from there on.
    assert aiq(cost, quality, 1.0, 4.0) == pytest.approx((1.3 + 0.8) / 3)
    assert aiq(cost, quality, 0.0, 5.0) == pytest.approx((0.5 + 1.3 + 1.6) / 5)
    assert routerbench_aiq(cost, quality, 5.0) == pytest.approx((1.3 + 1.6) / 5)
    assert np.isnan(aiq(cost, quality, 2.0, 2.0))
