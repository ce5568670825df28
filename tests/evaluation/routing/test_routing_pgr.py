"""Performance gap recovered: the right way, RouteLLM's way, and the numbers of its published outcomes."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="scores are arrays")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from coterie.evaluation.routing.advantage import (  # noqa: E402
    applied,
    chosen_threshold,
    drop_of,
    drops,
    gap_difference,
)
from coterie.evaluation.routing.pgr import KEYS, of_curves, oracle_curve, pgr  # noqa: E402
from coterie.evaluation.routing.routellm import (  # noqa: E402
    routellm_optimal,
    routellm_points,
    routellm_table,
    routellm_thresholds,
)
from coterie.evaluation.routing.sweeps import by_preference  # noqa: E402

SHARED = Path(__file__).parents[4] / "shared" / "data" / "routing_routellm2.dev.jsonl.gz"

WEAK, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"

MMLU = {(1, 1): 8816, (1, 0): 742, (0, 1): 2496, (0, 0): 1983}
GSM8K = {(1, 1): 739, (1, 0): 94, (0, 1): 382, (0, 0): 92}
"""Of RouteLLM's evaluation files without contaminated prompts: (weak, strong) right."""


def scores_of(counts: dict[tuple[int, int], int]) -> tuple[Any, Any]:
    rows = np.repeat(np.array(list(counts), dtype=float), list(counts.values()), axis=0)
    return rows[:, 0], rows[:, 1]


def measured(preference: Any, weak: Any, strong: Any) -> dict[str, float]:
    curves = by_preference(np.asarray(preference, dtype=float), weak, strong).curves(np.ones((1, len(weak))))
    return dict(zip(KEYS, of_curves(*curves)[0].tolist(), strict=True))


def made_up(n: int) -> tuple[Any, Any]:
    i = np.arange(n)
    return ((i * 7) % 5 < 3).astype(float), ((i * 3) % 7 < 6).astype(float)


SCORES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(-3, 3)), min_size=1, max_size=25)


def arrays(rows: list[tuple[int, int, int]]) -> tuple[Any, Any, Any]:
    found = np.array(rows, dtype=float)
    return found[:, 2], found[:, 0] / 4, found[:, 1] / 4


# ---- published outcomes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "weak", "strong", "oracle"),
    [(MMLU, 68.0915, 80.5870, 85.873), (GSM8K, 63.7337, 85.7689, 92.961)],
    ids=["mmlu", "gsm8k"],
)
def test_the_published_accuracies_follow_from_the_counts(
    counts: dict[tuple[int, int], int], weak: float, strong: float, oracle: float
) -> None:
    a, b = scores_of(counts)
    assert 100 * a.mean() == pytest.approx(weak, abs=5e-5)
    assert 100 * b.mean() == pytest.approx(strong, abs=5e-5)
    share, quality = oracle_curve(a, b)
    assert 100 * quality[-1] == pytest.approx(oracle, abs=5e-4)
    assert routellm_optimal(a, b, 1.0) == pytest.approx(100 * quality[-1])
    for place in (0.0, 0.05, 0.1, 0.5):
        assert routellm_optimal(a, b, place) == pytest.approx(100 * float(np.interp(place, share, quality)))


