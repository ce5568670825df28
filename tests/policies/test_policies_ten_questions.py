"""A conversation of ten questions under each policy, worked out by hand from "Efficient Blending", chapter 3.

Five members a to e, K = 2, q = 10. The judge gives Borda's points by these orders (`ten_questions.ORDERS`):

    turn      1     2     3     4     5   |   6     7     8     9     10
    order   badce abcde dbaec bdace adbec | ceabd ecabd dbace cabde edcba
    a         3     4     2     2     4   |   2     2     2     3     0
    b         4     3     3     4     2   |   1     1     3     2     1
    c         1     2     0     1     0   |   4     3     1     4     2
    d         2     1     4     3     3   |   0     0     4     1     3
    e         0     0     1     0     1   |   3     4     0     0     4

After five turns: a 15, b 16, c 4, d 13, e 2. After ten: a 24, b 24, c 18, d 21, e 13.
"""

from __future__ import annotations

import random

from coterie.policies import (
    AlternateRanking,
    DynamicElimination,
    FirstK,
    FixedInterval,
    FullRanking,
    RandomK,
    RandomPick,
)
from coterie.protocols import Policy
from coterie.turns import Conversation, History, Tally
from ten_questions import ORDERS, POOL, Dice, K, talk

NO_DICE = Dice()
"""Whoever draws from it fails the test."""

ALL_TEN = Tally({"a": 24.0, "b": 24.0, "c": 18.0, "d": 21.0, "e": 13.0}, dict.fromkeys(POOL, 10))


def ten(policy: Policy, rng: random.Random = NO_DICE, turns: int | None = 10) -> tuple[str, Conversation]:
    _, conversation = policy.begin(History(), POOL, K, turns)
    return talk(policy, conversation, rng)


def test_full_ranking() -> None:
    plans, end = ten(FullRanking())
    assert plans == " ".join(["abcde>2"] * 10)
    assert end == Conversation(
        POOL, K, turns=10, number=1, turn=11, survivors=POOL, tally=ALL_TEN, last=("e", "d", "c", "b", "a")
    )


def test_dynamic_elimination_ranks_all_for_five_turns_and_goes_on_without_the_two_worst() -> None:
    plans, end = ten(DynamicElimination())
    assert plans == "abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abd>2 abd>2 abd>2 abd>2 abd>2"
    # Among three a judge gives 2, 1, 0; turns 6 to 10 go abd, abd, dba, abd, dba: a 6, b 5, d 4 more.
    assert end == Conversation(
        POOL,
        K,
        turns=10,
        number=1,
        turn=11,
        survivors=("a", "b", "d"),
        tally=Tally({"a": 21.0, "b": 21.0, "c": 4.0, "d": 17.0, "e": 2.0}, {"a": 10, "b": 10, "c": 5, "d": 10, "e": 5}),
        last=("d", "b", "a"),
    )


def test_dynamic_elimination_goes_by_what_was_expected_where_nobody_knows_the_turns() -> None:
    plans, end = ten(DynamicElimination(expected_turns=5), turns=None)
    # ceil(5 / 2) = 3 turns: a 9, b 10, c 3, d 7, e 1, so c and e go, and no second half goes at turn 5 or later.
    assert plans == "abcde>2 abcde>2 abcde>2 abd>2 abd>2 abd>2 abd>2 abd>2 abd>2 abd>2"
    assert end.survivors == ("a", "b", "d")


def test_dynamic_elimination_starts_anew_in_the_next_conversation() -> None:
    policy = DynamicElimination()
    history, first = policy.begin(History(), POOL, K, 10)
    _, first = talk(policy, first, NO_DICE)
    _, second = policy.begin(history.after(first), POOL, K, 10)
    assert second == Conversation(POOL, K, 10, number=2)


def test_alternate_ranking_reuses_the_two_best_of_the_turn_before() -> None:
    plans, end = ten(AlternateRanking())
    assert plans == "abcde>2 ba abcde>2 db abcde>2 ad abcde>2 ec abcde>2 ca"
    # Turns 1, 3, 5, 7, 9 alone are judged.
    assert end == Conversation(
        POOL,
        K,
        turns=10,
        number=1,
        turn=11,
        survivors=POOL,
        tally=Tally({"a": 14.0, "b": 12.0, "c": 8.0, "d": 10.0, "e": 6.0}, dict.fromkeys(POOL, 5)),
        last=("c", "a", "b", "d", "e"),
    )


def test_alternate_ranking_on_every_fourth_turn() -> None:
    plans, _ = ten(AlternateRanking(every=4))
    assert plans == "abcde>2 ba ba ba abcde>2 ad ad ad abcde>2 ca"


def test_fixed_interval_elimination_lets_one_conversation_in_three_judge_everybody() -> None:
    policy = FixedInterval()
    history = History()
    plans, ends = [], []
    for _ in range(4):
        history, conversation = policy.begin(history, POOL, K, 10)
        for order in ORDERS:
            said, conversation = talk(policy, conversation, NO_DICE, [order])
            plans.append(said)
            history = history.after(conversation)
        ends.append(conversation)
    # a and b tie at 24, d has 21; c with 18 and e with 13 are the bottom floor(5 / 2).
    assert plans == ["abcde>2"] * 10 + ["abd>2"] * 20 + ["abcde>2"] * 10
    among_three = Tally({"a": 11.0, "b": 11.0, "d": 8.0}, {"a": 10, "b": 10, "d": 10})
    left = ("a", "b", "d")
    assert ends == [
        Conversation(POOL, K, 10, 1, 11, POOL, ALL_TEN, ("e", "d", "c", "b", "a")),
        Conversation(POOL, K, 10, 2, 11, left, among_three, ("d", "b", "a")),
        Conversation(POOL, K, 10, 3, 11, left, among_three, ("d", "b", "a")),
        Conversation(POOL, K, 10, 4, 11, POOL, ALL_TEN, ("e", "d", "c", "b", "a")),
    ]
    assert history == History(begun=4, evaluation=4, tally=ALL_TEN)


def test_fixed_interval_elimination_without_ranking_the_survivors_lets_the_two_best_write() -> None:
    policy = FixedInterval(rank_survivors=False)
    history = History()
    plans = []
    for _ in range(4):
        history, conversation = policy.begin(history, POOL, K, 10)
        said, conversation = talk(policy, conversation, NO_DICE)
        plans.append(said)
        history = history.after(conversation)
    everybody, best = " ".join(["abcde>2"] * 10), " ".join(["ab"] * 10)
    assert plans == [everybody, best, best, everybody]


def test_random_pick_asks_one_member_a_turn() -> None:
    plans, end = ten(RandomPick(), Dice("c", "a", "a", "e", "b", "d", "c", "c", "a", "e"))
    assert plans == "c a a e b d c c a e"
    assert end == Conversation(POOL, K, 10, turn=11)


def test_random_k_asks_two_members_a_turn_in_the_order_of_the_pool() -> None:
    plans, end = ten(RandomK(), Dice("ca", "ab", "ed", "be", "da", "cd", "ec", "ac", "ba", "de"))
    assert plans == "ac ab de be ad cd ce ac ab de"
    assert end == Conversation(POOL, K, 10, turn=11)


def test_first_k_asks_the_same_two_on_every_turn() -> None:
    plans, end = ten(FirstK())
    assert plans == "ab ab ab ab ab ab ab ab ab ab"
    assert end == Conversation(POOL, K, 10, turn=11)
