"""Measures of routers among many members: quality, cost, savings, and what other benchmarks make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="scores are arrays")

from coterie.errors import ConfigError  # noqa: E402
from coterie.evaluation.routing import pools  # noqa: E402
from coterie.evaluation.routing.arena import arena_score  # noqa: E402
from coterie.evaluation.routing.costs import Given, costs_of  # noqa: E402
from coterie.evaluation.routing.forecasts import Forecasts  # noqa: E402
from coterie.evaluation.routing.ground import Ground, Pair, complete, ground_of, likely_pair  # noqa: E402
from coterie.evaluation.routing.reliability import calibration_error, reliability, squared_error  # noqa: E402
from coterie.evaluation.routing.samples import Samples  # noqa: E402
from coterie.evaluation.routing.savings import closed, relative, saved  # noqa: E402
from coterie.evaluation.significance import Bootstrap  # noqa: E402
from coterie.evaluation.significance import estimate as by_rows  # noqa: E402
from coterie.types import Price  # noqa: E402
from routed_outcomes import knowing, outcomes  # noqa: E402

QUICK = Bootstrap(resamples=60)


def ground(**more: Any) -> Ground:
    return ground_of(outcomes(**more), bootstrap=QUICK)


def values(found: pools.PoolFound) -> dict[str, float]:
    return {key: figure.value for key, figure in found.figures.items()}


# ---- RouterArena ----------------------------------------------------------------------------------


def test_routerarenas_score_is_the_published_one() -> None:
    assert round(float(arena_score(0.7718, 0.30)), 4) == 0.7531


def test_routerarenas_score_falls_with_cost_and_takes_no_unknown_one() -> None:
    scores = arena_score(0.8, np.array([0.0044, 0.1, 10.0, 200.0]))
    assert (np.diff(scores) < 0).all()
    assert scores[0] == pytest.approx(1.1 * 0.8 / 1.08)
    assert scores[-1] == 0.0
    assert float(arena_score(0.0, 1.0)) == 0.0
    for usd in (0.0, float("nan"), -1.0):
        with pytest.raises(ValueError, match="a cost is above 0"):
            arena_score(0.5, usd)
    with pytest.raises(ValueError, match="between 0 and 1"):
        arena_score(1.5, 1.0)


# ---- what holds for every router ------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_no_router_is_above_the_oracle_and_all_knowledge_reaches_it(share: float) -> None:
    on = ground()
    assert on.costs is not None
    ours = values(pools.of_router(on, replace(knowing(on.outcomes, share), expected_usd=on.costs.usd)))
    oracle = values(pools.of_oracle(on))
    for key in ("band", "quality", "closed", "saved", "aiq"):
        assert ours.get(key, -1.0) <= oracle[key] + 1e-9  # what is never reached saves nothing
    assert ours["gap_oracle"] >= -1e-9
    if share == 1.0:
        assert ours["band"] == pytest.approx(oracle["band"])
        assert ours["quality"] == pytest.approx(oracle["quality"])


def test_constant_forecasts_are_the_mix_of_single_members_exactly() -> None:
    on = ground()
    found = values(pools.of_router(on, Forecasts("constant", np.tile(on.scores.mean(axis=0), (len(on), 1)))))
    mix = values(pools.of_mix(on))
    assert found["band"] == pytest.approx(mix["band"])
    assert found["over_mix"] == pytest.approx(0.0, abs=1e-12)
    assert found["aiq"] == pytest.approx(mix["aiq"])
    assert found["saved"] == pytest.approx(0.0)
    assert found["over_single"] == found["closed"] == found["gain_single"] == 0.0


def test_a_router_that_always_takes_one_member_is_that_member() -> None:
    on = ground()
    assert on.costs is not None
    quality = np.zeros(on.scores.shape)
    quality[:, 1] = 1.0
    found, single = values(pools.of_router(on, Forecasts("middle", quality))), values(pools.of_single(on, 1))
    for key in ("quality", "over_single", "closed", "usd"):
        assert found[key] == pytest.approx(single[key])


def test_the_order_of_prompts_and_of_members_changes_nothing() -> None:
    on = ground()
    forecasts = knowing(on.outcomes, 0.3)
    rows, columns = np.random.default_rng(5).permutation(len(on)), [2, 0, 1]
    turned = on.outcomes.rows(rows).of([on.outcomes.members[n] for n in columns])
    again = replace(forecasts, quality=forecasts.quality[rows][:, columns])
    one = values(pools.of_router(on, forecasts))
    other = values(pools.of_router(ground_of(turned, bootstrap=QUICK), again))
    assert one == pytest.approx(other)


def test_a_router_that_asks_for_money_pays_it_on_its_curve() -> None:
    on = ground()
    free, paid = knowing(on.outcomes, 0.5), replace(knowing(on.outcomes, 0.5), usd_per_query=0.0005)
    one, other = pools.of_router(on, free), pools.of_router(on, paid)
    assert values(other)["usd"] == pytest.approx(values(one)["usd"] + 0.0005)
    assert values(other)["band"] < values(one)["band"]
    assert values(other)["saved"] < values(one)["saved"]
    assert values(other)["quality"] == pytest.approx(values(one)["quality"])


def test_without_costs_quality_alone_is_told_and_equals_count_by_their_mean() -> None:
    on = ground(costs=False)
    assert on.costs is None
    assert "'cheap', 'middle', 'dear'" in on.unpriced
    found = values(pools.of_router(on, Forecasts("equal", np.zeros(on.scores.shape))))
    assert set(found) == set(pools.BY_QUALITY)
    assert found == pytest.approx(values(pools.of_chance(on)))
    with pytest.raises(ValueError, match="no cost is known"):
        pools.of_mix(on)


def test_a_member_that_the_router_does_not_know_is_never_chosen() -> None:
    on = ground()
    quality = knowing(on.outcomes, 0.5).quality
    quality[:, 2] = np.nan
    found = values(pools.of_router(on, Forecasts("two of three", quality)))
    assert found["usd"] < 0.0007
    quality[4] = np.nan
    with pytest.raises(ValueError, match="of 1 prompts no member's quality is known"):
        pools.of_router(on, Forecasts("lost", quality))


# ---- savings --------------------------------------------------------------------------------------


def test_what_is_saved_is_read_off_the_curve_and_nothing_where_it_is_never_reached() -> None:
    cost, quality = np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.7, 0.9])
    assert saved(cost, quality, np.array(4.0), np.array(0.8)) == pytest.approx(0.25)
    assert saved(cost, quality, np.array(2.0), np.array(0.9)) == pytest.approx(-1.0)
    assert np.isnan(saved(cost, quality, np.array(4.0), np.array(0.95)))
    assert np.isnan(saved(cost, quality, np.array(0.0), np.array(0.8)))


def test_shares_of_gaps_and_relative_gains() -> None:
    assert closed(np.array(0.7), np.array(0.6), np.array(0.8)) == pytest.approx(0.5)
    assert np.isnan(closed(np.array(0.7), np.array(0.6), np.array(0.6)))
    assert relative(np.array(0.6), np.array(0.5)) == pytest.approx(0.2)
    assert np.isnan(relative(np.array(0.6), np.array(0.0)))


# ---- what members cost ----------------------------------------------------------------------------


def test_a_price_that_nobody_knows_is_refused_by_the_members_name_and_never_taken_for_nothing() -> None:
    of = outcomes(6)
    usd = of.costs_usd.copy()
    usd[:, 1] = np.nan
    usd[0, 2] = np.nan
    of = replace(of, costs_usd=usd)
    with pytest.raises(ConfigError, match=r"no cost is known of 'middle', so .* an unknown price is not 0"):
        costs_of(of)
    found = costs_of(of, Given({"middle": 0.01}))
    assert (found.usd[:, 1] == 0.01).all()
    assert found.usd[0, 2] == pytest.approx(usd[1:, 2].mean())
    assert found.notes == (
        "middle: the cost of 6 of 6 calls was not recorded and is taken as 0.01 USD a query",
        "dear: the cost of 1 of 6 calls was not recorded and is taken as the mean of its other calls",
    )


@pytest.mark.parametrize(
    ("price", "words"),
    [({"nobody": 1.0}, "not among the members"), ({"dear": -1.0}, "USD for a query"), ({"dear": float("nan")}, "nan")],
)
def test_a_price_that_is_none_is_refused(price: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        costs_of(outcomes(4), Given(price))


def test_recorded_tokens_are_paid_by_their_price() -> None:
    of = outcomes(3, costs=False)
    tokens = np.array([[100.0, 200.0, np.nan]] * 3)
    of = replace(of, output_tokens=tokens)
    prices = {"cheap": Price(1.0, 2.0), "middle": Price(0.0, 10.0), "dear": Price(5.0, 5.0)}
    read = len(of.prompts[0]) // 3 + 1
    found = costs_of(of, Given({"dear": 0.5}, prices))
    assert found.usd[0] == pytest.approx([(read * 1.0 + 200.0) / 1e6, 2000.0 / 1e6, 0.5])
    assert found.notes[0] == "cheap: the cost of 3 of 3 calls was not recorded and is taken by its tokens' price"
    with pytest.raises(ConfigError, match="no cost is known of 'dear'"):
        costs_of(of, Given(prices=prices))


# ---- the ground -----------------------------------------------------------------------------------


def test_prompts_without_every_score_are_left_out_and_counted() -> None:
    of = outcomes(5)
    scores = of.scores.copy()
    scores[3, 0] = np.nan
    kept, dropped = complete(replace(of, scores=scores))
    assert (len(kept), dropped) == (4, 1)
    with pytest.raises(ConfigError, match=r"no prompt on which every member has a score.*'cheap': 0"):
        complete(replace(of, scores=np.where([True, False, False], np.nan, of.scores)))


def test_a_pair_is_two_members_and_one_alone_is_nothing_to_route_between() -> None:
    of = outcomes(20, members=2)
    assert likely_pair(of) == Pair("cheap", "middle")
    assert likely_pair(of.of(["middle", "cheap"])) == Pair("cheap", "middle")
    with pytest.raises(ConfigError, match="'middle' twice"):
        ground_of(of, Pair("middle", "middle"))
    with pytest.raises(ConfigError, match="'nobody'"):
        ground_of(of, Pair("nobody", "middle"))
    with pytest.raises(ConfigError, match="nothing to route between"):
        ground_of(of.of(["middle"]))


# ---- intervals ------------------------------------------------------------------------------------


def test_an_interval_of_a_mean_is_near_the_one_that_significance_makes() -> None:
    scores = np.random.default_rng(3).random(80)
    ours = Samples(range(80), Bootstrap(resamples=2000)).mean(scores).estimate
    theirs = by_rows(scores.tolist(), bootstrap=Bootstrap(resamples=2000))
    assert ours.value == pytest.approx(theirs.value)
    assert ours.low is not None
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_a_difference_is_paired_and_of_a_thing_with_itself_nothing() -> None:
    on = ground()
    quality = pools.of_router(on, knowing(on.outcomes, 0.5)).figures["quality"]
    single = pools.of_single(on, 2).figures["quality"]
    assert (quality - quality).estimate.high == 0.0
    apart = (quality - single).estimate
    assert apart.low is not None
    assert apart.high is not None
    wide = (quality.estimate.high or 0) - (quality.estimate.low or 0)
    assert apart.high - apart.low < 2 * wide


def test_rows_of_one_prompt_are_drawn_together_and_one_prompt_has_no_interval() -> None:
    of = outcomes(4)
    twice = replace(of, prompts=("One", "one ", "two", "two"))
    assert ground_of(twice, bootstrap=QUICK).samples.mean(twice.scores[:, 0]).n == 2
    alone = ground_of(replace(of, prompts=("one", "one", "ONE", "o ne")), bootstrap=QUICK)
    estimate = alone.samples.mean(of.scores[:, 0]).estimate
    assert estimate.value is not None
    assert estimate.low is None


def test_samples_on_which_a_figure_has_no_value_are_counted() -> None:
    samples = Samples(range(3), QUICK)
    [figure] = samples.figures(lambda w: np.where(w[:, :1] > 0, 1.0, np.nan))
    assert figure.estimate.value == 1.0
    assert 0 < figure.estimate.undefined < 60


# ---- expected and observed ------------------------------------------------------------------------


def test_true_expectations_lie_on_the_diagonal_and_equal_ones_share_a_bin() -> None:
    expected = np.repeat([0.2, 0.8], 50)
    observed = np.concatenate([np.arange(50) < 10, np.arange(50) < 40]).astype(float)
    bins = reliability(expected, observed)
    assert [of.n for of in bins] == [50, 50]
    assert [end for of in bins for end in (of.expected, of.observed)] == pytest.approx([0.2, 0.2, 0.8, 0.8])
    assert calibration_error(bins) == pytest.approx(0.0)
    assert squared_error(expected, observed) == pytest.approx(0.16)


def test_unknown_expectations_are_left_out_and_nothing_is_no_error() -> None:
    expected = np.array([0.5, np.nan, 0.5, 0.9])
    [low, high] = reliability(expected, np.array([1.0, 1.0, 0.0, np.nan]), 2) + reliability(expected * 0, expected, 2)
    assert (low.observed, low.n) == (0.5, 2)
    assert high.n == 3
    assert reliability(np.array([np.nan]), np.array([1.0])) == ()
    assert np.isnan(calibration_error(()))


def test_bins_hold_about_equally_many() -> None:
    rng = np.random.default_rng(0)
    expected = rng.random(1000)
    bins = reliability(expected, expected)
    assert [of.n for of in bins] == pytest.approx([100] * 10, abs=2)
    assert calibration_error(bins) == pytest.approx(0.0)
