"""Families of decisions, held against the decisions themselves at every value of their parameter."""

from __future__ import annotations

import random
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="sweeps are arrays")

from coterie.decisions import Best, CheapestAbove, Utility  # noqa: E402
from coterie.evaluation.routing.sweeps import Sweep, by_preference, by_threshold, by_utility  # noqa: E402
from coterie.prospects import Prospect, Prospects, Scale  # noqa: E402

RNG = random.Random(0)


def table(seed: int, prompts: int = 12, members: int = 4, *, same_cost: bool = True) -> tuple[Any, Any, Any, Any]:
    """Quality, expected costs, scores and costs, with ties and unknown qualities among them."""
    rng = np.random.default_rng(seed)
    quality = rng.integers(0, 5, (prompts, members)) / 4.0
    unknown = rng.random((prompts, members)) < 0.2
    unknown[np.arange(prompts), rng.integers(0, members, prompts)] = False
    quality[unknown] = np.nan
    expected = np.tile(rng.permutation(members) + 1.0, (prompts, 1))
    if not same_cost:
        expected = rng.integers(1, 4, (prompts, members)).astype(float)
    return quality, expected, rng.random((prompts, members)), rng.random((prompts, members))


def prospects(quality: Any, usd: Any) -> Prospects:
    expected = [None if np.isnan(q) else float(q) for q in quality]
    members = tuple(Prospect(str(n), q, float(c)) for n, (q, c) in enumerate(zip(expected, usd, strict=True)))
    return Prospects("made up", Scale.SCORE, members)


def decided(decision: Any, quality: Any, expected: Any, values: Any) -> float:
    """The mean of `values` over whom the decision chooses."""
    chosen = [int(decision.choose(prospects(*of), RNG).order[0]) for of in zip(quality, expected, strict=True)]
    return float(values[np.arange(len(values)), chosen].mean())


# ---- against the decisions ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_between_two_steps_the_sweep_by_utility_is_the_decision_at_that_price(seed: int) -> None:
    quality, expected, scores, costs = table(seed)
    sweep = by_utility(quality, expected, scores, costs)
    cost, score = sweep.curve()
    prices = [*(sweep.values[:-1] + sweep.values[1:]) / 2, sweep.values[-1] / 2]
    for place, price in enumerate(prices, 1):
        assert score[place] == pytest.approx(decided(Utility(float(price)), quality, expected, scores))
        assert cost[place] == pytest.approx(decided(Utility(float(price)), quality, expected, costs))
    assert score[0] == pytest.approx(decided(Utility(1e6), quality, expected, scores))


@pytest.mark.parametrize("otherwise", ["dearest", "best", "cheapest"])
@pytest.mark.parametrize("seed", range(4))
def test_the_sweep_by_threshold_is_the_decision_at_every_threshold(seed: int, otherwise: Any) -> None:
    quality, expected, scores, costs = table(seed)
    sweep = by_threshold(quality, expected, scores, costs, otherwise)
    cost, score = sweep.curve()
    assert (np.diff(sweep.values) > 0).all()
    for place, threshold in enumerate([-1.0, *sweep.values]):
        decision = CheapestAbove(float(threshold), otherwise)
        if otherwise == "best" and any(np.nanmax(row) <= threshold and _tied(row) for row in quality):
            continue  # the decision takes the first of equals, the sweep stays with the cheapest of them
        assert score[place] == pytest.approx(decided(decision, quality, expected, scores))
        assert cost[place] == pytest.approx(decided(decision, quality, expected, costs))


def _tied(row: Any) -> bool:
    return bool((row == np.nanmax(row)).sum() > 1)


def test_a_price_of_nothing_is_the_best_member_where_qualities_differ() -> None:
    rng = np.random.default_rng(3)
    quality, expected, scores = rng.random((20, 3)), np.tile([1.0, 2.0, 3.0], (20, 1)), rng.random((20, 3))
    _, score = by_utility(quality, expected, scores, expected).curve()
    assert score[-1] == pytest.approx(decided(Best(), quality, expected, scores))


# ---- ties -----------------------------------------------------------------------------------------


def test_members_that_cannot_be_told_apart_count_by_their_mean() -> None:
    quality, expected = np.array([[0.5, 0.5, 0.9]]), np.array([[1.0, 1.0, 2.0]])
    cost, score = by_utility(quality, expected, np.array([[0.0, 1.0, 0.7]]), np.array([[3.0, 5.0, 9.0]])).curve()
    assert score.tolist() == pytest.approx([0.5, 0.7])
    assert cost.tolist() == pytest.approx([4.0, 9.0])


