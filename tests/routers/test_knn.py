"""k nearest neighbours: means over the nearest that say something, how far off they may be, and what is unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie.encoders.minilm import MiniLM
from coterie.errors import ConfigError, RouterError
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.prospects import Scale
from coterie.routers.artifact import About, opened, save
from coterie.routers.forecast import Forecast, Kept, Queries, Vectors
from coterie.routers.knn import KnnRouter
from coterie.routers.knn_rules import KnnRules
from coterie.training.routing.knn import KnnRecipe
from coterie.types import Json

Rows = NDArray[np.float32]
Table = NDArray[np.float64]
MEMBERS = ("a", "b", "c")
DIMENSIONS = 8
PUBLISHED = KnnRules()
NOTHING = np.zeros((1, DIMENSIONS), dtype=np.float32)


def unit(n: int, seed: int) -> Rows:
    rows = np.random.default_rng(seed).standard_normal((n, DIMENSIONS))
    made: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return made


def table(n: int, seed: int, unknown: float = 0.0) -> Table:
    rng = np.random.default_rng(seed)
    scores = rng.random((n, 3))
    scores[rng.random((n, 3)) < unknown] = np.nan
    return scores


def fitted(vectors: Rows, scores: Table, rules: KnnRules = PUBLISHED) -> KnnRouter:
    return KnnRouter.fit(MEMBERS, rules, vectors, scores)


def said(router: KnnRouter, vectors: Rows) -> Forecast:
    return router.forecast(Queries(("?",) * len(vectors), vectors))


def outcomes(scores: Table) -> Outcomes:
    nothing = np.full(scores.shape, np.nan)
    return Outcomes(MEMBERS, tuple(f"prompt {n}" for n in range(len(scores))), scores, nothing, nothing)


def silent(_what: str, _done: int, _all: int) -> None:
    pass


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 30), k=st.integers(1, 35), seed=st.integers(0, 999), unknown=st.sampled_from([0.0, 0.3, 1.0]))
def test_it_is_the_mean_of_the_nearest_that_say_something(n: int, k: int, seed: int, unknown: float) -> None:
    vectors, scores, asked = unit(n, seed), table(n, seed, unknown), unit(4, seed + 1)
    forecast = said(fitted(vectors, scores, KnnRules(k)), asked)
    for row, query in enumerate(asked):
        nearest = scores[np.argsort(-(vectors @ query), kind="stable")[:k]]
        for column in range(3):
            known = nearest[:, column][~np.isnan(nearest[:, column])]
            mean = known.mean() if len(known) else np.nan
            error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
            assert forecast.quality[row, column] == pytest.approx(mean, nan_ok=True)
            assert forecast.uncertainty is not None
            assert forecast.uncertainty[row, column] == pytest.approx(error, abs=1e-7, nan_ok=True)


def test_alike_neighbours_weigh_alike_and_unlike_ones_nothing() -> None:
    axes = np.eye(DIMENSIONS, dtype=np.float32)
    vectors, scores = np.concatenate([axes[:2], -axes[:1]]), np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    query = ((3 * axes[0] + 4 * axes[1]) / 5)[None]
    weighed = said(fitted(vectors, scores, KnnRules(weighting="similarity")), query)
    np.testing.assert_allclose(weighed.quality, [[3 / 7, 4 / 7, 0.0]], atol=1e-3)
    assert weighed.uncertainty is not None
    assert (weighed.uncertainty[0, :2] > 0).all()
    even = said(fitted(vectors, scores), query)
    np.testing.assert_allclose(even.quality, [[1 / 3, 1 / 3, 1 / 3]])


def test_what_it_rests_on() -> None:
    axes = np.eye(DIMENSIONS, dtype=np.float32)
    assert said(fitted(axes, table(DIMENSIONS, 0), KnnRules(2)), axes[:1]).basis == (
        "2 nearest of 8 prompts (cosine 1.00 to 0.00)",
    )


def test_prompts_that_are_equally_near_count_in_equal_parts() -> None:
    """As do those whose beginning is the same, where the encoder reads no more of them."""
    [one, other] = unit(2, 0)
    scores = np.array([[1.0, 0.2, np.nan], [0.0, np.nan, np.nan], [0.4, 0.6, 0.3]])
    stored, asked = np.stack([one, one, other]), np.stack([one, other])
    nearest = said(fitted(stored, scores, KnnRules(1)), asked)
    np.testing.assert_allclose(nearest.quality, [[0.5, 0.2, np.nan], [0.4, 0.6, 0.3]])
    three = said(fitted(stored, scores, KnnRules(3)), asked[:1])
    np.testing.assert_allclose(three.quality, [[1.4 / 3, 0.4, 0.3]])
    assert three.uncertainty is not None
    expected = [scores[:, 0].std(ddof=1) / 3**0.5, 0.2, np.nan]
    np.testing.assert_allclose(three.uncertainty, [expected])


def test_many_prompts_of_one_vector_are_many_neighbours() -> None:
    [one, other] = unit(2, 0)
    stored = np.concatenate([np.repeat(one[None], 30, axis=0), other[None]])
    scores = np.concatenate([np.tile([1.0, 0.0, 0.5], (30, 1)), np.zeros((1, 3))])
    forecast = said(fitted(stored, scores, KnnRules(20)), one[None])
    np.testing.assert_allclose(forecast.quality, [[1.0, 0.0, 0.5]])
    assert forecast.basis == ("20 nearest of 31 prompts (cosine 1.00)",)


def test_a_query_without_a_word_has_the_means_over_all() -> None:
    vectors, scores = np.concatenate([unit(5, 0), NOTHING]), table(6, 0, 0.2)
    forecast = said(fitted(vectors, scores, KnnRules(1)), NOTHING)
    np.testing.assert_allclose(forecast.quality[0], np.nanmean(scores, axis=0))
    assert forecast.uncertainty is not None
    assert np.isnan(forecast.uncertainty).all()
    assert forecast.basis == ("the means over all prompts, since no prompt is like the query",)


def test_queries_that_it_cannot_read() -> None:
    router = fitted(unit(3, 0), table(3, 0))
    with pytest.raises(RouterError, match="texts alone"):
        router.forecast(Queries(("?",)))
    with pytest.raises(RouterError, match="another encoder"):
        said(router, unit(1, 0)[:, :3])


def test_it_is_fitted_to_prompts_of_which_a_score_is_known() -> None:
    vectors, scores = unit(10, 1), table(10, 1, 0.2)
    scores[3] = np.nan
    heard: list[tuple[str, int, int]] = []
    told = Lessons(outcomes(scores))
    router = KnnRecipe(k=4).fit(told, Vectors(vectors), lambda *how_far: heard.append(how_far))
    assert len(router.prompts) == 9
    assert heard == [("prompts", 0, 10), ("prompts", 10, 10)]
    left = [n for n in range(10) if n != 3]
    same = fitted(vectors[left], scores[left], KnnRules(4))
    assert np.array_equal(said(router, unit(3, 2)).quality, said(same, unit(3, 2)).quality, equal_nan=True)


@pytest.mark.parametrize(
    ("lessons", "vectors", "message"),
    [
        (Lessons(), Vectors(), "no outcome has a score"),
        (Lessons(outcomes(np.full((2, 3), np.nan))), Vectors(unit(2, 0)), "no outcome has a score"),
        (Lessons(outcomes(table(2, 0))), Vectors(unit(1, 0)), "2 prompts need as many vectors, and there are 1"),
    ],
)
def test_lessons_that_it_cannot_learn_from(lessons: Lessons, vectors: Vectors, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        KnnRecipe().fit(lessons, vectors, silent)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"weighting": "gaussian"}])
def test_settings_that_cannot_be(wrong: dict[str, Json]) -> None:
    with pytest.raises(ConfigError):
        KnnRecipe(**wrong)


def test_it_comes_back_to_equal_forecasts(tmp_path: Path) -> None:
    router = fitted(unit(30, 1), table(30, 1, 0.3), KnnRules(5, "similarity"))
    save(router, tmp_path / "knn", About(encoder=MiniLM()))
    back = opened(tmp_path / "knn").fitted
    assert (back.kind, back.members, back.scale, back.reads) == ("knn", MEMBERS, Scale.SCORE, "vectors")
    asked = Queries(("?",) * 11, np.concatenate([unit(10, 2), NOTHING]))
    one, other = back.forecast(asked), router.forecast(asked)
    assert np.array_equal(one.quality, other.quality, equal_nan=True)
    assert one.uncertainty is not None
    assert other.uncertainty is not None
    assert np.array_equal(one.uncertainty, other.uncertainty, equal_nan=True)
    assert one.basis == other.basis


def test_what_was_not_kept_so_is_refused() -> None:
    router = fitted(unit(4, 1), table(4, 1))
    good = Kept(MEMBERS, router.settings(), dict(router.arrays()), Path("folder"))
    for name in good.arrays:
        with pytest.raises(ConfigError):
            KnnRouter.load(replace(good, arrays={key: kept for key, kept in good.arrays.items() if key != name}))
    for wrong in (
        replace(good, settings={"k": 0}),
        replace(good, settings={"strange": 0}),
        replace(good, members=MEMBERS[:2]),
        replace(good, arrays={**good.arrays, "score_sums": good.arrays["score_sums"][1:]}),
    ):
        with pytest.raises(ConfigError):
            KnnRouter.load(wrong)
