"""PickLLM: the invariants of reward inaction, Q-learning's steps, both readings of the reward, and the part."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_bench import bench

from coterie.decisions import Explore, Sample
from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.prospects import Feedback, Lesson, Routed, Scale
from coterie.routers.artifact import save
from coterie.routers.automata import QLearning, RewardInaction
from coterie.routers.blending_router import BlendingRouter
from coterie.routers.forecast import Kept, Queries, Vectors
from coterie.routers.foretold import prospects
from coterie.routers.learning import Unreadable
from coterie.routers.pickllm import PickLLM
from coterie.routers.pickllm_recipe import PickLLMRecipe
from coterie.routers.pickllm_router import PickLLMRouter
from coterie.routers.pickllm_rules import PickRules
from coterie.types import Json, Request

POOL = ("a", "b", "c", "d")

LESSONS = st.lists(st.tuples(st.sampled_from(POOL), st.floats(0, 1)), max_size=60)


def never_stopping(step: float = 0.1) -> RewardInaction:
    return RewardInaction(step, stop=1.0)


# ---- linear reward-inaction ----


@given(LESSONS, st.floats(0.01, 0.99))
def test_it_moves_as_the_formula_says_and_stays_a_distribution(lessons: list[tuple[str, float]], step: float) -> None:
    """p_m += b r (1 - p_m), p_j -= b r p_j, over a pool that the automaton was never told of."""
    automaton, p = never_stopping(step), dict.fromkeys(POOL, 1 / len(POOL))
    for member, reward in lessons:
        automaton.learn(member, reward)
        p = {name: old + step * reward * ((name == member) - old) for name, old in p.items()}
    values = automaton.values(POOL)
    assert math.fsum(values) == pytest.approx(1.0, abs=1e-12)
    assert all(0 <= value <= 1 for value in values)
    assert values == pytest.approx([p[name] for name in POOL], abs=1e-9)


@given(LESSONS)
def test_a_reward_of_nothing_changes_nothing(lessons: list[tuple[str, float]]) -> None:
    automaton = never_stopping()
    for member, reward in lessons:
        automaton.learn(member, reward)
    before = automaton.values(POOL)
    for member in POOL:
        automaton.learn(member, 0.0)
    assert automaton.values(POOL) == before


def session(step: float, seed: int, answers: int = 1500) -> str:
    """Who is likeliest after a session in which members answer well with 0.4, 0.5, 0.6 and 0.8."""
    automaton, rng = RewardInaction(step, 0.99), random.Random(seed)
    for _ in range(answers):
        [member] = rng.choices(POOL, automaton.values(POOL))
        automaton.learn(member, float(rng.random() < (0.4, 0.5, 0.6, 0.8)[POOL.index(member)]))
    return max(POOL, key=lambda member: automaton.values(POOL)[POOL.index(member)])


def test_small_steps_converge_to_the_best_member() -> None:
    """ε-optimality: with small steps it nearly always ends at the best, and with large ones more seldom."""
    small = sum(session(0.02, seed) == "d" for seed in range(30))
    large = sum(session(0.5, seed) == "d" for seed in range(30))
    assert small >= 27
    assert large < small


def test_it_comes_to_rest_once_a_member_is_nearly_sure() -> None:
    automaton = RewardInaction(0.2, stop=0.9)
    for _ in range(50):
        automaton.learn("a", 1.0)
    rest = automaton.values(POOL)
    assert rest[0] == pytest.approx(1 - 0.8**11 * 3 / 4)  # the 11th step is the first after which 1 - 0.8^n > 0.9
    for _ in range(50):
        automaton.learn("b", 1.0)
    assert automaton.values(POOL) == rest


def test_members_may_join_and_leave() -> None:
    automaton = never_stopping(0.5)
    automaton.learn("a", 1.0)
    automaton.learn("b", 1.0)
    assert automaton.values(("a", "b")) == pytest.approx([0.125 + 0.25, 0.125 + 0.5])
    with_new = automaton.values(("a", "b", "new"))
    assert with_new == pytest.approx([0.25 / 3 + 0.25, 0.25 / 3 + 0.5, 0.25 / 3])
    left = automaton.values(("a", "new"))
    assert math.fsum(left) == pytest.approx(1.0)
    assert left[0] / left[1] == pytest.approx((0.125 + 0.25) / 0.125)
    for _ in range(3000):
        automaton.learn("a", 1.0)
    assert automaton.values(("b", "new")) == [0.5, 0.5]  # nothing is left to tell them apart
    assert automaton.values(("only",)) == [1.0]


# ---- Q-learning ----


@given(LESSONS, st.floats(0.01, 0.99), st.floats(-1, 1))
def test_q_moves_a_step_towards_each_reward(lessons: list[tuple[str, float]], step: float, initial: float) -> None:
    automaton, q = QLearning(step, initial), dict.fromkeys(POOL, initial)
    for member, reward in lessons:
        automaton.learn(member, reward)
        q[member] = (1 - step) * q[member] + step * reward
    assert automaton.values(POOL) == pytest.approx([q[name] for name in POOL], abs=1e-9)
    assert automaton.values(("new",)) == [initial]


# ---- the reward ----


def test_both_readings_of_the_reward() -> None:
    weights = {"accuracy_weight": 2.0, "cost_weight": 3.0, "latency_weight": 0.5, "time_scale": 4.0}
    printed, natural = PickRules(**weights), PickRules(**weights, reward="sum")  # type: ignore[arg-type]
    assert printed.rewarded(0.9, 0.1, 100.0) == pytest.approx(2 * 0.9 - 3 * 0.1 * 0.5 * 2 * 4)
    assert natural.rewarded(0.9, 0.1, 100.0) == pytest.approx(2 * 0.9 - 3 * 0.1 - 0.5 * 2 * 4)
    assert printed.rewarded(0.9, 0.1, 1.0) == pytest.approx(1.8)
    bonus = printed.rewarded(0.9, 0.1, 0.1)  # as printed: within a second, a price is a bonus
    assert bonus is not None
    assert bonus > 1.8


@pytest.mark.parametrize("reward", ["product", "sum"])
def test_what_a_reward_depends_on_must_be_known(reward: str) -> None:
    rules = PickRules(cost_weight=1.0, reward=reward)  # type: ignore[arg-type]
    assert rules.rewarded(1.0, None, 2.0) is None
    assert rules.rewarded(1.0, 0.1, None) is None
    assert rules.rewarded(1.0, 0.1, 0.0) is None  # no time has no logarithm
    plain = PickRules(latency_weight=0.0, reward=reward)  # type: ignore[arg-type]
    assert plain.rewarded(0.7, None, None) == 0.7


def test_reward_inaction_takes_shares_of_the_highest_reward() -> None:
    rules = PickRules(step=0.5, accuracy_weight=4.0, cost_weight=4.0, latency_weight=1.0)

    def gained(accuracy: float, cost_usd: float, latency_s: float) -> float:
        router = PickLLMRouter(rules)
        assert router.learn("a", accuracy, cost_usd, latency_s)
        return float(router.forecast(Queries(("",)), ("a", "b")).quality[0, 0]) - 0.5

    assert gained(1.0, 0.0, 10.0) == pytest.approx(0.25)  # R = 4: the whole step, half of what is left
    assert gained(0.5, 0.0, 10.0) == pytest.approx(0.125)
    assert gained(1.0, 0.5, 10.0) == pytest.approx(0.125)  # R = 4 - 2
    assert gained(1.0, 2.0, 10.0) == 0.0  # R = -4
    assert gained(1.0, 2.0, 0.1) == pytest.approx(0.25)  # R = 12


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": 0},
        {"step": 1},
        {"stop": 0},
        {"stop": 1.1},
        {"accuracy_weight": 0},
        {"cost_weight": -1},
        {"time_scale": -1},
    ],
)
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    for make in (PickRules, PickLLM, PickLLMRecipe):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make(**wrong)  # type: ignore[arg-type]


# ---- fitted, kept, and begun again ----


def outcomes(scores: Sequence[Sequence[float]], costs: float = math.nan) -> Lessons:
    table = np.array(scores, dtype=np.float64)
    known = np.full(table.shape, costs)
    members, prompts = POOL[: table.shape[1]], tuple(str(n) for n in range(len(table)))
    return Lessons(Outcomes(members, prompts, table, known, np.full(table.shape, math.nan)))


def fit(recipe: PickLLMRecipe, lessons: Lessons) -> PickLLMRouter:
    return recipe.fit(lessons, Vectors(), lambda *_: None)


def qualities(router: PickLLMRouter, *members: str) -> list[float]:
    row: list[float] = router.forecast(Queries(("any",)), members or None).quality[0].tolist()
    return row


@pytest.mark.parametrize("rule", ["reward_inaction", "q_learning"])
def test_a_session_over_outcomes_ends_at_the_best_member(rule: str) -> None:
    lessons = outcomes([[0.1, 0.9, 0.4]] * 400)
    recipe = PickLLMRecipe(rule=rule, step=0.05, initial=1.0)  # type: ignore[arg-type]
    router = fit(recipe, lessons)
    assert int(np.argmax(qualities(router))) == 1
    assert qualities(router) == qualities(fit(recipe, lessons))
    if rule == "q_learning":
        assert qualities(router)[1] == pytest.approx(0.9, abs=0.01)


def test_outcomes_without_what_a_reward_needs_teach_nothing_and_say_so() -> None:
    unknown = [[math.nan, 1.0]] * 30
    learned = fit(PickLLMRecipe(rule="q_learning", epsilon=1.0), outcomes(unknown))
    assert qualities(learned)[0] == 0.0  # never heard of
    assert qualities(learned)[1] > 0.5
    with pytest.raises(ConfigError, match="has learned nothing"):
        fit(PickLLMRecipe(), outcomes([[math.nan, math.nan]] * 5))
    with pytest.raises(ConfigError, match="has learned nothing"):
        fit(PickLLMRecipe(reward="sum", cost_weight=1.0, latency_weight=0.0), outcomes([[1.0, 0.0]] * 5))
    fit(PickLLMRecipe(reward="sum", cost_weight=1.0, latency_weight=0.0), outcomes([[1.0, 0.0]] * 5, costs=0.1))
    for lessons in (outcomes([[1.0]] * 5), Lessons()):
        with pytest.raises(ConfigError, match="at least two members"):
            fit(PickLLMRecipe(), lessons)


@pytest.mark.parametrize("rule", ["reward_inaction", "q_learning"])
def test_a_router_that_was_saved_forecasts_the_same_and_learns_on(tmp_path: Path, rule: str) -> None:
    router = fit(PickLLMRecipe(rule=rule), outcomes([[0.1, 0.9, 0.4]] * 40))  # type: ignore[arg-type]
    save(router, tmp_path / "router")
    part = PickLLM(rule=rule, start=str(tmp_path / "router"), step=0.3)  # type: ignore[arg-type]
    state = part.begin()
    assert qualities(state, *router.members) == qualities(router)
    state.apply(part.entries(lesson(Feedback(1.0), "a"))[0])
    assert qualities(state, *router.members)[0] > qualities(router)[0]


def test_what_is_no_such_router_is_refused(tmp_path: Path) -> None:
    save(PickLLMRouter(PickRules(), ("a", "b")), tmp_path / "router")
    save(BlendingRouter(("a", "b"), {}), tmp_path / "other")
    with pytest.raises(ConfigError, match="means nothing to 'q_learning'"):
        PickLLM(rule="q_learning", start=str(tmp_path / "router")).begin()
    with pytest.raises(ConfigError, match="'blending', not 'pickllm'"):
        PickLLM(start=str(tmp_path / "other")).begin()
    broken: list[dict[str, Json]] = [
        {},
        {"rules": {}},
        {"rules": {}, "learned": {"x": 1}},
        {"rules": {"step": 7}, "learned": {}},
    ]
    for kept in broken:
        with pytest.raises(ConfigError, match="no pickllm router"):
            PickLLMRouter.load(Kept(("a",), kept, {}, tmp_path))


# ---- the part ----


def lesson(feedback: Feedback, *chosen: str, cost_usd: float | None = 0.02, latency_s: float | None = 3.0) -> Lesson:
    return Lesson(Routed("m", "j", chosen, None, cost_usd, latency_s), feedback)


def test_who_answered_shares_the_cost_and_who_did_not_has_none() -> None:
    said = PickLLM().entries(lesson(Feedback(rating=0.5, preferred="c", over="a"), "a", "b"))
    spent = {entry["member"]: (entry["accuracy"], entry["cost_usd"], entry["latency_s"]) for entry in said}
    assert spent == {"a": (0.5, 0.01, 3.0), "b": (0.5, 0.01, 3.0), "c": (1.0, None, None)}
    [unpriced] = PickLLM().entries(lesson(Feedback(rating=0.5), "a", cost_usd=None, latency_s=None))
    assert (unpriced["cost_usd"], unpriced["latency_s"]) == (None, None)


GOOD = PickLLM().entries(lesson(Feedback(1.0), "a"))[0]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "text",
        [],
        GOOD | {"version": 2},
        GOOD | {"member": None},
        GOOD | {"accuracy": None},
        GOOD | {"accuracy": "1"},
        GOOD | {"accuracy": True},
        GOOD | {"cost_usd": "free"},
        GOOD | {"latency_s": math.inf},
    ],
)
def test_entries_of_another_kind_teach_nothing(entry: Json) -> None:
    router = PickLLMRouter(PickRules())
    with pytest.raises(Unreadable):
        router.apply(entry)
    assert qualities(router, "a", "b") == [0.5, 0.5]
    router.apply(GOOD)
    assert qualities(router, "a", "b") != [0.5, 0.5]


def test_it_learns_from_what_is_heard_and_says_on_how_much_it_rests() -> None:
    async def main() -> None:
        part = PickLLM(step=0.5, cost_weight=1.0)
        async with bench() as at:
            for _ in range(3):
                await at.teach(part, "anything", Feedback(1.0), "b", cost_usd=0.1, latency_s=1.0)
            await at.teach(part, "anything", Feedback(1.0), "a", latency_s=1.0)  # at an unknown cost
            said = await part.forecast(Request.of("else"), ("a", "b", "c"), at.run())
            [a, b, c] = [prospect.quality for prospect in said.members]
            assert a == c
            assert b == pytest.approx(0.875 + 0.125 / 3)
            assert said.basis == "3 lessons heard; of 1 more the cost or latency is unknown"
            assert said.scale is Scale.SCORE
            assert await part.features(Request.of("else"), at.run()) is None

    asyncio.run(main())


def test_sessions_of_different_names_know_nothing_of_each_other() -> None:
    assert PickLLM(name="law").journal != PickLLM(name="code").journal != PickLLM().journal
    assert PickLLM(name="law", step=0.3).journal == PickLLM(name="law").journal
    assert PickLLM(step=0.3).journal != PickLLM().journal == PickLLM(fresh_s=9.0).journal
    with pytest.raises(ValueError, match="fresh_s"):
        PickLLM(fresh_s=-1.0)


@settings(max_examples=20, deadline=None)
@given(LESSONS, st.integers(0, 1000))
def test_any_state_can_be_decided_by_drawing_and_by_exploring(lessons: list[tuple[str, float]], seed: int) -> None:
    for rule, decision in (("reward_inaction", Sample()), ("q_learning", Explore(0.3))):
        router = PickLLMRouter(PickRules(rule=rule))  # type: ignore[arg-type]
        for member, reward in lessons:
            router.learn(member, reward, None, None)
        said = prospects("pickllm", Scale.SCORE, POOL, router.forecast(Queries(("",)), POOL))
        choice = decision.choose(said, random.Random(seed))
        assert sorted(choice.order) == sorted(POOL)
        assert choice.probability is not None