def test_constant_forecasts_move_all_prompts_at_once_along_the_line_between_two_members() -> None:
    rng = np.random.default_rng(4)
    scores, costs = rng.random((9, 2)), rng.random((9, 2)) + np.array([0, 1])
    quality = np.tile([0.3, 0.6], (9, 1))
    expected = np.broadcast_to(costs.mean(axis=0), costs.shape)
    for sweep in (by_utility(quality, expected, scores, costs), by_threshold(quality, expected, scores, costs)):
        cost, score = sweep.curve()
        assert cost == pytest.approx(costs.mean(axis=0))
        assert score == pytest.approx(scores.mean(axis=0))


def test_equal_qualities_stay_with_the_cheapest_unless_the_sweep_is_to_go_on_to_the_dearest() -> None:
    quality, expected = np.full((4, 3), 0.5), np.tile([2.0, 1.0, 3.0], (4, 1))
    scores = np.tile([0.1, 0.2, 0.3], (4, 1))
    assert by_utility(quality, expected, scores, expected).curve()[1].tolist() == pytest.approx([0.2])
    assert by_utility(quality, expected, scores, expected, whole=True).curve()[1].tolist() == pytest.approx([0.2, 0.3])


def test_the_whole_sweep_by_utility_of_a_pair_is_the_sweep_of_its_preferences() -> None:
    rng = np.random.default_rng(5)
    quality, scores = rng.integers(0, 6, (30, 2)) / 5, rng.random((30, 2))
    calls = np.tile([0.0, 1.0], (30, 1))
    one = by_utility(quality, calls, scores, calls, whole=True)
    other = by_preference(quality[:, 1] - quality[:, 0], scores[:, 0], scores[:, 1])
    assert one.values == pytest.approx(other.values)
    for ours, theirs in zip(one.curve(), other.curve(), strict=True):
        assert ours == pytest.approx(theirs)


# ---- what holds for every sweep -------------------------------------------------------------------


def families(seed: int) -> list[Sweep]:
    quality, expected, scores, costs = table(seed, same_cost=False)
    known = np.nan_to_num(quality, nan=0.4)
    return [
        by_utility(quality, expected, scores, costs),
        by_utility(quality, expected, scores, costs, whole=True),
        by_threshold(quality, expected, scores, costs),
        by_preference(known[:, 0], scores[:, 0], scores[:, 1]),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_does_not_depend_on_the_order_of_prompts(seed: int) -> None:
    quality, expected, scores, costs = table(seed, same_cost=False)
    order = np.random.default_rng(seed).permutation(len(quality))
    for make in (by_utility, by_threshold):
        one, other = (
            make(quality, expected, scores, costs),
            make(*(a[order] for a in (quality, expected, scores, costs))),
        )
        for ours, theirs in zip(one.curve(), other.curve(), strict=True):
            assert ours == pytest.approx(theirs)


def test_a_sample_that_has_a_prompt_twice_is_the_table_with_that_prompt_twice() -> None:
    quality, expected, scores, costs = table(7)
    weights = np.array([[2, 0, 1, 1, 3, 0, 1, 1, 1, 0, 2, 1.0]])
    rows = np.repeat(np.arange(12), weights[0].astype(int))
    whole = by_utility(quality, expected, scores, costs)
    x, y = whole.curves(weights)
    again = by_utility(*(a[rows] for a in (quality, expected, scores, costs)))
    cost, score = again.curve()
    places = [0, *(1 + int(np.flatnonzero(whole.values == value)[0]) for value in again.values)]
    assert x[0, places] == pytest.approx(cost)
    assert y[0, places] == pytest.approx(score)


@pytest.mark.parametrize("sweep", families(8), ids=["utility", "whole", "threshold", "preference"])
def test_a_thinned_sweep_passes_through_points_of_the_whole_and_ends_where_it_ends(sweep: Sweep) -> None:
    thin = sweep.thinned(3)
    assert len(thin.ends) <= 3
    points = set(zip(*(of.round(9).tolist() for of in sweep.curve()), strict=True))
    found = list(zip(*(of.round(9).tolist() for of in thin.curve()), strict=True))
    assert set(found) <= points
    assert found[-1] == tuple(of.round(9).tolist()[-1] for of in sweep.curve())
    assert sweep.thinned(1000) is sweep


def test_one_member_and_one_prompt_make_a_point() -> None:
    one = np.array([[0.5]])
    cost, score = by_utility(one, one, one, one).curve()
    assert (cost.tolist(), score.tolist()) == ([0.5], [0.5])
    assert by_threshold(one, one, one, one).curve()[1].tolist() == [0.5]


def test_what_nobody_knows_is_refused() -> None:
    nothing, some = np.full((2, 2), np.nan), np.zeros((2, 2))
    with pytest.raises(ValueError, match="of 2 prompts no member's quality is known"):
        by_utility(nothing, some, some, some)
    with pytest.raises(ValueError, match="expected cost of every member that may be chosen"):
        by_utility(some, nothing, some, some)
    with pytest.raises(ValueError, match="unknown for 1 prompts"):
        by_preference(np.array([0.1, np.nan]), some[0], some[1])
