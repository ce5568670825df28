"""The cases that the thesis' formulas leave open: what was decided, one by one."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from coterie.errors import ConfigError
from coterie.policies import AlternateRanking, DynamicElimination, FixedInterval, FullRanking, RandomK, RandomPick
from coterie.protocols import Policy
from coterie.specs import build
from coterie.turns import Conversation, History, Plan
from coterie.types import Ranking
from ten_questions import Dice, judged, talk

DICE = Dice()


def begun(policy: Policy, pool: str = "abcd", top_k: int = 2, turns: int | None = None) -> Conversation:
    return policy.begin(History(), tuple(pool), top_k, turns)[1]


def scored(**scores: float | None) -> Ranking:
    """Members by their scores, those without one last."""
    order = sorted(scores, key=lambda name: -(-1e9 if scores[name] is None else scores[name]))  # type: ignore[operator]
    return Ranking(tuple(order), scores, "mean")


def turn(policy: Policy, conversation: Conversation, ranking: Ranking | None) -> Conversation:
    return policy.after(conversation, policy.plan(conversation, DICE), ranking)


# ---- dynamic elimination ----------------------------------------------------------------------


def test_a_conversation_of_one_question_is_ranked_in_full() -> None:
    policy = DynamicElimination()
    plans, end = talk(policy, begun(policy, turns=1), DICE, ["abcd"])
    assert plans == "abcd>2"
    assert end.survivors == ("a", "b")  # for whoever asks a second question all the same


@pytest.mark.parametrize(("q", "in_full"), [(1, 1), (2, 1), (3, 2), (4, 2), (7, 4), (10, 5)])
def test_the_first_half_is_rounded_up(q: int, in_full: int) -> None:
    policy = DynamicElimination()
    plans, _ = talk(policy, begun(policy, turns=q), DICE, ["abcd"] * q)
    assert plans.split() == ["abcd>2"] * in_full + ["ab>2"] * (q - in_full)


@pytest.mark.parametrize(("pool", "left"), [("a", "a"), ("ab", "a"), ("abc", "ab"), ("abcd", "ab"), ("abcde", "abc")])
def test_of_an_odd_number_the_middle_one_stays(pool: str, left: str) -> None:
    policy = DynamicElimination(expected_turns=1)
    _, end = talk(policy, begun(policy, pool), DICE, [pool])
    assert "".join(end.survivors) == left


def test_more_to_fuse_than_survive_fuses_the_survivors_and_ranks_them_still() -> None:
    policy = DynamicElimination()
    plans, _ = talk(policy, begun(policy, top_k=3, turns=2), DICE, ["abcd", "abcd"])
    assert plans == "abcd>3 ab>2"


def test_one_survivor_is_not_ranked() -> None:
    policy = DynamicElimination()
    plans, _ = talk(policy, begun(policy, "ab", turns=4), DICE, ["ba"] * 4)
    assert plans == "ab>2 ab>2 b b"


def test_a_known_number_of_turns_goes_before_the_expected_one() -> None:
    policy = DynamicElimination(expected_turns=2)
    plans, _ = talk(policy, begun(policy, turns=4), DICE, ["abcd"] * 4)
    assert plans == "abcd>2 abcd>2 ab>2 ab>2"


def test_a_conversation_that_outlives_its_turns_keeps_its_survivors() -> None:
    policy = DynamicElimination(expected_turns=3)
    plans, end = talk(policy, begun(policy), DICE, ["abcd"] * 2 + ["ba"] * 30)
    assert plans.split() == ["abcd>2"] * 2 + ["ab>2"] * 30
    assert end.survivors == ("a", "b")  # b led for thirty turns, and nobody else goes


def test_nobody_comes_back_when_the_survivors_sums_fall() -> None:
    policy = DynamicElimination(expected_turns=1)
    end = turn(policy, begun(policy), scored(a=-1, b=-2, c=-3, d=-4))
    end = turn(policy, end, scored(a=-10, b=-20))
    assert end.survivors == ("a", "b")


def test_equal_sums_keep_who_stands_first_in_the_pool() -> None:
    policy = DynamicElimination(expected_turns=1)
    assert turn(policy, begun(policy, "cadb"), scored(a=1, b=1, c=1, d=1)).survivors == ("c", "a")
    assert turn(policy, begun(policy, "cadb"), scored(a=1, b=2, c=1, d=1)).survivors == ("c", "b")


def test_rounding_is_no_difference() -> None:
    policy = DynamicElimination(expected_turns=3)
    middle = turn(policy, begun(policy, "ab"), scored(a=0.1, b=0.2))
    middle = turn(policy, middle, scored(a=0.2, b=0.1 + 1e-16))
    assert middle.survivors == ("a",)


def test_cumulative_means_summed_scores_and_not_places_won() -> None:
    policy = DynamicElimination(expected_turns=5)
    end = begun(policy, "ab")
    for ranking in (scored(a=1, b=0), scored(a=1, b=0), scored(a=0, b=3)):
        end = turn(policy, end, ranking)
    assert end.survivors == ("b",)


def test_negative_scores_are_scores() -> None:
    policy = DynamicElimination(expected_turns=1)
    assert turn(policy, begun(policy), scored(a=-9, b=-1, c=-5, d=-2)).survivors == ("b", "d")


# ---- who says nothing -------------------------------------------------------------------------


def test_who_failed_on_a_turn_is_given_the_mean_of_that_turn() -> None:
    policy = FullRanking()
    once = turn(policy, begun(policy), scored(a=6, b=3, c=0))
    assert once.tally.sums == {"a": 6.0, "b": 3.0, "c": 0.0, "d": 3.0}
    assert once.tally.heard == {"a": 1, "b": 1, "c": 1}


def test_a_failure_neither_helps_nor_harms() -> None:
    policy = DynamicElimination(expected_turns=3)
    good = turn(policy, turn(policy, begun(policy), scored(a=3, b=2, c=1, d=0)), scored(b=2, c=1, d=0))
    bad = turn(policy, turn(policy, begun(policy), scored(a=0, b=1, c=2, d=3)), scored(b=1, c=2, d=3))
    assert good.survivors == ("a", "b")
    assert bad.survivors == ("c", "d")


def test_whoever_was_never_heard_stays_and_takes_nobodys_place() -> None:
    policy = DynamicElimination(expected_turns=1)
    end = turn(policy, begun(policy, "abcde"), scored(a=1, b=4, c=2, e=3))
    assert end.survivors == ("b", "d", "e")  # of the four who were heard, two went; d said nothing
    end = turn(policy, begun(policy, "abcd"), scored(a=1, b=4, c=2, d=None))
    assert end.survivors == ("b", "c", "d")


def test_the_elimination_waits_until_a_judge_has_spoken_of_two() -> None:
    policy = DynamicElimination(expected_turns=1)
    silent = turn(policy, begun(policy), None)
    silent = turn(policy, silent, scored(a=None, b=None, c=None, d=None))
    assert silent.survivors == ("a", "b", "c", "d")
    assert turn(policy, silent, scored(a=0, b=1, c=2, d=3)).survivors == ("c", "d")


def test_a_ranking_that_says_nothing_leaves_what_was_known() -> None:
    policy = FullRanking()
    once = turn(policy, begun(policy), scored(a=0, b=1, c=2, d=3))
    assert turn(policy, once, scored(a=None, b=None, c=None, d=None)) == replace(once, turn=3)


# ---- alternate ranking ------------------------------------------------------------------------


def test_where_there_is_no_ranking_to_reuse_the_turn_is_ranked() -> None:
    policy = AlternateRanking()
    second = turn(policy, begun(policy), None)
    assert policy.plan(second, DICE) == Plan(("a", "b", "c", "d"), ranks=True, top_k=2)
    third = turn(policy, second, judged("abcd", "dcba"))
    assert policy.plan(third, DICE).ranks  # odd, so ranked all the same
    assert policy.plan(turn(policy, third, None), DICE) == Plan.unranked(("d", "c"))


def test_who_failed_on_an_odd_turn_is_asked_again_on_the_next_one() -> None:
    policy = AlternateRanking()
    second = turn(policy, begun(policy), scored(c=2, b=1))
    assert policy.plan(second, DICE) == Plan.unranked(("c", "b"))
    assert policy.plan(turn(policy, second, None), DICE).members == ("a", "b", "c", "d")


def test_a_ranking_of_fewer_than_k_is_reused_as_it_is() -> None:
    policy = AlternateRanking()
    second = turn(policy, begun(policy, top_k=3), scored(d=2, a=1))
    assert policy.plan(second, DICE) == Plan.unranked(("d", "a"))


def test_k_above_the_pool_saves_the_ranking_alone() -> None:
    policy = AlternateRanking()
    plans, _ = talk(policy, begun(policy, top_k=9), DICE, ["dcba"] * 2)
    assert plans == "abcd>4 dcba"


def test_one_member_answers_every_turn_without_ranking() -> None:
    policy = AlternateRanking()
    plans, _ = talk(policy, begun(policy, "a"), DICE, ["a"] * 3)
    assert plans == "a a a"


def test_ranking_every_turn_is_full_ranking() -> None:
    policy = AlternateRanking(every=1)
    plans, _ = talk(policy, begun(policy), DICE, ["dcba"] * 3)
    assert plans == "abcd>2 abcd>2 abcd>2"


# ---- fixed-interval elimination ---------------------------------------------------------------


def test_a_conversation_that_begins_before_anything_was_ranked_has_everybody() -> None:
    policy = FixedInterval()
    history, _ = policy.begin(History(), tuple("abcd"), 2)
    _, second = policy.begin(history, tuple("abcd"), 2)
    assert second.survivors == ("a", "b", "c", "d")


def test_conversations_may_overlap_and_keep_what_they_began_with() -> None:
    policy = FixedInterval()
    pool = tuple("abcd")
    history, first = policy.begin(History(), pool, 2)
    first = turn(policy, first, judged(pool, "abcd"))
    history = history.after(first)
    history, second = policy.begin(history, pool, 2)
    first = turn(policy, turn(policy, first, judged(pool, "dcba")), judged(pool, "dcba"))
    history = history.after(first)
    history, third = policy.begin(history, pool, 2)
    assert (second.survivors, third.survivors) == (("a", "b"), ("c", "d"))
    assert turn(policy, second, judged("ab", "ba")).survivors == ("a", "b")
    assert history.after(second) == history  # only the first conversation of an interval counts


def test_a_late_turn_of_an_earlier_interval_changes_nothing() -> None:
    policy = FixedInterval(interval=1)
    pool = tuple("abcd")
    history, first = policy.begin(History(), pool, 2)
    history, second = policy.begin(history, pool, 2)
    assert history.after(turn(policy, first, judged(pool, "abcd"))) == history
    assert history.after(turn(policy, second, judged(pool, "abcd"))).tally.sums == {"a": 3, "b": 2, "c": 1, "d": 0}


def test_a_new_interval_forgets_the_one_before_at_once() -> None:
    policy = FixedInterval(interval=2)
    pool = tuple("abcd")
    history, first = policy.begin(History(), pool, 2)
    history = history.after(turn(policy, first, judged(pool, "abcd")))
    history, second = policy.begin(history, pool, 2)
    history, third = policy.begin(history, pool, 2)
    _, fourth = policy.begin(history, pool, 2)
    assert second.survivors == ("a", "b")
    assert third.survivors == fourth.survivors == pool


def test_the_same_turn_told_twice_counts_once() -> None:
    policy = FixedInterval()
    history, first = policy.begin(History(), tuple("abcd"), 2)
    first = turn(policy, first, judged("abcd", "abcd"))
    assert history.after(first).after(first) == history.after(first)


def test_who_joins_the_pool_within_an_interval_has_not_been_judged_and_takes_part() -> None:
    policy = FixedInterval()
    history, first = policy.begin(History(), tuple("abcd"), 2)
    history = history.after(turn(policy, first, judged("abcd", "abcd")))
    _, second = policy.begin(history, ("b", "new", "c", "d"), 2)
    assert second.survivors == ("b", "new", "c")  # of b, c and d, who were heard, one goes


def test_without_ranking_survivors_a_silent_first_conversation_is_made_good_by_the_next_turn() -> None:
    policy = FixedInterval(rank_survivors=False)
    history, _ = policy.begin(History(), tuple("abcd"), 2)
    _, second = policy.begin(history, tuple("abcd"), 2)
    plans, _ = talk(policy, second, DICE, ["dcba"] * 3)
    assert plans == "abcd>2 dc dc"


# ---- randomness -------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [RandomPick(), RandomK()])
def test_the_same_seed_draws_the_same_members(policy: Policy) -> None:
    drawn = [[policy.plan(begun(policy, "abcdef"), random.Random(seed)) for seed in range(20)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 1


@pytest.mark.parametrize(("policy", "each"), [(RandomPick(), 500), (RandomK(), 1000)])
def test_draws_are_uniform(policy: Policy, each: int) -> None:
    rng, conversation = random.Random(11), begun(policy, "abcdef", top_k=2)
    count = Counter(member for _ in range(3000) for member in policy.plan(conversation, rng).members)
    chi_square = sum((count[member] - each) ** 2 / each for member in "abcdef")
    assert chi_square < 20.5  # 5 degrees of freedom, one in a thousand


def test_random_k_above_the_pool_is_everybody() -> None:
    assert RandomK().plan(begun(RandomK(), top_k=9), random.Random(0)) == Plan.unranked(("a", "b", "c", "d"))


# ---- what cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"kind": "dynamic_elimination", "expected_turns": 0}, "expected_turns must be at least 1, not 0"),
        ({"kind": "alternate_ranking", "every": 0}, "every must be at least 1, not 0"),
        ({"kind": "fixed_interval", "interval": -1}, "interval must be at least 1, not -1"),
        ({"kind": "full_ranking", "top_k": 3}, "there is no such setting"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(data: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        build("policies", data)


def test_a_ranking_of_candidates_is_not_taken_for_one_of_members() -> None:
    policy = FullRanking()
    with pytest.raises(ConfigError, match=r"the ranking orders 'c1', 'c2', and .* `policies.by_author`"):
        turn(policy, begun(policy), scored(c1=1, c2=2))
