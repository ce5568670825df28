"""Eagle: its formula against a plain reading of the paper, what it keeps, and how it learns while it serves."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_bench import Words, bench
from numpy.typing import NDArray

from coterie.encoders.minilm import MiniLM
from coterie.errors import ConfigError, RouterError
from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.prospects import Feedback, Lesson, Routed, Scale
from coterie.routers.artifact import About, opened, save
from coterie.routers.eagle import EagleRouter
from coterie.routers.eagle_learner import Eagle, HeardBattles
from coterie.routers.eagle_rules import EagleRules, Standing
from coterie.routers.elo import INITIAL, Battle, replay
from coterie.routers.forecast import Kept, Queries, Vectors
from coterie.routers.knn import KnnRouter
from coterie.routers.knn_rules import KnnRules
from coterie.routers.learning import Unreadable
from coterie.routers.neighbours import Neighbours
from coterie.routers.packing import packed
from coterie.training.routing.eagle import EagleRecipe
from coterie.types import Json, Request

Rows = NDArray[np.float32]
MEMBERS = ("a", "b", "c")
DIMENSIONS = 6
AXES = np.eye(DIMENSIONS, dtype=np.float32)
PUBLISHED = EagleRules()
NOTHING = np.zeros((1, DIMENSIONS), dtype=np.float32)


def unit(n: int, seed: int) -> Rows:
    rows = np.random.default_rng(seed).standard_normal((n, DIMENSIONS))
    made: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return made


def fought(n: int, seed: int) -> list[Battle]:
    rng = np.random.default_rng(seed)
    pairs = [rng.choice(3, size=2, replace=False).tolist() for _ in range(n)]
    return [(first, second, float(rng.choice([0.0, 0.5, 1.0]))) for first, second in pairs]


def queries(vectors: Rows) -> Queries:
    return Queries(("?",) * len(vectors), vectors)


def taught(vectors: Rows, battles: list[Battle], rules: EagleRules = PUBLISHED) -> EagleRouter:
    """A router that has heard of one battle over each prompt."""
    router = EagleRouter(rules, Neighbours(DIMENSIONS), MEMBERS)
    router.learn(vectors, [[battle] for battle in battles])
    return router


def quality(router: EagleRouter, vectors: Rows) -> NDArray[np.float64]:
    return router.forecast(queries(vectors)).quality


def silent(_what: str, _done: int, _all: int) -> None:
    pass


def as_written(vectors: Rows, battles: list[Battle], query: Rows, rules: EagleRules) -> list[float]:
    """The paper, word by word: global ratings, the nearest prompts, their battles again from there, and the mean."""

    def fight(ratings: list[float], battle: Battle) -> None:
        first, second, result = battle
        moved = rules.k * (result - 1 / (1 + 10 ** ((ratings[second] - ratings[first]) / 400)))
        ratings[first] += moved
        ratings[second] -= moved

    final, seen = [INITIAL] * 3, [[], [], []]  # type: tuple[list[float], list[list[float]]]
    for battle in battles:
        fight(final, battle)
        for member in battle[:2]:
            seen[member].append(final[member])
    means = [sum(one) / len(one) if one else INITIAL for one in seen]
    everywhere = means if rules.ratings == "average" else final
    nearest = sorted(range(len(battles)), key=lambda n: (-float(vectors[n] @ query), n))[: rules.neighbours]
    here = list(everywhere)
    for n in sorted(nearest):
        fight(here, battles[n])
    both = zip(everywhere, here, seen, strict=True)
    return [rules.p * own + (1 - rules.p) * near if one else np.nan for own, near, one in both]


# ---- what it says ----


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40),
    seed=st.integers(0, 1000),
    p=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    neighbours=st.integers(0, 25),
    k=st.sampled_from([1.0, 32.0]),
    ratings=st.sampled_from(["average", "final"]),
)
def test_it_is_what_the_paper_says(n: int, seed: int, p: float, neighbours: int, k: float, ratings: Standing) -> None:
    rules = EagleRules(p, neighbours, k, ratings)
    vectors, battles, asked = unit(n, seed), fought(n, seed), unit(3, seed + 1)
    said = quality(taught(vectors, battles, rules), asked)
    expected = [as_written(vectors, battles, query, rules) for query in asked]
    np.testing.assert_allclose(said, expected, rtol=1e-9)


def test_the_golden_sequence() -> None:
    """Two members, the results 1, 1, 1/2, 0; local ratings begin at the global ones, and not at the initial rating."""
    battles = [(0, 1, result) for result in (1.0, 1.0, 0.5, 0.0)]
    last = quality(taught(AXES[:4], battles, EagleRules(p=1.0, ratings="final")), AXES[:1])
    assert last[0, :2] == pytest.approx([1009.2130, 990.7870], abs=5e-5)
    assert np.isnan(last[0, 2])
    local = quality(taught(AXES[:1], battles[:1], EagleRules(p=0.0, ratings="final")), AXES[:1])
    assert local[0, 0] == pytest.approx(1030.5305, abs=5e-5)
    both = quality(taught(AXES[:1], battles[:1], EagleRules(ratings="final")), AXES[:1])
    assert both[0, 0] == pytest.approx((1016.0 + 1030.5305) / 2, abs=5e-5)


def test_each_kind_of_question_has_its_own_best() -> None:
    vectors = unit(200, 3)
    battles = [(0, 1, float(vector[0] > 0)) for vector in vectors]
    said = quality(taught(vectors, battles), np.stack([AXES[0], -AXES[0]]))
    assert said[0, 0] > said[0, 1]
    assert said[1, 0] < said[1, 1]


def test_what_was_learned_of_a_prompt_at_once_is_one_neighbour() -> None:
    router = EagleRouter(EagleRules(neighbours=2), Neighbours(DIMENSIONS), MEMBERS)
    router.learn(AXES[:2], [[(0, 1, 1.0)] * 5, [(1, 2, 1.0)] * 3])
    assert router.forecast(queries(AXES[:1])).basis == (
        "8 battles, 8 of them over the nearest prompts (cosine 1.00 to 0.00)",
    )
    for n in range(1, 4):
        router.learn(AXES[:1], [[(0, 1, 1.0)] * n])
    assert router.forecast(queries(AXES[:1])).basis == ("14 battles, 5 of them over the nearest prompts (cosine 1.00)",)


def test_of_prompts_that_are_equally_near_the_newest_are_replayed() -> None:
    """As of those whose beginning is the same, where the encoder reads no more of them."""
    battles = fought(9, 8)
    alike = np.repeat(AXES[:1], 9, axis=0)
    rules = EagleRules(p=0.0, neighbours=3, ratings="final")
    router = taught(alike, battles, rules)
    overall = taught(alike, battles, replace(rules, p=1.0))
    said, start = quality(router, AXES[:1]), quality(overall, AXES[:1])
    here = start[0].tolist()
    replay(here, battles[-3:], rules.k)
    np.testing.assert_allclose(said[0], here)


def test_battles_over_one_prompt_are_replayed_in_the_order_in_which_they_came() -> None:
    one, other = unit(2, 5)
    router = EagleRouter(EagleRules(ratings="final"), Neighbours(DIMENSIONS), MEMBERS)
    battles = fought(6, 7)
    for vector, battle in zip((one, other, one, one, other, one), battles, strict=True):
        router.learn(vector[None], [[battle]])
    apart = np.repeat(one[None], 6, axis=0)
    np.testing.assert_allclose(
        quality(router, one[None])[0], as_written(apart, battles, one, EagleRules(ratings="final"))
    )


def test_a_query_without_a_word_has_the_global_ratings() -> None:
    battles = fought(30, 1)
    router, overall = taught(unit(30, 1), battles), taught(unit(30, 1), battles, EagleRules(p=1.0))
    said = router.forecast(queries(NOTHING))
    np.testing.assert_allclose(said.quality, quality(overall, NOTHING))
    assert said.basis == ("30 battles, and no prompt to compare the query with",)


def test_battles_over_a_prompt_without_a_word_count_globally() -> None:
    router = taught(NOTHING, [(0, 1, 1.0)], EagleRules(ratings="final"))
    assert quality(router, AXES[:1])[0, :2].tolist() == [1016.0, 984.0]


def test_nothing_is_known_of_who_fought_nobody() -> None:
    router = EagleRouter(EagleRules(), Neighbours(DIMENSIONS), MEMBERS)
    assert np.isnan(quality(router, AXES)).all()
    router.learn(AXES[:1], [[(0, 2, 0.5)]])
    assert np.isnan(quality(router, AXES[:1])).tolist() == [[False, True, False]]


def test_one_who_joins_has_a_column_more() -> None:
    router = taught(unit(9, 1), fought(9, 1))
    assert router.place("d") == 3
    assert router.place("a") == 0
    assert router.members == ("a", "b", "c", "d")
    assert np.isnan(quality(router, AXES[:1])[0, 3])
    router.learn(AXES[:1], [[(3, 0, 1.0)]])
    assert quality(router, AXES[:1])[0, 3] > INITIAL


@given(cut=st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_feedback_goes_on_from_where_a_fit_has_ended(cut: int) -> None:
    vectors, battles = unit(30, 2), fought(30, 2)
    router = taught(vectors[:cut], battles[:cut])
    for vector, battle in zip(vectors[cut:], battles[cut:], strict=True):
        router.learn(vector[None], [[battle]])
    assert np.array_equal(quality(router, unit(5, 9)), quality(taught(vectors, battles), unit(5, 9)), equal_nan=True)


def test_queries_that_it_cannot_read() -> None:
    router = taught(unit(3, 0), fought(3, 0))
    with pytest.raises(RouterError, match="texts alone"):
        router.forecast(Queries(("?",)))
    with pytest.raises(RouterError, match="another encoder"):
        router.forecast(queries(unit(1, 0)[:, :3]))
    before = len(router)
    with pytest.raises(RouterError, match="another encoder"):
        router.learn(unit(1, 0)[:, :3], [[(0, 1, 1.0)]])
    assert len(router) == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"p": 1.5}, "p lies between"),
        ({"p": float("nan")}, "p lies between"),
        ({"neighbours": -1}, "neighbours"),
        ({"k": 0.0}, "k lies above 0"),
        ({"k": float("inf")}, "k lies above 0"),
        ({"ratings": "median"}, "'average' or 'final', not 'median'"),
        ({"pairs_per_prompt": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Json], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EagleRecipe(**wrong)


# ---- fitting ----


def outcomes(scores: list[list[float]]) -> Outcomes:
    table = np.array(scores, dtype=float)
    unknown = np.full(table.shape, np.nan)
    prompts = tuple(f"prompt {n}" for n in range(len(scores)))
    return Outcomes(MEMBERS, prompts, table, unknown, unknown)


def test_of_outcomes_the_higher_score_wins_and_equal_ones_are_a_draw() -> None:
    told = outcomes([[0.9, 0.1, np.nan], [0.4, 0.4, np.nan]])
    router = EagleRecipe(p=1.0, ratings="final").fit(Lessons(told), Vectors(AXES[:2]), silent)
    assert (len(router), router.members) == (2, MEMBERS)
    by_order = [
        quality(taught(AXES[:2], [(0, 1, first), (0, 1, second)], EagleRules(p=1.0, ratings="final")), AXES[:1])
        for first, second in ((1.0, 0.5), (0.5, 1.0))
    ]
    said = quality(router, AXES[:1])
    assert any(np.allclose(said, one, equal_nan=True) for one in by_order)
    assert np.isnan(said[0, 2])


def test_of_each_prompt_all_pairs_or_a_sample_of_them() -> None:
    told = outcomes(np.random.default_rng(0).random((5, 3)).tolist())
    vectors = Vectors(unit(5, 0))
    assert len(EagleRecipe().fit(Lessons(told), vectors, silent)) == 15
    assert len(EagleRecipe(pairs_per_prompt=2).fit(Lessons(told), vectors, silent)) == 10
    assert len(EagleRecipe(pairs_per_prompt=9).fit(Lessons(told), vectors, silent)) == 15


def test_many_battles_are_learned_in_steps() -> None:
    heard: list[tuple[str, int, int]] = []
    told = outcomes(np.random.default_rng(0).random((4000, 3)).tolist())
    router = EagleRecipe().fit(Lessons(told), Vectors(unit(4000, 0)), lambda *how_far: heard.append(how_far))
    assert len(router) == 12_000
    assert heard == [("battles", 0, 12_000), ("battles", 10_002, 12_000), ("battles", 12_000, 12_000)]


def test_the_same_lessons_and_seed_give_the_same_router() -> None:
    told, vectors = Lessons(outcomes(np.random.default_rng(1).random((20, 3)).tolist())), Vectors(unit(20, 1))
    one, same, other = (quality(EagleRecipe(seed=n).fit(told, vectors, silent), unit(4, 3)) for n in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_battles_are_learned_in_the_order_of_their_file_after_the_outcomes() -> None:
    vectors, battles = unit(9, 4), fought(9, 4)
    first, second, result = (np.array(column) for column in zip(*battles, strict=True))
    told = Battles(MEMBERS, tuple(f"battle {n}" for n in range(9)), first, second, result)
    recipe, heard = EagleRecipe(ratings="final"), []
    alone = recipe.fit(Lessons(battles=told), Vectors(battles=vectors), lambda *how_far: heard.append(how_far))
    assert np.allclose(quality(alone, AXES), quality(taught(vectors, battles, EagleRules(ratings="final")), AXES))
    assert heard == [("battles", 0, 9), ("battles", 9, 9)]
    scores = outcomes([[1.0, 0.0, np.nan]])
    both = recipe.fit(Lessons(scores, told), Vectors(AXES[:1], vectors), silent)
    after = taught(np.concatenate([AXES[:1], vectors]), [(0, 1, 1.0), *battles], EagleRules(ratings="final"))
    assert np.allclose(quality(both, AXES), quality(after, AXES))


def test_lessons_that_compare_nobody_are_refused() -> None:
    told = outcomes([[0.5, np.nan, np.nan], [np.nan, 0.7, np.nan]])
    with pytest.raises(ConfigError, match="no two have answered one prompt"):
        EagleRecipe().fit(Lessons(told), Vectors(AXES[:2]), silent)


# ---- coming back ----


def test_it_comes_back_to_equal_forecasts_and_goes_on_learning(tmp_path: Path) -> None:
    router = taught(unit(40, 1), fought(40, 1), EagleRules(p=0.25, neighbours=7, k=16.0))
    save(router, tmp_path / "eagle", About(encoder=MiniLM()))
    back = opened(tmp_path / "eagle").fitted
    assert isinstance(back, EagleRouter)
    assert (back.members, back.scale, len(back)) == (MEMBERS, Scale.ELO, 40)
    asked = np.concatenate([unit(10, 2), NOTHING])
    for _ in range(2):
        assert np.array_equal(quality(back, asked), quality(router, asked))
        assert back.forecast(queries(asked)).basis == router.forecast(queries(asked)).basis
        for one in (router, back):
            one.learn(unit(3, 8), [[battle] for battle in fought(3, 8)])


def kept(router: EagleRouter, **changed: Json) -> Kept:
    """What an artifact would hold."""
    told = json.loads(json.dumps(dict(router.settings())))
    return Kept(router.members, {**told, **changed}, dict(router.arrays()), Path("folder"))


def test_what_was_not_kept_so_is_refused() -> None:
    router = taught(unit(5, 1), fought(5, 1))
    good = kept(router)
    for name in good.arrays:
        with pytest.raises(ConfigError):
            EagleRouter.load(replace(good, arrays={key: kept for key, kept in good.arrays.items() if key != name}))
    for wrong in (
        kept(router, p=2.0),
        kept(router, strange=1),
        replace(good, members=MEMBERS[:2]),
        replace(good, arrays={**good.arrays, "battle_first": good.arrays["battle_first"] + 3}),
        replace(good, arrays={**good.arrays, "entry_before": good.arrays["entry_before"] + 9}),
        replace(good, arrays={**good.arrays, "entry_end": good.arrays["entry_end"] - 1}),
        replace(good, arrays={**good.arrays, "prompt_entry": good.arrays["prompt_entry"] + 1}),
        replace(good, arrays={**good.arrays, "battle_result": good.arrays["battle_result"][1:]}),
    ):
        with pytest.raises(ConfigError):
            EagleRouter.load(wrong)


# ---- while it serves ----


def lesson(said: Feedback, features: Json = None) -> Lesson:
    return Lesson(Routed("m", "j", ("a",), features), said)


def test_a_preference_is_a_battle_and_a_rating_is_none() -> None:
    learner, vector = Eagle(encoder=Words()), {"vector": packed(AXES[0])}
    won = Feedback(preferred="b", over="a")
    assert learner.entries(lesson(won, vector)) == [
        {"version": 1, "first": "b", "second": "a", "result": 1.0, **vector},
    ]
    [tie] = learner.entries(lesson(replace(won, tie=True), vector))
    assert tie["result"] == 0.5
    assert learner.entries(lesson(Feedback(rating=0.9), vector)) == []
    assert learner.entries(lesson(won)) == []


def test_a_fold_is_a_router_that_was_told_the_same() -> None:
    vectors, battles = unit(20, 6), fought(20, 6)
    fold, learner = HeardBattles(EagleRules()), Eagle(encoder=Words())
    for vector, (first, second, result) in zip(vectors, battles, strict=True):
        winner, loser = (first, second) if result >= 0.5 else (second, first)
        said = Feedback(preferred=MEMBERS[winner], over=MEMBERS[loser], tie=result == 0.5)
        for entry in learner.entries(lesson(said, {"vector": packed(vector)})):
            fold.apply(json.loads(json.dumps(entry)))
    said_of = fold.forecast(queries(unit(3, 7)), ("c", "nobody", "a"))
    told = quality(taught(vectors, battles), unit(3, 7))
    np.testing.assert_allclose(said_of.quality[:, [2, 0]], told[:, [0, 2]], rtol=1e-12)
    assert np.isnan(said_of.quality[:, 1]).all()


def test_entries_that_cannot_be_read_change_nothing() -> None:
    fold = HeardBattles(EagleRules())
    good = {"version": 1, "first": "a", "second": "b", "result": 1.0, "vector": packed(AXES[0])}
    fold.apply(good)
    before = fold.forecast(queries(AXES), MEMBERS)
    for wrong in (
        None,
        {**good, "version": 2},
        {**good, "first": None},
        {**good, "second": "a"},
        {**good, "result": 0.7},
        {**good, "result": True},
        {**good, "result": "1"},
        {**good, "result": [1]},
        {**good, "vector": "no"},
        {**good, "vector": packed(np.ones(3, dtype=np.float32))},
    ):
        with pytest.raises(Unreadable):
            fold.apply(wrong)
    after = fold.forecast(queries(AXES), MEMBERS)
    assert np.array_equal(after.quality, before.quality, equal_nan=True)
    assert after.basis == before.basis


def test_lessons_stand_where_equal_learners_find_them() -> None:
    one = Eagle(encoder=Words())
    assert one.journal == Eagle(encoder=Words()).journal
    others = (replace(one, p=0.4), replace(one, start="x"), replace(one, encoder=Words(8)), replace(one, name="n"))
    assert len({one.journal, *(other.journal for other in others)}) == 5
    assert replace(one, name="n").journal == replace(one, name="n", p=0.4).journal


def test_two_workers_hear_the_same(tmp_path: Path) -> None:
    """One was there from the beginning and one comes later; both began with an artifact."""
    words = Words(DIMENSIONS)
    router = taught(unit(10, 1), fought(10, 1))
    save(router, tmp_path / "eagle", About(encoder=MiniLM()))
    with pytest.raises(ConfigError, match="give it the same one"):
        Eagle(encoder=words, start=str(tmp_path / "eagle")).begin()

    async def main() -> None:
        learner = Eagle(encoder=words, ratings="final")
        async with bench() as first:
            nothing = await learner.forecast(Request.of("ab cd"), MEMBERS, first.run())
            assert [prospect.quality for prospect in nothing.members] == [None, None, None]
            for n in range(8):
                said = Feedback(preferred="b" if n % 3 else "c", over="a")
                await first.teach(learner, f"word {n}", said, "a")
            early = await learner.forecast(Request.of("word 3"), MEMBERS, first.run())
            async with bench(first.store) as second:
                late = await learner.forecast(Request.of("word 3"), MEMBERS, second.run())
        assert early == late
        assert (early.router, early.scale) == ("eagle", Scale.ELO)
        [a, b, c] = [prospect.quality for prospect in early.members]
        assert a is not None
        assert b is not None
        assert c is not None
        assert b > c > a
        assert early.basis.startswith("8 battles, 8 of them over the ")

    asyncio.run(main())


def test_it_begins_with_an_artifact_and_goes_by_its_own_rules(tmp_path: Path) -> None:
    vectors, battles = unit(30, 1), fought(30, 1)
    save(taught(vectors, battles), tmp_path / "eagle", About(encoder=MiniLM()))
    learner = Eagle(encoder=MiniLM(), start=str(tmp_path / "eagle"), p=0.0, neighbours=3)
    said = learner.begin().forecast(queries(unit(4, 2)), MEMBERS).quality
    assert np.array_equal(said, quality(taught(vectors, battles, EagleRules(p=0.0, neighbours=3)), unit(4, 2)))
    knn = KnnRouter.fit(MEMBERS, KnnRules(), vectors, np.ones((30, 3)))
    save(knn, tmp_path / "knn", About(encoder=MiniLM()))
    with pytest.raises(ConfigError, match="a router of the kind 'knn', not 'eagle'"):
        replace(learner, start=str(tmp_path / "knn")).begin()
