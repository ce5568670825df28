"""What every policy in the registry promises, whatever pool, K and number of turns it is handed, and whoever fails."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie import registry
from coterie.protocols import Policy
from coterie.specs import build, describe
from coterie.turns import Conversation, History, Plan, read, to_plain
from coterie.types import Ranking
from ten_questions import judged

POLICIES: dict[str, Policy] = {
    **{name: build("policies", name) for name in sorted(registry.known("policies"))},
    "alternate_ranking, every 3": build("policies", {"kind": "alternate_ranking", "every": 3}),
    "dynamic_elimination, expects 1": build("policies", {"kind": "dynamic_elimination", "expected_turns": 1}),
    "fixed_interval, unranked": build("policies", {"kind": "fixed_interval", "rank_survivors": False}),
    "fixed_interval of 1": build("policies", {"kind": "fixed_interval", "interval": 1}),
}

every_policy = pytest.mark.parametrize("name", POLICIES)
some = settings(max_examples=15)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A pool and conversations of so many turns, and how often a member says nothing."""

    pool: tuple[str, ...]
    top_k: int
    turns: int
    known: bool
    silence: float
    seed: int


settings_of_all_kinds = st.builds(
    Setting,
    st.integers(1, 6).map(lambda n: tuple("fbdace"[:n])),
    st.integers(1, 8),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from((0.0, 0.3, 1.0)),
    st.integers(0, 1000),
)


def ranking(members: Sequence[str], silence: float, rng: random.Random) -> Ranking | None:
    """Those who answered, in any order; a score may be missing, and so may the whole ranking."""
    answered = [member for member in members if rng.random() >= silence]
    if len(answered) < 2:
        return None
    made = judged(answered, "".join(rng.sample(answered, len(answered))))
    scores = {m: None if rng.random() < silence else s for m, s in made.scores.items()}
    return dataclasses.replace(made, scores=scores)


def walk(policy: Policy, at: Setting) -> list[tuple[History, Conversation, Plan, Conversation]]:
    """Every turn of four conversations: history and conversation before it, its plan, the conversation after."""
    rng = random.Random(at.seed)
    history = History()
    steps = []
    for _ in range(4):
        history, conversation = policy.begin(history, at.pool, at.top_k, at.turns if at.known else None)
        for _ in range(at.turns):
            plan = policy.plan(conversation, rng)
            following = policy.after(conversation, plan, ranking(plan.members, at.silence, rng) if plan.ranks else None)
            steps.append((history, conversation, plan, following))
            conversation = following
            history = history.after(conversation)
    return steps


def test_the_policies_of_the_thesis_are_there() -> None:
    assert set(registry.known("policies")) >= {
        "alternate_ranking",
        "dynamic_elimination",
        "first_k",
        "fixed_interval",
        "full_ranking",
        "random_k",
        "random_pick",
    }


@every_policy
def test_a_policy_is_a_frozen_value_that_plain_data_makes_again(name: str) -> None:
    policy = POLICIES[name]
    assert build("policies", describe("policies", policy)) == policy
    assert hash(policy) == hash(copy.deepcopy(policy))
    assert (type(policy).__doc__ or "").strip()


@every_policy
@some
@given(at=settings_of_all_kinds)
def test_survivors_alone_write_each_once_and_never_nobody(name: str, at: Setting) -> None:
    for _, conversation, plan, _ in walk(POLICIES[name], at):
        assert plan.members
        assert len(set(plan.members)) == len(plan.members)
        assert set(plan.members) <= set(conversation.survivors)


@every_policy
@some
@given(at=settings_of_all_kinds)
def test_without_ranking_at_most_k_write_and_with_it_all_who_stand_in_pool_order(name: str, at: Setting) -> None:
    for _, conversation, plan, _ in walk(POLICIES[name], at):
        assert plan.top_k == min(at.top_k, len(plan.members))
        if plan.ranks:
            assert plan.members == conversation.survivors
            assert list(plan.members) == sorted(plan.members, key=at.pool.index)
        else:
            assert len(plan.members) <= at.top_k


@every_policy
@some
@given(at=settings_of_all_kinds)
def test_at_least_half_of_the_pool_survives_and_nobody_comes_back_within_a_conversation(name: str, at: Setting) -> None:
    for _, conversation, _, following in walk(POLICIES[name], at):
        assert following.turn == conversation.turn + 1
        assert following.pool == at.pool
        assert set(following.survivors) <= set(conversation.survivors)
        assert len(following.survivors) >= len(at.pool) - len(at.pool) // 2


@every_policy
@some
@given(at=settings_of_all_kinds)
def test_who_never_got_a_score_is_not_eliminated(name: str, at: Setting) -> None:
    for history, _, _, following in walk(POLICIES[name], at):
        for member in set(at.pool) - set(following.survivors):
            assert following.tally.heard.get(member, 0) + history.tally.heard.get(member, 0) > 0


@every_policy
@some
@given(at=settings_of_all_kinds)
def test_records_live_through_json(name: str, at: Setting) -> None:
    for history, conversation, _, _ in walk(POLICIES[name], at):
        assert read(Conversation, json.loads(json.dumps(to_plain(conversation)))) == conversation
        assert read(History, json.loads(json.dumps(to_plain(history)))) == history


@every_policy
@some
@given(at=settings_of_all_kinds)
def test_a_policy_changes_no_record_and_decides_the_same_again(name: str, at: Setting) -> None:
    policy = POLICIES[name]
    _, conversation = policy.begin(History(), at.pool, at.top_k, at.turns)
    before = copy.deepcopy(conversation)
    plan = policy.plan(conversation, random.Random(at.seed))
    order = judged(plan.members, "".join(at.pool)) if plan.ranks else None
    following = policy.after(conversation, plan, order)
    assert conversation == before
    assert policy.plan(conversation, random.Random(at.seed)) == plan
    assert policy.after(conversation, plan, order) == following


@every_policy
def test_a_turn_on_which_nobody_was_ranked_is_only_counted(name: str) -> None:
    policy = POLICIES[name]
    _, conversation = policy.begin(History(), ("a", "b"), 1, 4)
    plan = policy.plan(conversation, random.Random(1))
    assert policy.after(conversation, plan, None) == dataclasses.replace(conversation, turn=2)
