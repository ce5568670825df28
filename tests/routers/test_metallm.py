"""MetaLLM: LinUCB's matrices against their formulas, its warm start, and the part that learns while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_bench import Bench, Words, bench
from numpy.typing import NDArray

from coterie.decisions import Best, Optimistic
from coterie.encoders.minilm import MiniLM
from coterie.errors import ConfigError
from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.prospects import Feedback, Lesson, Prospects, Routed, Scale
from coterie.routers.arm import MENDED, REFRESH, WORN, Arm
from coterie.routers.artifact import About, save
from coterie.routers.blending_router import BlendingRouter
from coterie.routers.forecast import Forecast, Kept, Queries, Vectors
from coterie.routers.foretold import prospects
from coterie.routers.linucb import LinUCB
from coterie.routers.linucb_terms import Terms
from coterie.routers.metallm import Bandit, MetaLLM
from coterie.routers.metallm_recipe import MetaLLMRecipe
from coterie.routers.packing import packed
from coterie.routers.rewards import rewards
from coterie.types import Price, Request

Array = NDArray[np.float64]

DIMENSIONS = 6


def unit(count: int, dimensions: int = DIMENSIONS, seed: int = 0) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def queries(vectors: NDArray[np.float32]) -> Queries:
    return Queries(("",) * len(vectors), vectors)


def pulled(vectors: NDArray[np.float32], earned: Sequence[float], terms: Terms) -> Arm:
    arm = Arm.fresh(vectors.shape[1], terms.ridge)
    scratch = np.empty_like(arm.precision)
    for x, reward in zip(vectors.astype(np.float64), earned, strict=True):
        arm.pull(x, reward, terms, scratch)
    return arm


def by_formula(vectors: NDArray[np.float32], earned: Sequence[float], terms: Terms) -> tuple[Array, Array]:
    """A and b as they are written down: every lesson, and λ, discounted by how many came after it."""
    a, b = terms.ridge * np.eye(vectors.shape[1]), np.zeros(vectors.shape[1])
    for x, reward in zip(vectors.astype(np.float64), earned, strict=True):
        a, b = terms.discount * a + np.outer(x, x), terms.discount * b + reward * x
    return a, b


# ---- one member ----


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 40),
    ridge=st.sampled_from([0.1, 1.0, 12.94]),
    discount=st.sampled_from([1.0, 0.999, 0.9]),
)
def test_updates_equal_the_direct_inverse(seed: int, count: int, ridge: float, discount: float) -> None:
    vectors, earned = unit(count, seed=seed), np.random.default_rng(seed).random(count).tolist()
    terms = Terms(ridge, discount)
    arm = pulled(vectors, earned, terms)
    a, b = by_formula(vectors, earned, terms)
    assert np.allclose(arm.precision, a, rtol=1e-9)
    assert np.allclose(arm.inverse, np.linalg.inv(a), rtol=1e-7, atol=1e-10)
    assert np.allclose(arm.inverse @ arm.rewards, np.linalg.solve(a, b), rtol=1e-6, atol=1e-9)
    assert (arm.inverse == arm.inverse.T).all()  # to the last bit


def test_without_a_discount_lessons_count_alike_in_any_order_and_all_at_once() -> None:
    vectors, earned = unit(30), np.random.default_rng(1).random(30)
    order = np.random.default_rng(2).permutation(30)
    one = pulled(vectors, earned.tolist(), Terms())
    other = pulled(vectors[order], earned[order].tolist(), Terms())
    together = Arm.fitted(vectors.astype(np.float64), earned, Terms().ridge)
    for arm in (other, together):
        assert np.allclose(arm.inverse, one.inverse, atol=1e-12)
        assert np.allclose(arm.rewards, one.rewards, atol=1e-12)
        assert np.allclose(arm.queries, one.queries, atol=1e-12)


def test_with_a_discount_the_last_lessons_count_most() -> None:
    x = np.repeat(unit(1), 40, axis=0)
    good_then_bad = [1.0] * 20 + [0.0] * 20
    kept, faded = (pulled(x, good_then_bad, Terms(0.1, discount)) for discount in (1.0, 0.8))
    expected = [float(x[0] @ arm.inverse @ arm.rewards) for arm in (kept, faded)]
    assert expected[0] == pytest.approx(20 / 40.1, abs=1e-6)
    assert expected[1] == pytest.approx(0.8**20, abs=2e-3)


@pytest.mark.parametrize("discount", [0.99, 0.9, 0.5])
def test_many_updates_keep_the_inverse_right_and_bounded(discount: float) -> None:
    """All lessons lie in one plane: in the other directions nothing but what is left of λ holds the inverse."""
    vectors = unit(3 * REFRESH // 2, 8)
    vectors[:, 2:] = 0
    terms = Terms(1.0, discount)
    arm = pulled(vectors, [1.0] * len(vectors), terms)
    direct = np.linalg.inv(arm.precision)
    assert np.abs(arm.inverse - direct).max() <= 1e-8 * np.abs(direct).max()
    assert arm.inverse.max() <= 1 / (WORN * terms.ridge) * (1 + 1e-9)
    assert WORN <= arm.prior <= max(MENDED, discount**100)
    assert (arm.inverse == arm.inverse.T).all()


def test_rounding_does_not_add_up_without_a_discount() -> None:
    vectors = unit(REFRESH - 1, 24)  # the last one before the inverse would be computed anew
    arm = pulled(vectors, [0.5] * len(vectors), Terms())
    assert np.abs(arm.inverse - np.linalg.inv(arm.precision)).max() < 1e-14


# ---- all members ----


TERMS = Terms(1.0)


def taught(terms: Terms = TERMS, lessons: int = 60, members: Sequence[str] = "abc") -> LinUCB:
    router, rng = LinUCB(DIMENSIONS, terms), np.random.default_rng(3)
    for vector in unit(lessons, seed=4):
        router.learn(str(rng.choice(list(members))), vector, float(rng.random()))
    return router


def test_it_plays_as_the_algorithm_is_written_down() -> None:
    """LinUCB with plain inverses, beside ours under the decision `optimistic`: the same member in every round."""
    terms, alpha, members = Terms(0.5, 0.97), 0.7, ("a", "b", "c", "d")
    rng, router = np.random.default_rng(5), LinUCB(DIMENSIONS, terms)
    a = {member: terms.ridge * np.eye(DIMENSIONS) for member in members}
    b = {member: np.zeros(DIMENSIONS) for member in members}
    chosen = []
    for vector in unit(150, seed=6):
        x = vector.astype(np.float64)
        bounds = {}
        for member in members:
            inverse = np.linalg.inv(a[member])
            bounds[member] = (inverse @ b[member]) @ x + alpha * np.sqrt(x @ inverse @ x)
        wanted = max(members, key=lambda member: round(bounds[member], 6))
        said = prospects("metallm", Scale.SCORE, members, router.expect(queries(vector[None]), members, {}))
        assert Optimistic(alpha).choose(rounded(said), None).order[0] == wanted  # type: ignore[arg-type]
        reward = float(rng.random() < 0.5 + 0.4 * x[members.index(wanted)])
        a[wanted] = terms.discount * a[wanted] + np.outer(x, x)
        b[wanted] = terms.discount * b[wanted] + reward * x
        router.learn(wanted, vector, reward)
        chosen.append(wanted)
    assert set(chosen) == set(members)  # it did explore


def rounded(said: Prospects) -> Prospects:
    """Single and double precision may differ in the seventh digit, where a tie would be broken."""
    return replace(
        said,
        members=tuple(
            replace(p, quality=round(p.quality or 0.0, 6), uncertainty=round(p.uncertainty or 0.0, 6))
            for p in said.members
        ),
    )


def test_a_forecast_is_the_regression_and_its_width() -> None:
    router, vectors = taught(), unit(5, seed=7)
    said = router.forecast(queries(vectors))
    assert said.uncertainty is not None
    for column, member in enumerate(router.members):
        arm, x = router._arms[member], vectors.astype(np.float64)
        assert np.allclose(said.quality[:, column], x @ np.linalg.solve(arm.precision, arm.rewards), atol=1e-9)
        width = np.sqrt(np.einsum("qd,de,qe->q", x, np.linalg.inv(arm.precision), x))
        assert np.allclose(said.uncertainty[:, column], width, atol=1e-6)


def test_many_queries_at_once_are_foretold_as_each_by_itself() -> None:
    router, vectors = taught(), unit(600, seed=8)
    together = router.forecast(queries(vectors))
    assert together.uncertainty is not None
    for row in (0, 299, 599):
        alone = router.forecast(queries(vectors[row : row + 1]))
        assert alone.uncertainty is not None
        assert np.allclose(alone.quality[0], together.quality[row], atol=1e-9)
        assert np.allclose(alone.uncertainty[0], together.uncertainty[row], atol=1e-6)
    none = router.forecast(queries(vectors[:0]))
    assert none.quality.shape == (0, len(router.members))


def test_a_member_of_whom_nothing_was_learned_is_what_the_ridge_says() -> None:
    router, vectors = taught(Terms(4.0)), unit(2, seed=9)
    said = router.expect(queries(vectors), ("new", "b"), {})
    assert said.uncertainty is not None
    assert np.allclose(said.quality[:, 0], 0.0)
    assert np.allclose(said.uncertainty[:, 0], 0.5)
    assert (said.quality[:, 1] == router.expect(queries(vectors), ("b",), {}).quality[:, 0]).all()
    fresh = LinUCB(DIMENSIONS, Terms(4.0)).expect(queries(vectors), ("a",), {})
    assert (fresh.quality.tolist(), fresh.uncertainty) == ([[0.0], [0.0]], pytest.approx(0.5))  # type: ignore[comparison-overlap]


def test_a_text_without_a_word_is_expected_to_earn_nothing_by_anybody() -> None:
    said = taught().forecast(queries(np.zeros((1, DIMENSIONS), dtype=np.float32)))
    assert not said.quality.any()
    assert said.uncertainty is not None
    assert not said.uncertainty.any()


@pytest.mark.parametrize("vectors", [None, np.zeros((1, DIMENSIONS + 1), dtype=np.float32)], ids=["none", "longer"])
def test_vectors_of_another_length_are_refused(vectors: NDArray[np.float32] | None) -> None:
    with pytest.raises(ConfigError, match="reads vectors of 6 numbers"):
        taught().forecast(Queries(("",), vectors))


# ---- prices ----

PRICES = {"a": 1.0, "b": 4.0, "c": 2.0}


def test_a_price_weighs_as_if_it_had_been_in_every_reward() -> None:
    """The reference learns score - p * price / highest; ours learns scores, so that a price may change afterwards."""
    weighed, plain = LinUCB(DIMENSIONS, Terms(1.0, 0.95, 0.3)), LinUCB(DIMENSIONS, Terms(1.0, 0.95))
    rng = np.random.default_rng(10)
    for vector in unit(80, seed=11):
        member, score = str(rng.choice(["a", "b", "c"])), float(rng.random())
        weighed.learn(member, vector, score)
        plain.learn(member, vector, score - 0.3 * PRICES[member] / 4.0)
    asked = queries(unit(4, seed=12))
    expected = plain.expect(asked, ("a", "b", "c"), {}).quality
    assert np.allclose(weighed.expect(asked, ("a", "b", "c"), PRICES).quality, expected, atol=1e-12)
    dearer = weighed.expect(asked, ("a", "b"), PRICES | {"a": 4.0}).quality
    assert (dearer[:, 0] != expected[:, 0]).all()


def test_a_price_that_is_unknown_is_not_free() -> None:
    asked = queries(unit(1))
    said = taught(Terms(1.0, price_weight=0.5)).expect(asked, ("a", "b", "c"), {"a": 1.0, "b": 2.0})
    assert np.isnan(said.quality[0]).tolist() == [False, False, True]
    nobody = taught(Terms(1.0, price_weight=0.5)).expect(asked, ("a", "b"), {})
    assert np.isnan(nobody.quality).all()
    free = taught(Terms(1.0, price_weight=0.5)).expect(asked, ("a", "b"), {"a": 0.0, "b": 0.0})
    assert np.allclose(free.quality, taught().expect(asked, ("a", "b"), {}).quality)
    assert not np.isnan(taught().expect(asked, ("c",), {}).quality).any()  # without a weight it does not matter


@pytest.mark.parametrize(
    "wrong", [{"ridge": 0}, {"ridge": -1}, {"discount": 0}, {"discount": 1.1}, {"price_weight": -1}]
)
def test_terms_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    for make in (Terms, MetaLLM, MetaLLMRecipe):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make(**wrong)


# ---- fitted, kept, and begun again ----


def outcomes(count: int = 50, unknown: Sequence[tuple[int, int]] = ()) -> tuple[Outcomes, Vectors]:
    rng = np.random.default_rng(13)
    scores = rng.random((count, 3))
    for place in unknown:
        scores[place] = np.nan
    table = np.full((count, 3), np.nan)
    costs = table.copy()
    costs[:, :2] = rng.random((count, 2))
    prompts = tuple(f"prompt {n}" for n in range(count))
    return Outcomes(("a", "b", "c"), prompts, scores, costs, table), Vectors(unit(count, seed=14))


def fit(recipe: MetaLLMRecipe, data: Outcomes, vectors: Vectors) -> LinUCB:
    return recipe.fit(Lessons(data), vectors, lambda *_: None)


def test_a_warm_start_learns_every_score_that_is_known() -> None:
    data, vectors = outcomes(unknown=[(0, 1), (7, 1), (7, 2)])
    assert vectors.outcomes is not None
    warm = fit(MetaLLMRecipe(2.0), data, vectors)
    step = LinUCB(DIMENSIONS, Terms(2.0))
    for row, vector in enumerate(vectors.outcomes):
        for place, member in enumerate(data.members):
            if np.isfinite(data.scores[row, place]):
                step.learn(member, vector, data.scores[row, place])
    asked = queries(unit(9, seed=15))
    assert warm.members == data.members
    same(warm.forecast(asked), step.expect(asked, data.members, {}), 1e-6)


def same(one: Forecast, other: Forecast, within: float = 0.0) -> None:
    assert one.uncertainty is not None
    assert other.uncertainty is not None
    assert np.allclose(one.quality, other.quality, rtol=0, atol=within, equal_nan=True)
    assert np.allclose(one.uncertainty, other.uncertainty, rtol=0, atol=within)


def test_a_router_that_was_saved_forecasts_the_same() -> None:
    data, vectors = outcomes()
    router = fit(MetaLLMRecipe(price_weight=0.0), data, vectors)
    again = LinUCB.load(Kept(router.members, router.settings(), router.arrays(), Path()))
    assert again.members == router.members
    same(again.forecast(queries(unit(9))), router.forecast(queries(unit(9))))


@pytest.mark.parametrize("lacks", ["terms", "dimensions", "prices", "precision", "prior"])
def test_what_it_did_not_save_is_refused(lacks: str) -> None:
    router = taught()
    settings_ = {name: value for name, value in router.settings().items() if name != lacks}
    arrays = {name: value for name, value in router.arrays().items() if name != lacks}
    with pytest.raises(ConfigError, match="no metallm router"):
        LinUCB.load(Kept(router.members, settings_, arrays, Path()))
    crooked = {**router.arrays(), "precision": np.ones((3, DIMENSIONS))}
    with pytest.raises(ConfigError, match="no metallm router"):
        LinUCB.load(Kept(router.members, router.settings(), crooked, Path()))


def test_lessons_that_it_cannot_learn_from_are_refused() -> None:
    data, vectors = outcomes()
    with pytest.raises(ConfigError, match=r"unknown of \['c'\]"):
        fit(MetaLLMRecipe(price_weight=0.1), data, vectors)
    priced = fit(MetaLLMRecipe(price_weight=0.1), data.of(("a", "b")), vectors)
    assert priced.prices["b"] == pytest.approx(np.mean(data.costs_usd[:, 1]))
    with pytest.raises(ConfigError, match="at least two members"):
        fit(MetaLLMRecipe(), data.of(("a",)), vectors)
    with pytest.raises(ConfigError, match="reads vectors"):
        fit(MetaLLMRecipe(), data, Vectors())
    only = Battles(("a", "b"), ("p",), np.zeros(1, int), np.ones(1, int), np.ones(1))
    with pytest.raises(ConfigError, match="outcomes"):
        MetaLLMRecipe().fit(Lessons(battles=only), vectors, lambda *_: None)


def test_a_learner_begins_where_an_artifact_ends(tmp_path: Path) -> None:
    data, vectors = outcomes()
    fitted = fit(MetaLLMRecipe(2.0), data, vectors)
    save(fitted, tmp_path / "router", About(encoder=MiniLM()))
    part = MetaLLM(start=str(tmp_path / "router"), ridge=3.0, discount=0.9)
    state, asked = part.begin(), queries(unit(5))
    same(state.forecast(asked, data.members), fitted.forecast(asked))
    assert state.forecast(asked, data.members).basis[0] == "0 lessons heard while serving, after its training"
    before = state.forecast(asked, ("a", "b", "new")).quality
    state.apply(part.entries(lesson(Feedback(1.0), "a"))[0])
    after = state.forecast(asked, ("a", "b", "new")).quality
    assert (after[:, 0] != before[:, 0]).all()
    assert (after[:, 1:] == before[:, 1:]).all()


def test_a_start_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    data, vectors = outcomes()
    save(fit(MetaLLMRecipe(), data, vectors), tmp_path / "router", About(encoder=MiniLM()))
    save(BlendingRouter(("a", "b"), {}), tmp_path / "other")
    with pytest.raises(ConfigError, match="this router's encoder makes those of 'words:16'"):
        MetaLLM(encoder=Words(), start=str(tmp_path / "router")).begin()
    with pytest.raises(ConfigError, match="holds a router of the kind 'blending', not 'metallm'"):
        MetaLLM(start=str(tmp_path / "other")).begin()
    with pytest.raises(ConfigError, match="holds no router"):
        MetaLLM(start=str(tmp_path / "nowhere")).begin()


# ---- what feedback is worth ----


def lesson(feedback: Feedback, *chosen: str) -> Lesson:
    return Lesson(Routed("m", "j", chosen, {"vector": packed(unit(1)[0])}), feedback)


@pytest.mark.parametrize(
    ("feedback", "chosen", "earned"),
    [
        (Feedback(rating=0.7), ("a",), {"a": 0.7}),
        (Feedback(rating=0.7), ("a", "b"), {"a": 0.7, "b": 0.7}),
        (Feedback(rating=0.7), (), {}),
        (Feedback(preferred="b", over="a"), ("a",), {"b": 1.0, "a": 0.0}),
        (Feedback(preferred="b", over="c"), ("a",), {"b": 1.0, "c": 0.0}),
        (Feedback(preferred="b", over="a", tie=True), ("a",), {"b": 0.5, "a": 0.5}),
        (Feedback(rating=0.2, preferred="b", over="a"), ("a",), {"b": 1.0, "a": 0.2}),
    ],
)
def test_feedback_is_worth(feedback: Feedback, chosen: tuple[str, ...], earned: dict[str, float]) -> None:
    assert rewards(lesson(feedback, *chosen)) == earned
    said = MetaLLM(encoder=Words()).entries(lesson(feedback, *chosen))
    assert {entry["member"]: entry["reward"] for entry in said} == earned


def test_a_run_that_kept_no_vector_teaches_nothing() -> None:
    for features in (None, {}, "text", {"vector": None}):
        routed = Routed("m", "j", ("a",), features)
        assert MetaLLM(encoder=Words()).entries(Lesson(routed, Feedback(1.0))) == []


# ---- the part ----

LEARNER = MetaLLM(encoder=Words(), ridge=0.5)


async def foretold(at: Bench, part: MetaLLM, text: str, *members: str) -> Prospects:
    run = at.run(text, members=members)
    return await part.forecast(Request.of(text), members, run)


def test_it_learns_which_member_is_good_at_what() -> None:
    async def main() -> None:
        async with bench() as at:
            for _ in range(4):
                await at.teach(LEARNER, "solve the sum", Feedback(1.0), "a")
                await at.teach(LEARNER, "solve the sum", Feedback(0.0), "b")
                await at.teach(LEARNER, "write a poem", Feedback(preferred="b", over="a"), "a")
            sums = await foretold(at, LEARNER, "solve this sum", "a", "b", "new")
            poems = await foretold(at, LEARNER, "another poem", "a", "b", "new")
            assert Best().choose(sums, None).order[0] == "a"  # type: ignore[arg-type]
            assert Best().choose(poems, None).order[0] == "b"  # type: ignore[arg-type]
            assert sums.basis == "16 lessons heard while serving"
            assert sums.of("new").quality == 0.0
            assert sums.of("new").uncertainty == pytest.approx(2**0.5)
            heard = sums.of("a").uncertainty
            assert heard is not None
            assert heard < 2**0.5

    asyncio.run(main())


def test_entries_of_another_kind_teach_nothing() -> None:
    good = LEARNER.entries(lesson(Feedback(1.0), "a"))[0]
    wrong = [
        None,
        "text",
        [],
        good | {"version": 2},
        good | {"member": 3},
        good | {"reward": True},
        good | {"reward": "1"},
        good | {"reward": float("nan")},
        good | {"vector": None},
        good | {"vector": packed(np.ones(3, dtype=np.float32))},
    ]
    state, asked = Bandit(Terms(1.0)), queries(unit(1))
    state.apply(good)
    before = state.forecast(asked, ("a",))
    for entry in wrong:
        with pytest.raises(ValueError, match=r"\w"):
            state.apply(entry)
    same(state.forecast(asked, ("a",)), before)


def test_prices_of_the_pool_s_cards_are_weighed() -> None:
    async def main() -> None:
        part = MetaLLM(encoder=Words(), ridge=0.01, price_weight=0.5)
        async with bench(prices={"a": Price(1.0, 3.0), "b": Price(0.5, 0.5)}) as at:
            for member in "abc":
                await at.teach(part, "a sum", Feedback(1.0), member)
            said = await foretold(at, part, "a sum", "a", "b", "c")
            assert said.of("a").quality == pytest.approx(0.5, abs=0.01)
            assert said.of("b").quality == pytest.approx(1 - 0.5 / 4, abs=0.01)
            assert said.of("c").quality is None
            assert said.basis == "3 lessons heard while serving; without a known price: c"

    asyncio.run(main())


def test_a_journal_is_shared_by_equal_learners_or_by_those_of_one_name() -> None:
    journals = {
        part.journal
        for part in (
            LEARNER,
            MetaLLM(encoder=Words(), ridge=0.5),
            MetaLLM(encoder=Words(), ridge=0.5, fresh_s=3.0),  # which changes nothing of what is learned
        )
    }
    assert journals == {LEARNER.journal}
    assert MetaLLM(encoder=Words(), ridge=0.6).journal != LEARNER.journal
    named = MetaLLM(encoder=Words(), name="mine")
    assert replace(named, discount=0.9).journal == named.journal != LEARNER.journal
    assert replace(named, encoder=Words(8)).journal != named.journal
    with pytest.raises(ValueError, match="fresh_s"):
        MetaLLM(encoder=Words(), fresh_s=-1.0)
