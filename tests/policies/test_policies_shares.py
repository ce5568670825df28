"""What policies cost, in closed form, beside what they were seen to cost."""

from __future__ import annotations

import random
from typing import Protocol, cast

import pytest

from coterie import registry
from coterie.policies import (
    AlternateRanking,
    DynamicElimination,
    FirstK,
    FixedInterval,
    FullRanking,
    Load,
    Predictable,
    RandomK,
    RandomPick,
    Share,
    speed_up,
)
from coterie.protocols import Policy
from coterie.specs import build
from coterie.turns import History, Plan
from ten_questions import judged


class Known(Policy, Predictable, Protocol):
    """A policy whose cost is known."""


POLICIES: list[Known] = [cast(Known, build("policies", name)) for name in sorted(registry.known("policies"))] + [
    AlternateRanking(every=3),
    FixedInterval(interval=2, rank_survivors=False),
]

every_policy = pytest.mark.parametrize("policy", POLICIES, ids=repr)


def seen(policy: Known, n: int, top_k: int, turns: int) -> Load:
    """The load of twelve conversations (whole intervals of 1, 2 and 3) in which everybody answers."""
    rng = random.Random(n * turns)
    pool = tuple("abcdefgh"[:n])
    history, plans = History(), list[Plan]()
    for _ in range(12):
        history, conversation = policy.begin(history, pool, top_k, turns)
        for _ in range(turns):
            plan = policy.plan(conversation, rng)
            plans.append(plan)
            order = judged(plan.members, "".join(rng.sample(pool, n))) if plan.ranks else None
            conversation = policy.after(conversation, plan, order)
            history = history.after(conversation)
    ranked = [len(plan.members) for plan in plans if plan.ranks]
    of = len(plans)
    return Load(
        sum(len(plan.members) for plan in plans) / of,
        len(ranked) / of,
        sum(ranked) / of,
        sum(m * (m - 1) for m in ranked) / of,
    )


@every_policy
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("turns", [1, 2, 5, 10])
def test_the_closed_form_is_what_happens(policy: Known, n: int, turns: int) -> None:
    for top_k in (1, 3, 9):
        said, was = Load.of(policy.shares(n, top_k, turns)), seen(policy, n, top_k, turns)
        assert (said.generations, said.rankings) == pytest.approx((was.generations, was.rankings))
        assert (said.ranked, said.pairs) == pytest.approx((was.ranked, was.pairs))


@every_policy
def test_shares_are_of_one_whole(policy: Known) -> None:
    for turns in (None, 1, 2, 7):
        assert sum(kind.share for kind in policy.shares(5, 3, turns)) == pytest.approx(1.0)


def test_loads_of_ten_members_over_ten_turns_by_hand() -> None:
    n, k, q = 10, 3, 10
    assert Load.of(FullRanking().shares(n, k, q)) == Load(10.0, 1.0, 10.0, 90.0)
    assert Load.of(DynamicElimination().shares(n, k, q)) == Load(7.5, 1.0, 7.5, 55.0)  # half of 90, half of 20
    assert Load.of(AlternateRanking().shares(n, k, q)) == Load(6.5, 0.5, 5.0, 45.0)
    thirds = Load.of(FixedInterval().shares(n, k, q))
    assert thirds.generations == pytest.approx(20 / 3)
    assert thirds.rankings == pytest.approx(1.0)
    assert thirds.pairs == pytest.approx((90 + 2 * 20) / 3)
    assert Load.of(RandomPick().shares(n, k, q)) == Load(1.0, 0.0, 0.0, 0.0)
    assert Load.of(RandomK().shares(n, k, q)) == Load.of(FirstK().shares(n, k, q)) == Load(3.0, 0.0, 0.0, 0.0)


# ---- the bound of the saving ------------------------------------------------------------------

TIMES_S = {(10, True): 8.0, (5, True): 3.0, (3, False): 2.0, (1, False): 0.5}


def time_s(members: int, ranks: bool) -> float:
    return TIMES_S[members, ranks]


def test_alternate_ranking_saves_at_most_two_t_over_t_plus_t_without_ranking() -> None:
    assert speed_up(AlternateRanking().shares(10, 3), 10, time_s) == pytest.approx(2 * 8.0 / (8.0 + 2.0))
    assert speed_up(AlternateRanking(every=4).shares(10, 3), 10, time_s) == pytest.approx(4 * 8.0 / (8.0 + 3 * 2.0))


def test_the_other_bounds() -> None:
    assert speed_up(FullRanking().shares(10, 3), 10, time_s) == 1.0
    assert speed_up(DynamicElimination().shares(10, 3), 10, time_s) == pytest.approx(2 * 8.0 / (8.0 + 3.0))
    assert speed_up(FixedInterval().shares(10, 3), 10, time_s) == pytest.approx(3 * 8.0 / (8.0 + 2 * 3.0))
    unranked = FixedInterval(rank_survivors=False).shares(10, 3)
    assert speed_up(unranked, 10, time_s) == pytest.approx(3 * 8.0 / (8.0 + 2 * 2.0))
    assert speed_up(FirstK().shares(10, 3), 10, time_s) == pytest.approx(8.0 / 2.0)
    assert speed_up(RandomPick().shares(10, 3), 10, time_s) == pytest.approx(8.0 / 0.5)


@every_policy
@pytest.mark.parametrize("turns", range(1, 12))
def test_no_number_of_turns_goes_beyond_the_bound(policy: Known, turns: int) -> None:
    bound = speed_up(policy.shares(10, 3), 10, time_s)
    reached = speed_up(policy.shares(10, 3, turns), 10, time_s)
    assert reached <= bound * (1 + 1e-12)
    if turns % 6 == 0:  # a multiple of 2 and of 3 is the best of cases
        assert reached == pytest.approx(bound)


def test_where_every_turn_takes_as_long_nothing_is_saved() -> None:
    for policy in POLICIES:
        assert speed_up(policy.shares(6, 2, 5), 6, lambda members, ranks: 1.5) == pytest.approx(1.0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="a conversation has at least one turn, not 0"):
        AlternateRanking().shares(3, 2, 0)
    with pytest.raises(ValueError, match="at least one member writes, not 0"):
        FullRanking().shares(0, 2)
    with pytest.raises(ValueError, match="a share lies between 0 and 1"):
        Share(1.5, 2, True)