@pytest.mark.skipif(not SHARED.exists(), reason="the shared routing data are not here")
def test_a_part_of_the_published_rows_is_no_more_than_the_whole() -> None:
    """The percentages above hold for the whole files; a part has fewer of each kind of row, in about their shares."""
    found: dict[str, Counter[tuple[int, int]]] = {"mmlu": Counter(), "gsm8k": Counter()}
    with gzip.open(SHARED, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            score = record["outcomes"]
            found[record["benchmark"].partition("/")[0]][int(score[WEAK]["score"]), int(score[STRONG]["score"])] += 1
    for name, whole in (("mmlu", MMLU), ("gsm8k", GSM8K)):
        part = found[name]
        n, of = sum(part.values()), sum(whole.values())
        assert all(part[key] <= whole[key] + 12 for key in whole), "at most the contaminated prompts more"
        weak, strong = scores_of(dict(part))
        for ours, theirs in zip((weak, strong), scores_of(whole), strict=True):
            spread = float(np.sqrt(theirs.mean() * (1 - theirs.mean()) / n * (1 - n / of)))
            assert abs(ours.mean() - theirs.mean()) < 4 * spread


# ---- the algebra --------------------------------------------------------------------------------------


def test_pgr_is_the_share_of_the_gap() -> None:
    assert pgr(np.array([0.6, 0.7, 0.8, 0.9]), np.array(0.6), np.array(0.8)) == pytest.approx([0, 0.5, 1, 1.5])
    assert np.isnan(pgr(np.array(0.5), np.array(0.6), np.array(0.6)))
    assert np.isnan(pgr(np.array(0.5), np.array(0.7), np.array(0.6)))


@given(SCORES, st.floats(0.1, 3.0), st.floats(-2.0, 2.0))
@settings(max_examples=40, deadline=None)
def test_apgr_does_not_depend_on_the_scale_of_scores_nor_on_that_of_preferences(
    rows: list[tuple[int, int, int]], by: float, more: float
) -> None:
    preference, weak, strong = arrays(rows)
    one = measured(preference, weak, strong)
    other = measured(np.exp(preference), by * weak + more, by * strong + more)
    for key in ("apgr", "cpt20", "cpt50", "cpt80"):
        assert other[key] == pytest.approx(one[key], nan_ok=True, abs=1e-6)
    assert other["auc"] == pytest.approx(by * one["auc"] + more)


def test_members_that_are_equal_but_for_rounding_have_no_gap() -> None:
    """These rows' means are equal, and differ in the last place when scores are scaled."""
    preference, weak, strong = arrays([(1, 2, 0), (4, 3, 0)])
    for by, more in ((1.0, 0.0), (1.433872511787389, 1.0), (0.1, 0.7)):
        found = measured(preference, by * (weak + strong) + more, by * (strong + weak) + more + 1e-15)
        assert np.isnan(found["apgr"])


@given(SCORES)
@settings(max_examples=40, deadline=None)
def test_apgr_of_a_router_and_of_its_opposite_make_one(rows: list[tuple[int, int, int]]) -> None:
    preference, weak, strong = arrays(rows)
    one, other = measured(preference, weak, strong), measured(-preference, weak, strong)
    assert one["auc"] + other["auc"] == pytest.approx(weak.mean() + strong.mean())
    if strong.mean() > weak.mean():
        assert one["apgr"] + other["apgr"] == pytest.approx(1.0)


@given(SCORES)
@settings(max_examples=40, deadline=None)
def test_constant_preferences_are_the_random_mix_exactly(rows: list[tuple[int, int, int]]) -> None:
    _, weak, strong = arrays(rows)
    found = measured(np.full(len(weak), 0.37), weak, strong)
    if strong.mean() > weak.mean():
        assert (found["apgr"], found["cpt20"], found["cpt50"], found["cpt80"]) == pytest.approx((0.5, 0.2, 0.5, 0.8))
    assert found["half"] == pytest.approx((weak.mean() + strong.mean()) / 2)


@given(SCORES, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_a_tie_counts_as_the_mean_over_all_ways_to_break_it(rows: list[tuple[int, int, int]], random: Any) -> None:
    """By rotating each order of equals, every prompt stands everywhere equally often."""
    preference, weak, strong = arrays(rows)
    n = len(weak)
    broken = [measured(preference * 10 * n + (np.arange(n) + k) % n, weak, strong)["auc"] for k in range(n)]
    if len(set(preference.tolist())) == 1:
        assert float(np.mean(broken)) == pytest.approx(measured(preference, weak, strong)["auc"])
    order = random.sample(range(n), n)
    assert measured(preference[order], weak[order], strong[order])["auc"] == pytest.approx(
        measured(preference, weak, strong)["auc"]
    )


@given(SCORES)
@settings(max_examples=40, deadline=None)
def test_no_router_is_above_the_oracle_or_below_the_worst(rows: list[tuple[int, int, int]]) -> None:
    preference, weak, strong = arrays(rows)
    x, y = by_preference(preference, weak, strong).curve()
    best = np.interp(x, *oracle_curve(weak, strong))
    worst = np.interp(x, *by_preference(weak - strong, weak, strong).curve())
    assert (y <= best + 1e-12).all()
    assert (y >= worst - 1e-12).all()


def test_cpt_is_the_least_share_even_where_the_curve_falls_afterwards() -> None:
    weak, strong = np.array([0.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    found = measured([4, 3, 2, 1], weak, strong)  # up by 1, down by 1, up by 1; the gap is 1
    assert found["cpt80"] == pytest.approx(0.2)
    assert found["apgr"] == pytest.approx((0.5 + 0.5 + 0.5 + 1) / 4)
    assert found["half"] == pytest.approx(0.25)


def test_where_the_strong_member_is_no_better_there_is_no_gap_to_recover() -> None:
    weak, strong = np.array([1.0, 1.0]), np.array([1.0, 0.0])
    found = measured([1, 0], weak, strong)
    assert all(np.isnan(found[key]) for key in ("apgr", "cpt20", "cpt50", "cpt80"))
    assert found["auc"] == pytest.approx((1.0 + 0.75) / 2)


# ---- as RouteLLM computes it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "rates", "cpt", "auc", "apgr"),
    [
        (60, lambda i: ((i * 11) % 51) / 50.0, [25.0, 62.5, 83.888889], 71.527778, 0.461111),
        (60, lambda i: (i * 37 % 71) / 71.0, [22.5, 52.5, 85.0], 72.25, 0.49),
        (71, lambda i: (i * 37 % 71) / 71.0, [22.816901, 50.704225, 84.882629], 72.912121, 0.487089),
    ],
)
def test_routellms_numbers_are_those_of_pandas_and_numpy(
    n: int, rates: Any, cpt: list[float], auc: float, apgr: float
) -> None:
    """Computed with ``pandas.qcut`` (pandas 3.1.1), ``numpy.interp`` and ``numpy.trapezoid`` as its code has it.

    With 71 prompts every decile falls on a win rate, and rounding says on which side.
    """
    weak, strong = made_up(n)
    found = routellm_table(rates(np.arange(n)), weak, strong)
    assert [found[key] for key in ("cpt20", "cpt50", "cpt80")] == pytest.approx(cpt, abs=1e-6)
    assert (found["auc"], found["apgr"]) == pytest.approx((auc, apgr), abs=1e-6)


def test_routellms_way_has_no_result_for_equal_deciles() -> None:
    weak, strong = made_up(40)
    for rates in (np.full(40, 0.5), np.repeat([0.1, 0.2, 0.3, 0.4, 0.5], 8)):
        with pytest.raises(ValueError, match="too many win rates are equal"):
            routellm_table(rates, weak, strong)
        measured(rates, weak, strong)  # the right way has one


def test_routellms_curve_goes_from_no_call_to_all_of_them() -> None:
    weak, strong = made_up(50)
    rates = np.random.default_rng(0).random(50)
    calls, accuracy = routellm_points(rates, weak, strong)
    assert len(routellm_thresholds(rates)) == len(calls) == 11
    assert (calls[0], calls[-1]) == (0.0, 100.0)
    assert (accuracy[0], accuracy[-1]) == pytest.approx((100 * weak.mean(), 100 * strong.mean()))


def test_both_ways_agree_where_every_call_gains_the_same() -> None:
    weak, strong = np.zeros(1000), np.ones(1000)
    rates = np.random.default_rng(2).random(1000)
    assert routellm_table(rates, weak, strong)["apgr"] == pytest.approx(measured(rates, weak, strong)["apgr"])


# ---- Hybrid LLM's measures ------------------------------------------------------------------------------


def test_the_drop_at_a_cost_advantage_is_what_the_large_member_would_have_had() -> None:
    weak, strong = np.array([1.0, 0.0, 1.0, 1.0, 0.0]), np.ones(5)
    sweep = by_preference(np.array([0.1, 0.9, 0.2, 0.3, 0.8]), weak, strong)
    found = drops(*sweep.curves(np.ones((1, 5))))[0]
    assert found == pytest.approx([0.0, 0.0, 0.0])
    worst = by_preference(np.array([0.9, 0.1, 0.8, 0.7, 0.2]), weak, strong)
    assert drops(*worst.curves(np.ones((1, 5))))[0] == pytest.approx([0.1, 0.2, 0.4])


def test_a_drop_of_scores_below_nothing_is_measured_by_their_size() -> None:
    assert drop_of(np.array(-2.2), np.array(-2.0)) == pytest.approx(0.1)
    assert np.isnan(drop_of(np.array(1.0), np.array(0.0)))


def test_the_chosen_threshold_spares_most_within_the_drop_and_never_breaks_a_tie() -> None:
    weak, strong = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]), np.ones(6)
    preference = np.array([0.1, 0.1, 0.1, 0.5, 0.7, 0.9])
    found = chosen_threshold(preference, weak, strong)
    assert (found.threshold, found.advantage, found.drop) == (0.1, 0.0, 0.0)
    assert chosen_threshold(preference, weak, strong, most_drop=0.17) == applied(0.7, preference, weak, strong)
    assert applied(0.7, preference, weak, strong).advantage == pytest.approx(4 / 6)
    assert chosen_threshold(preference, strong, strong).advantage == 1.0


def test_random_preferences_have_no_gap_difference_and_good_ones_have() -> None:
    weak, strong = np.array([1.0, 0.0, 1.0, 0.0]), np.ones(4)
    same = by_preference(np.full(4, 0.3), weak, strong)
    good = by_preference(np.array([0.1, 0.9, 0.2, 0.8]), weak, strong)
    assert gap_difference(same, weak, strong, 0.2) == pytest.approx(0.0)
    assert gap_difference(good, weak, strong, 0.5) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="on both sides"):
        gap_difference(good, weak, strong, 1.0)
