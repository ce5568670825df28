"""What every decision promises, and what each one decides."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie import registry
from coterie.decisions import Best, Budget, CheapestAbove, Explore, Optimistic, Sample, Threshold, Utility
from coterie.errors import ConfigError
from coterie.prospects import Prospect, Prospects, Scale
from coterie.protocols import Decision
from coterie.specs import build, describe

LEAST = {"budget": {"usd": 1.0}, "utility": {"per_usd": 0.5}}
"""Settings that have no default."""

every_decision = pytest.mark.parametrize("kind", sorted(registry.known("decisions")))


def least(kind: str) -> Decision:
    decision: Decision = build("decisions", {"kind": kind, **LEAST.get(kind, {})})
    return decision


def told(scale: Scale = Scale.SCORE, /, **members: tuple[float | None, ...]) -> Prospects:
    """Quality, USD and uncertainty of each member, as far as they are given."""
    return Prospects("told", scale, tuple(Prospect(name, *_fields(values)) for name, values in members.items()))


def _fields(values: tuple[float | None, ...]) -> tuple[float | None, float | None, float | None, float | None]:
    quality, usd, uncertainty = (*values, None, None, None)[:3]
    return quality, usd, None, uncertainty


def chosen(decision: Decision, prospects: Prospects) -> str:
    return decision.choose(prospects, random.Random(1)).order[0]


ODD = told(weak=(0.4, 0.01, 0.3), strong=(0.9, 1.0, 0.1))

numbers = st.none() | st.floats(0, 1)
pools = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=6).map(
    lambda rows: told(**{f"m{n}": row for n, row in enumerate(rows)})
)


# ---- every one --------------------------------------------------------------------------------


@every_decision
@given(prospects=pools, seed=st.integers(0, 5))
def test_it_orders_every_member_once_or_says_why_it_cannot(kind: str, prospects: Prospects, seed: int) -> None:
    decision = least(kind)
    if not prospects.known and kind not in ("explore", "optimistic"):
        choice = decision.choose(prospects, random.Random(seed))
        assert choice.order == tuple(prospect.member for prospect in prospects.members)
        assert choice.reason == "nothing is known of any member, so the pool's order decides"
        return
    if kind in ("budget", "cheapest_above", "utility") and not _priced(prospects):
        with pytest.raises(ConfigError, match="cost"):
            decision.choose(prospects, random.Random(seed))
        return
    if (
        kind == "threshold"
        and len(prospects.members) > 1
        and sum(p.cost_usd is not None for p in prospects.members) < 2
    ):
        with pytest.raises(ConfigError, match="cheap"):
            decision.choose(prospects, random.Random(seed))
        return
    choice = decision.choose(prospects, random.Random(seed))
    assert sorted(choice.order) == sorted(prospect.member for prospect in prospects.members)
    assert choice.reason
    assert choice == decision.choose(prospects, random.Random(seed))
    assert choice.probability is None or 0 < choice.probability <= 1


def _priced(prospects: Prospects) -> bool:
    return any(prospect.cost_usd is not None for prospect in prospects.known)


@every_decision
def test_ties_go_by_the_pool(kind: str) -> None:
    alike = told(**dict.fromkeys(("zoe", "amy", "moe"), (0.7, 0.5, 0.1)))
    if kind not in ("sample", "explore", "threshold"):  # those draw, and a threshold of 1/2 takes the strong one
        assert least(kind).choose(alike, random.Random(1)).order == ("zoe", "amy", "moe")


@every_decision
def test_it_is_a_value_that_can_be_written_down(kind: str) -> None:
    decision = least(kind)
    assert build("decisions", describe("decisions", decision)) == decision
    assert (type(decision).__doc__ or "").strip()


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "budget", "usd": -1},
        {"kind": "utility", "per_usd": -0.1},
        {"kind": "explore", "epsilon": 1.5},
        {"kind": "optimistic", "alpha": -1},
        {"kind": "threshold", "at": -0.5},
        {"kind": "threshold", "order": ["a", "a"]},
        {"kind": "cheapest_above", "otherwise": "any"},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        build("decisions", settings)


# ---- one by one -------------------------------------------------------------------------------


def test_best_takes_the_highest_quality_and_leaves_the_unknown_for_last() -> None:
    choice = Best().choose(told(new=(None,), weak=(0.4,), strong=(0.9,)), random.Random(1))
    assert choice.order == ("strong", "weak", "new")
    assert choice.reason == "strong has the highest expected quality, 0.9"


@pytest.mark.parametrize(("at", "expected"), [(0.0, "strong"), (0.75, "strong"), (0.7500001, "weak"), (2.0, "weak")])
def test_a_threshold_between_two_is_routellms(at: float, expected: str) -> None:
    """The strong one if and only if its win rate is at least the threshold."""
    assert ODD.scale.preference(0.9, 0.4) == pytest.approx(0.75)
    assert chosen(Threshold(at), ODD) == expected
    assert chosen(Threshold(at, ("weak", "strong")), told(weak=(0.4,), strong=(0.9,))) == expected


@given(p=st.floats(0, 1), at=st.floats(0, 1))
def test_a_win_rate_is_itself_on_the_scale_of_scores(p: float, at: float) -> None:
    prospects = told(weak=(1 - p, 0.0), strong=(p, 1.0))
    strong = Scale.SCORE.preference(p, 1 - p)
    assert strong == pytest.approx(p)
    assert chosen(Threshold(at), prospects) == ("strong" if strong >= at else "weak")


def test_a_threshold_climbs_from_cheap_to_dear_until_nobody_is_worth_more() -> None:
    three = told(small=(0.2, 0.1), middle=(0.6, 0.5), large=(0.65, 2.0))
    assert Threshold(0.6).choose(three, random.Random(1)).order == ("middle", "large", "small")
    assert chosen(Threshold(0.52), three) == "large"
    assert chosen(Threshold(0.8), three) == "small"


def test_a_threshold_needs_to_know_who_is_cheap() -> None:
    with pytest.raises(ConfigError, match="from cheap to dear"):
        Threshold().choose(told(a=(0.1,), b=(0.2,)), random.Random(1))


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (CheapestAbove(0.3), "cheap"),
        (CheapestAbove(0.5), "middle"),
        (CheapestAbove(0.5, several="dearest"), "dear"),
        (CheapestAbove(0.95), "dear"),
        (CheapestAbove(0.95, otherwise="cheapest"), "cheap"),
        (CheapestAbove(0.95, otherwise="best"), "middle"),
        (CheapestAbove(0.4), "middle"),
    ],
)
def test_the_cheapest_above_is_forcs_thresholding(decision: Decision, expected: str) -> None:
    assert chosen(decision, told(dear=(0.8, 3.0), cheap=(0.4, 0.1), middle=(0.9, 1.0), free=(None, 0.0))) == expected


@pytest.mark.parametrize(("per_usd", "expected"), [(0.0, "strong"), (0.49, "strong"), (0.51, "weak"), (9.0, "weak")])
def test_utility_pays_for_quality_at_a_price(per_usd: float, expected: str) -> None:
    assert chosen(Utility(per_usd), told(weak=(0.4, 0.0), strong=(0.9, 1.0), unpriced=(1.0, None))) == expected


def test_unknown_costs_are_never_free() -> None:
    choice = Utility(9.0).choose(told(weak=(0.4, 0.01), unpriced=(1.0, None)), random.Random(1))
    assert choice.order == ("weak", "unpriced")
    assert "not weighed, for quality or cost is unknown: unpriced" in choice.reason
    for decision in (Utility(1.0), Budget(1.0), CheapestAbove()):
        with pytest.raises(ConfigError, match="of none of"):
            decision.choose(told(a=(0.4,), b=(None, 1.0)), random.Random(1))


@pytest.mark.parametrize(("usd", "expected"), [(0.0, "weak"), (0.01, "weak"), (0.99, "weak"), (1.0, "strong")])
def test_a_budget_takes_the_best_within_it_else_the_cheapest(usd: float, expected: str) -> None:
    assert chosen(Budget(usd), ODD) == expected


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, "strong"), (2.4, "strong"), (2.6, "weak")])
def test_optimism_takes_the_highest_upper_bound(alpha: float, expected: str) -> None:
    assert chosen(Optimistic(alpha), ODD) == expected


def test_optimism_finds_out_about_strangers_first() -> None:
    assert Optimistic().choose(told(old=(0.9, 0, 0.1), new=(None,)), random.Random(1)).order == ("new", "old")


@pytest.mark.parametrize(
    ("scale", "qualities", "shares"),
    [
        (Scale.SCORE, (1.0, 3.0), (0.25, 0.75)),
        (Scale.SCORE, (0.0, 0.0), (0.5, 0.5)),
        (Scale.ELO, (1000.0, 1400.0), (1 / 11, 10 / 11)),
        (Scale.LOGIT, (0.0, 1000.0), (0.0, 1.0)),
    ],
)
def test_drawing_goes_by_weight(scale: Scale, qualities: tuple[float, float], shares: tuple[float, float]) -> None:
    prospects = told(scale, a=(qualities[0],), b=(qualities[1],), new=(None,))
    rng = random.Random(3)
    drawn = [Sample().choose(prospects, rng) for _ in range(4000)]
    counts = Counter(choice.order[0] for choice in drawn)
    assert counts["a"] / 4000 == pytest.approx(shares[0], abs=0.03)
    assert {choice.order[0]: choice.probability for choice in drawn} == {
        name: pytest.approx(share) for name, share in zip(("a", "b"), shares, strict=True) if counts[name]
    }
    assert counts["new"] == 0


def test_epsilon_greedy_draws_as_often_as_it_says() -> None:
    rng = random.Random(5)
    drawn = [Explore(0.3).choose(ODD, rng) for _ in range(4000)]
    assert sum(choice.order[0] == "weak" for choice in drawn) / 4000 == pytest.approx(0.15, abs=0.02)
    assert {choice.order[0]: choice.probability for choice in drawn} == {
        "weak": pytest.approx(0.15),
        "strong": pytest.approx(0.85),
    }
