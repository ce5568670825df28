"""The length baseline: a monotone curve for each member, and nothing else of the question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie.errors import ConfigError
from coterie.evaluation.routing import pgr
from coterie.evaluation.routing.sweeps import by_preference
from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.outcomes.reading import read
from coterie.outcomes.split import held_out
from coterie.prospects import Scale
from coterie.routers.forecast import Fitted, Kept, Queries, Vectors
from coterie.routers.length import LengthRecipe, LengthRouter, logistic

ROUTELLM = Path(__file__).parents[3] / "shared" / "data" / "routing_routellm2.dev.jsonl.gz"


def outcomes(lengths: list[int], scores: NDArray[np.float64], members: tuple[str, ...] = ("a", "b")) -> Lessons:
    unknown = np.full(scores.shape, np.nan)
    return Lessons(Outcomes(members, tuple("x" * n for n in lengths), scores, unknown, unknown))


def fitted(lessons: Lessons, **settings: float) -> LengthRouter:
    return LengthRecipe(**settings).fit(lessons, Vectors(), lambda *_: None)


def apgr(router: Fitted, measured: Outcomes, weak: str, strong: str) -> float:
    said = router.forecast(Queries(measured.prompts)).quality
    at = router.members.index
    both = measured.of((weak, strong)).scores
    sweep = by_preference(said[:, at(strong)] - said[:, at(weak)], both[:, 0], both[:, 1])
    share, quality = sweep.curves(np.ones((1, len(measured))))
    return float(pgr.of_curves(share, quality)[0, 0])


def test_it_finds_the_curves_that_scores_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 2000, 6000)
    logs = np.log1p(lengths)
    z = (logs - logs.mean()) / logs.std()
    chances = np.stack([logistic(0.5 - 1.2 * z), logistic(1.0 + 0.3 * z)], axis=1)
    router = fitted(outcomes(lengths.tolist(), (rng.random(chances.shape) < chances).astype(float)))
    np.testing.assert_allclose(router.curves, [[0.5, -1.2], [1.0, 0.3]], atol=0.1)
    said = router.forecast(Queries(tuple("y" * int(n) for n in lengths[:50]))).quality
    np.testing.assert_allclose(said, chances[:50], atol=0.03)
    assert (router.kind, router.scale, router.reads) == ("length", Scale.SCORE, "texts")


def test_words_and_order_make_no_difference() -> None:
    router = fitted(outcomes([1, 5, 9, 30], np.array([[1.0, 0.0], [1.0, 0.5], [0.0, 0.5], [0.0, 1.0]])))
    said = router.forecast(Queries(("ab", "ba", "日本", ""))).quality
    assert (said[0] == said[1]).all()
    assert (said[0] == said[2]).all()
    assert np.isfinite(said).all()
    assert (np.diff(router.forecast(Queries(tuple("x" * n for n in range(50)))).quality[:, 1]) > 0).all()


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=12))
def test_expected_scores_lie_among_the_known_ones(rows: list[tuple[int, float, float]]) -> None:
    scores = np.array([row[1:] for row in rows])
    if np.ptp(scores) == 0:
        return
    said = fitted(outcomes([n for n, *_ in rows], scores)).forecast(Queries(("", "x" * 17, "x" * 9000))).quality
    rounding = 1e-9
    assert ((said >= scores.min() - rounding) & (said <= scores.max() + rounding)).all()


def test_unknown_scores_teach_nothing_and_a_member_without_any_has_no_quality() -> None:
    whole = outcomes([3, 40, 500], np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    assert whole.outcomes is not None
    scores = np.vstack([whole.outcomes.scores, [[np.nan, np.nan]]])
    more = outcomes([3, 40, 500, 40], np.hstack([scores, np.full((4, 1), np.nan)]), ("a", "b", "c"))
    router = fitted(more)
    said = router.forecast(Queries(("abc",))).quality[0]
    assert np.isnan(said[2])
    assert said[0] > said[1]


def test_a_member_that_never_failed_has_a_finite_curve() -> None:
    router = fitted(outcomes([3, 40, 500, 80], np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])))
    said = router.forecast(Queries(("abc", "x" * 100))).quality
    assert (said[:, 0] > 0.5).all()
    assert np.isfinite(router.curves).all()


def test_one_length_alone_tells_members_apart_by_their_means() -> None:
    router = fitted(outcomes([7, 7, 7], np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])))
    said = router.forecast(Queries(("x" * 7,))).quality[0]
    assert said[0] > said[1]


@pytest.mark.parametrize(
    ("lessons", "says"),
    [
        (Lessons(None, Battles(("a", "b"), ("x",), np.array([0]), np.array([1]), np.array([1.0]))), "there are none"),
        (outcomes([1, 2], np.array([[1.0], [0.0]]), ("a",)), "are not several"),
        (outcomes([1, 2], np.full((2, 2), 1.0)), "all 4 known scores are 1.0"),
        (outcomes([1, 2], np.full((2, 2), np.nan)), "no score is known"),
    ],
)
def test_what_nothing_can_be_learned_from(lessons: Lessons, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        fitted(lessons)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="penalty is above 0, not 0"):
        LengthRecipe(penalty=0)


def test_arrays_of_other_members_are_refused() -> None:
    router = fitted(outcomes([1, 5], np.array([[1.0, 0.0], [0.0, 1.0]])))
    kept = Kept(router.members, {}, router.arrays(), Path())
    assert LengthRouter.load(kept).members == router.members
    with pytest.raises(ConfigError, match="3 members have no curves"):
        LengthRouter.load(replace(kept, members=("a", "b", "c")))


@pytest.mark.skipif(not ROUTELLM.is_file(), reason="the data are not here")
def test_on_routellms_data_it_is_as_good_as_the_order_of_lengths() -> None:
    outcomes_ = read([str(ROUTELLM)]).lessons.outcomes
    assert outcomes_ is not None
    weak, strong = outcomes_.members
    for group, least in (("mmlu", 0.57), ("gsm8k", 0.56)):
        rows = [n for n, name in enumerate(outcomes_.groups) if name.startswith(group)]
        part = outcomes_.rows(rows)
        router = fitted(Lessons(part))
        by_length = by_preference(np.array([len(prompt) for prompt in part.prompts], dtype=float), *part.scores.T)
        order = float(pgr.of_curves(*by_length.curves(np.ones((1, len(part)))))[0, 0])
        assert apgr(router, part, weak, strong) == pytest.approx(order, abs=1e-3)
        sides = held_out(Lessons(part), 0.3)
        assert sides.measured.outcomes is not None
        assert apgr(fitted(sides.learned), sides.measured.outcomes, weak, strong) > least
