"""Similarity-weighted ranking, against RouteLLM's weights and a full fit on exact cosines."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from comparing import battles, directions, outcomes, silent, subjects
from coterie.errors import ConfigError, RouterError
from coterie.outcomes.outcome import Battles, Lessons
from coterie.prospects import Scale
from coterie.routers.bradley_terry import elo, strengths, wins_of
from coterie.routers.forecast import Kept, Queries, Vectors
from coterie.routers.kinds import loads
from coterie.routers.likeness import StoredVectors
from coterie.routers.sw_ranking import SWRankingRouter, Weighing
from coterie.training.routing.sw_ranking import SWRankingRecipe

pytest.importorskip("numkong", reason="similarity-weighted ranking needs the extra routers")

Floats = NDArray[np.float64]


def asked(vectors: NDArray[np.float32]) -> Queries:
    return Queries(("",) * len(vectors), vectors)


def fitted(lessons: Lessons, vectors: Vectors, recipe: SWRankingRecipe | None = None) -> SWRankingRouter:
    return (recipe or SWRankingRecipe()).fit(lessons, vectors, silent)


@pytest.fixture(scope="module")
def arena() -> tuple[Lessons, Vectors, SWRankingRouter]:
    lessons, vectors = battles(3_000, members=14, dimensions=96)
    return lessons, vectors, fitted(lessons, vectors)


# ---- what it says ---------------------------------------------------------------------------------


def test_elo_of_the_worked_example() -> None:
    """A beats B three times and loses once, so does B against C, A and C tie; similarities fall from 1 to 0.2."""
    first, second = np.array([0, 0, 0, 1, 1, 1, 1, 2, 0]), np.array([1, 1, 1, 0, 2, 2, 2, 1, 2])
    result = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0.5])
    cosines = np.linspace(1.0, 0.2, 9)
    query, across = np.linalg.qr(np.random.default_rng(0).standard_normal((384, 2)))[0].T
    vectors = (np.outer(cosines, query) + np.outer(np.sqrt(1 - cosines**2), across)).astype(np.float32)
    texts = tuple(f"a question that is number {n}" for n in range(9))
    lessons = Lessons(battles=Battles(("A", "B", "C"), texts, first, second, result))
    router = fitted(lessons, Vectors(battles=vectors))
    (quality,) = router.forecast(asked(query[None].astype(np.float32))).quality
    assert quality == pytest.approx(
        [1234.36, 987.72, 777.92], abs=0.5
    )  # cosines are rounded to 0.005 in two dimensions
    assert Scale.ELO.preference(quality[0], quality[2]) == pytest.approx(0.9326, abs=5e-4)


@pytest.mark.parametrize("scaled", [True, False])
def test_elos_come_within_one_of_a_fit_on_exact_cosines(
    arena: tuple[Lessons, Vectors, SWRankingRouter], scaled: bool
) -> None:
    lessons, vectors, router = arena
    router = replace(router, weighing=Weighing(scaled=scaled))
    told, stored, queries = lessons.battles, vectors.battles, directions(12, 96, seed=7)
    assert told is not None
    assert stored is not None
    first, second = router.tiers[told.first], router.tiers[told.second]
    apart = first != second
    for query, quality in zip(queries, router.forecast(asked(queries)).quality, strict=True):
        cosines = (stored @ query).astype(np.float64)[apart]
        weights = 10.0 * 10.0 ** (cosines / cosines.max() if scaled else cosines)
        exact = elo(strengths(wins_of(first[apart], second[apart], told.result[apart], 10, weights)))
        assert quality == pytest.approx(exact[router.tiers], abs=1.0)


def test_isotropic_vectors_are_rounded_as_little() -> None:
    """No few dimensions to go by: what a scan in bytes gets wrong is smallest against such similarities."""
    vectors = np.random.default_rng(3).standard_normal((400, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    off = StoredVectors.of(vectors).cosines(vectors[:20]) - vectors[:20] @ vectors.T
    assert np.abs(off).max() < 0.003
    assert np.sqrt((off**2).mean()) < 0.0006


def test_members_of_a_tier_have_one_elo(arena: tuple[Lessons, Vectors, SWRankingRouter]) -> None:
    router = arena[2]
    assert router.tiers.max() == 9
    (quality,) = router.forecast(asked(directions(1, 96, seed=2))).quality
    for tier in range(10):
        assert len(set(quality[router.tiers == tier])) == 1
    assert len(set(quality)) == 10


def test_who_knows_what_is_asked_is_ahead() -> None:
    learned, vectors = subjects(200)
    router = fitted(Lessons(learned), vectors)
    test, unseen = subjects(60, seed=1)
    assert unseen.outcomes is not None
    quality = router.forecast(asked(unseen.outcomes)).quality
    assert quality[:, :2].argmax(axis=1).tolist() == test.scores[:, :2].argmax(axis=1).tolist()
    assert (quality[:, 2] > quality[:, :2].max(axis=1)).all()


def test_a_query_says_the_same_whatever_is_asked_beside_it(arena: tuple[Lessons, Vectors, SWRankingRouter]) -> None:
    queries = directions(9, 96, seed=5)
    together = arena[2].forecast(asked(queries))
    alone = [arena[2].forecast(asked(queries[n : n + 1])) for n in range(9)]
    assert np.array_equal(together.quality, np.concatenate([one.quality for one in alone]))
    assert together.basis == tuple(one.basis[0] for one in alone)
    assert arena[2].forecast(asked(queries[:0])).quality.shape == (0, 14)


# ---- weights --------------------------------------------------------------------------------------


def test_the_query_itself_weighs_gamma_times_as_much_as_what_is_unrelated() -> None:
    assert Weighing(10.0).weights(np.array([0.8, 0.0, 0.4], np.float32)) == pytest.approx([10.0, 1.0, 10**0.5])
    assert Weighing(10.0, scaled=False).weights(np.array([1.0, 0.5, 0.0], np.float32)) == pytest.approx(
        [10, 10**0.5, 1]
    )


@pytest.mark.parametrize("cosines", [[0.0, 0.0], [-0.3, -0.9], [0.0, -0.5]])
def test_where_nothing_is_alike_all_battles_weigh_the_same(cosines: list[float]) -> None:
    """Divided by a largest similarity below 0, as RouteLLM has it, what is least alike would weigh most."""
    assert Weighing().weights(np.array(cosines, np.float32)).tolist() == [1.0, 1.0]


def test_a_barely_positive_similarity_silences_no_battle() -> None:
    weights = Weighing().weights(np.array([1e-4, 0.0, -0.5], np.float32))
    assert weights == pytest.approx([10.0, 1.0, 1e-5])


def test_an_empty_text_gets_the_ratings_over_all_battles(arena: tuple[Lessons, Vectors, SWRankingRouter]) -> None:
    router = arena[2]
    forecast = router.forecast(asked(np.zeros((1, 96), np.float32)))
    fought = router.battles
    over_all = elo(strengths(wins_of(fought.first, fought.second, fought.result, 10)))
    assert forecast.quality[0] == pytest.approx(over_all[router.tiers], abs=1e-6)
    assert forecast.basis == (f"{len(fought)} battles, the nearest at cosine 0.00",)


@pytest.mark.parametrize("gamma", [0.5, math.nan, math.inf])
def test_a_gamma_below_one_is_refused(gamma: float) -> None:
    with pytest.raises(ConfigError, match="gamma"):
        SWRankingRecipe(gamma=gamma)


# ---- fitting --------------------------------------------------------------------------------------


def test_battles_over_short_prompts_are_left_out() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    lessons = Lessons(outcomes(scores, ("a", "b"), ("hello", "fifteen letters", "sixteen letters!")))
    vectors = Vectors(outcomes=directions(3, 4))
    assert len(fitted(lessons, vectors).battles) == 1
    assert len(fitted(lessons, vectors, SWRankingRecipe(shortest_prompt=0)).battles) == 3
    with pytest.raises(ConfigError, match="at least 100 characters"):
        fitted(lessons, vectors, SWRankingRecipe(shortest_prompt=100))


def test_battles_within_a_tier_say_nothing(arena: tuple[Lessons, Vectors, SWRankingRouter]) -> None:
    lessons, _, router = arena
    assert lessons.battles is not None
    assert (router.battles.first != router.battles.second).all()
    within = router.tiers[lessons.battles.first] == router.tiers[lessons.battles.second]
    assert 0 < within.sum() == len(lessons.battles) - len(router.battles)


def test_outcomes_and_battles_are_learned_from_together() -> None:
    scores = np.array([[1.0, 0.0], [0.5, 0.5]])
    told = outcomes(scores, ("a", "b"))
    fought = Battles(
        ("c", "b"), (told.prompts[0], "a question of its own"), np.array([0, 1]), np.array([1, 0]), np.ones(2)
    )
    vectors = directions(3, 4)
    lessons = Lessons(told, fought)
    router = fitted(lessons, Vectors(vectors[:2], vectors[[0, 2]]), SWRankingRecipe(tiers=3))
    assert router.members == ("a", "b", "c")
    assert len(router.battles) == 4
    assert len(router.prompts) == 3  # one of the battles' is among the outcomes'
    assert sorted(router.tiers.tolist()) == [0, 1, 2]


def test_a_member_without_a_battle_has_no_quality() -> None:
    scores = np.array([[1.0, 0.0, np.nan], [0.0, 1.0, np.nan], [1.0, 0.5, np.nan]])
    vectors = directions(3, 4)
    router = fitted(Lessons(outcomes(scores, ("a", "b", "silent"))), Vectors(outcomes=vectors))
    quality = router.forecast(asked(vectors)).quality
    assert np.isnan(quality[:, 2]).all()
    assert np.isfinite(quality[:, :2]).all()


@pytest.mark.parametrize("scores", [[[1.0, 0.0]] * 4, [[0.5, 0.5]] * 4, [[0.0, 1.0]] * 4])
def test_one_that_always_wins_has_a_finite_elo(scores: list[list[float]]) -> None:
    vectors = directions(4, 4)
    router = fitted(Lessons(outcomes(np.array(scores), ("a", "b"))), Vectors(outcomes=vectors))
    quality = router.forecast(asked(vectors)).quality
    lead = quality[:, 0] - quality[:, 1]
    assert np.sign(lead).tolist() == [np.sign(scores[0][0] - scores[0][1])] * 4
    assert np.abs(lead).max() < 1000.0


def test_two_groups_that_never_met_are_each_rated_around_the_mean() -> None:
    scores = np.array([[1.0, 0.0, np.nan, np.nan], [np.nan, np.nan, 1.0, 0.0]] * 10)
    vectors = directions(20, 4)
    router = fitted(Lessons(outcomes(scores, ("a", "b", "c", "d"))), Vectors(outcomes=vectors))
    (quality,) = router.forecast(asked(vectors[:1] * 0)).quality
    assert quality == pytest.approx([quality[0], 2000 - quality[0]] * 2)


def test_an_anchor_has_its_elo_for_every_query(arena: tuple[Lessons, Vectors, SWRankingRouter]) -> None:
    queries = asked(directions(5, 96, seed=4))
    free = arena[2].forecast(queries).quality
    held = replace(arena[2], anchor="member 3", anchor_elo=1082.0).forecast(queries).quality
    assert held[:, 3] == pytest.approx(1082.0)
    assert held - held[:, :1] == pytest.approx(free - free[:, :1])
    with pytest.raises(ConfigError, match="'nobody'"):
        replace(arena[2], anchor="nobody")


def test_one_tier_or_one_member_tells_nobody_apart() -> None:
    with pytest.raises(ConfigError, match="two tiers"):
        SWRankingRecipe(tiers=1)
    alone = Lessons(outcomes(np.ones((3, 1)), ("a",)))
    with pytest.raises(ConfigError, match="no two have answered"):
        fitted(alone, Vectors(outcomes=directions(3, 4)))
    with pytest.raises(ConfigError, match="there are none"):
        fitted(Lessons(), Vectors())


def test_prompts_without_vectors_are_an_error() -> None:
    told = Lessons(outcomes(np.array([[1.0, 0.0]] * 3), ("a", "b")))
    for vectors in (None, directions(2, 4)):
        with pytest.raises(ConfigError, match="3 prompts need as many vectors"):
            fitted(told, Vectors(outcomes=vectors))


# ---- kept -----------------------------------------------------------------------------------------


def test_what_was_kept_forecasts_the_same(arena: tuple[Lessons, Vectors, SWRankingRouter], tmp_path: Path) -> None:
    router = replace(arena[2], weighing=Weighing(25.0, scaled=False), anchor="member 2", anchor_elo=1100.0)
    np.savez(tmp_path / "arrays.npz", **router.arrays())  # type: ignore[arg-type]  # a name could be an argument's
    with np.load(tmp_path / "arrays.npz") as arrays:
        back = loads("sw_ranking")(Kept(router.members, router.settings(), dict(arrays), tmp_path))
    queries = asked(directions(6, 96, seed=8))
    assert np.array_equal(back.forecast(queries).quality, router.forecast(queries).quality)
    assert (back.kind, back.scale, back.reads) == ("sw_ranking", Scale.ELO, "vectors")


def test_an_artifact_that_lacks_something_says_what(
    arena: tuple[Lessons, Vectors, SWRankingRouter], tmp_path: Path
) -> None:
    router = arena[2]
    arrays = {name: array for name, array in router.arrays().items() if name != "steps"}
    with pytest.raises(ConfigError, match="lacks 'steps'"):
        loads("sw_ranking")(Kept(router.members, router.settings(), arrays, tmp_path))
    with pytest.raises(ConfigError, match="13 members stand in 14 places"):
        loads("sw_ranking")(Kept(router.members[1:], router.settings(), router.arrays(), tmp_path))


@pytest.mark.parametrize("vectors", [None, directions(2, 96), directions(1, 95)])
def test_vectors_of_another_encoder_are_refused(
    arena: tuple[Lessons, Vectors, SWRankingRouter], vectors: NDArray[np.float32] | None
) -> None:
    with pytest.raises(RouterError, match="1 vectors of 96 dimensions"):
        arena[2].forecast(Queries(("a question",), vectors))
