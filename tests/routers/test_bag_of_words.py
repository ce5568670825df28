"""Words as features: TF-IDF and ridge regression against their formulas, and what routers made of them learn."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("scipy", reason="these routers are fitted with SciPy")

from coterie.errors import ConfigError, RouterError
from coterie.evaluation.routing import pgr
from coterie.evaluation.routing.sweeps import by_preference
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.outcomes.reading import read
from coterie.outcomes.split import folds
from coterie.routers import ridge
from coterie.routers import topics as topics_module
from coterie.routers.bag_of_words import BagOfWordsRecipe, BagOfWordsRouter, said_by_words
from coterie.routers.forecast import Kept, Queries, Vectors
from coterie.routers.linear import LinearRecipe, LinearRouter
from coterie.routers.topics import topics_of
from coterie.routers.words import READ_CHARACTERS, WORDS_AND_PAIRS, Terms, Vocabulary, vocabulary_of

Array = NDArray[np.float64]

ROUTELLM = Path(__file__).parents[3] / "shared" / "data" / "routing_routellm2.dev.jsonl.gz"

TEXTS = ("the cat sat", "the cat ran", "a dog sat on the mat", "zebra", "", "the the the cat")


def silent(*_: object) -> None:
    """Watches nothing."""


# ---- words ----------------------------------------------------------------------------------------


def test_terms_are_words_and_pairs_of_neighbours() -> None:
    terms = WORDS_AND_PAIRS.of
    assert terms("The cat, the CAT!") == ["the", "cat", "the", "cat", "the cat", "cat the", "the cat"]
    assert terms("Où est 東京 3_4?") == ["où", "est", "東京", "3_4", "où est", "est 東京", "東京 3_4"]
    assert terms(" ?! ") == []
    assert len(terms("a " * READ_CHARACTERS)) == READ_CHARACTERS - 1


def test_terms_may_be_longer_and_marks_words() -> None:
    assert Terms(1).of("a b a") == ["a", "b", "a"]
    assert Terms(3, marks=True).of("x+1?") == ["x", "+", "1", "?", "x +", "+ 1", "1 ?", "x + 1", "+ 1 ?"]
    assert Terms(3, marks=True).of("x") == ["x"]


def test_rows_are_tf_idf_by_its_formula() -> None:
    vocabulary = vocabulary_of(TEXTS, 2, 100)
    assert vocabulary.terms == ("cat", "sat", "the", "the cat")
    texts = len(TEXTS)
    idf = {term: math.log((1 + texts) / (1 + n)) + 1 for term, n in zip(vocabulary.terms, (3, 2, 4, 3), strict=True)}
    np.testing.assert_allclose(vocabulary.idf, list(idf.values()))
    places, weights = vocabulary.row("the the the cat cat dog")
    row = {vocabulary.terms[place]: weight for place, weight in zip(places, weights, strict=True)}
    wanted = {
        "the": (1 + math.log(3)) * idf["the"],
        "cat": (1 + math.log(2)) * idf["cat"],
        "the cat": idf["the cat"],
    }
    length = math.sqrt(sum(weight**2 for weight in wanted.values()))
    assert row == pytest.approx({term: weight / length for term, weight in wanted.items()})
    dense = vocabulary.matrix(TEXTS).toarray()
    assert dense.shape == (texts, 4)
    np.testing.assert_allclose(np.linalg.norm(dense, axis=1), [1, 1, 1, 0, 0, 1])


def test_too_many_terms_leave_those_in_the_most_texts() -> None:
    assert vocabulary_of(TEXTS, 1, 2).terms == ("cat", "the")
    assert vocabulary_of(TEXTS, 1, 3).terms == ("cat", "the", "the cat")
    assert vocabulary_of(TEXTS, 7, 10).terms == ()


@given(st.lists(st.text(max_size=30), min_size=1, max_size=8), st.sampled_from([Terms(), Terms(3, marks=True)]))
def test_a_vocabulary_comes_back(texts: list[str], reading: Terms) -> None:
    vocabulary = vocabulary_of(texts, 1, 50, reading)
    again = Vocabulary.load(vocabulary.arrays())
    assert (again.terms, again.reading) == (vocabulary.terms, reading)
    for text in texts:
        for one, other in zip(vocabulary.row(text), again.row(text), strict=True):
            np.testing.assert_array_equal(one, other)


def test_terms_without_weights_are_refused() -> None:
    arrays = vocabulary_of(TEXTS, 1, 5).arrays()
    with pytest.raises(ValueError, match="5 terms have 4 weights"):
        Vocabulary.load({**arrays, "idf": arrays["idf"][:4]})


# ---- ridge regression -----------------------------------------------------------------------------


def by_formula(features: Array, scores: Array, alpha: float) -> tuple[Array, float]:
    """The solution of the normal equations, for one member."""
    means = features.mean(axis=0)
    centred = features - means
    weights = np.linalg.solve(
        centred.T @ centred + alpha * np.eye(features.shape[1]), centred.T @ (scores - scores.mean())
    )
    return weights, float(scores.mean() - means @ weights)


@pytest.mark.parametrize("alpha", [0.1, 10.0])
def test_conjugate_gradients_solve_the_normal_equations(alpha: float) -> None:
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(1)
    words = rng.random((60, 25)) * (rng.random((60, 25)) < 0.3)
    dense, scores = rng.normal(size=(60, 7)), rng.random((60, 4))
    scores[:, 1] = np.where(rng.random(60) < 0.4, np.nan, scores[:, 1])
    scores[:, 3] = np.nan
    told: list[tuple[int, int]] = []
    lines = ridge.fit([csr_matrix(words), dense], scores, alpha, lambda *now: told.append(now))
    both = np.hstack([words, dense])
    for member in range(3):
        known = ~np.isnan(scores[:, member])
        weights, intercept = by_formula(both[known], scores[known, member], alpha)
        np.testing.assert_allclose(np.concatenate([of[:, member] for of in lines.weights]), weights, atol=1e-5)
        assert lines.intercepts[member] == pytest.approx(intercept, abs=1e-5)
    assert np.isnan(lines.intercepts[3])
    np.testing.assert_allclose(lines([words, dense])[:, 0], both @ np.concatenate(
        [of[:, 0] for of in lines.weights]) + lines.intercepts[0], atol=1e-9)  # fmt: skip
    assert told[-1] == (4, 4)


def test_a_member_whose_scores_are_all_alike_is_told_by_its_mean() -> None:
    features = np.random.default_rng(2).normal(size=(20, 3))
    lines = ridge.fit([features], np.stack([np.full(20, 0.7), features[:, 0]], axis=1), 1.0, silent)
    np.testing.assert_allclose(lines.weights[0][:, 0], 0, atol=1e-12)
    assert lines.intercepts[0] == pytest.approx(0.7)


# ---- the routers ----------------------------------------------------------------------------------


def lessons(n: int = 200, seed: int = 0) -> Lessons:
    """`strong` is always right, `weak` where "easy" is said; what is said beside tells nothing."""
    rng = np.random.default_rng(seed)
    noise = [" ".join(rng.choice(list("abcdefgh"), size=rng.integers(4, 9))) for _ in range(n)]
    hard = rng.random(n) < 0.5
    prompts = tuple(f"{'hard' if h else 'easy'} {text}" for h, text in zip(hard, noise, strict=True))
    scores = np.stack([1.0 - hard, np.ones(n)], axis=1)
    unknown = np.full(scores.shape, np.nan)
    return Lessons(Outcomes(("weak", "strong"), prompts, scores, unknown, unknown))


def gap(said: Array) -> Array:
    found: Array = said[:, 1] - said[:, 0]
    return found


def test_a_bag_of_words_learns_the_word_that_tells() -> None:
    router = BagOfWordsRecipe().fit(lessons(), Vectors(), silent)
    said = gap(router.forecast(Queries(("hard a b c", "easy a b c", "b c", ""))).quality)
    assert said[0] > said[2] > said[1]
    assert said[3] == pytest.approx(float(np.diff(router.intercepts)[0]))
    assert (router.kind, router.reads) == ("bag_of_words", "texts")


def test_settings_of_a_bag_of_words() -> None:
    for settings, says in (
        ({"alpha": 0.0}, "alpha is above 0"),
        ({"alpha": math.nan}, "alpha is above 0"),
        ({"least_texts": 0}, "least_texts is at least 1"),
        ({"most_terms": 0}, "most_terms is at least 1"),
    ):
        with pytest.raises(ConfigError, match=says):
            BagOfWordsRecipe(**settings)
    small = BagOfWordsRecipe(most_terms=3).fit(lessons(), Vectors(), silent)
    assert len(small.vocabulary) == 3


def test_arrays_that_do_not_fit_are_refused() -> None:
    router = BagOfWordsRecipe().fit(lessons(), Vectors(), silent)
    kept = Kept(router.members, {}, router.arrays(), Path())
    for name in ("weights", "intercepts"):
        with pytest.raises(ConfigError, match="have"):
            BagOfWordsRouter.load(replace(kept, arrays={**kept.arrays, name: np.zeros(1)}))


def pointing(prompts: tuple[str, ...], seed: int = 3) -> NDArray[np.float32]:
    """Vectors whose first number says what is hard; the others say nothing."""
    rng = np.random.default_rng(seed)
    said = [[1.0 if prompt.startswith("hard") else -1.0, *rng.normal(size=4)] for prompt in prompts]
    found = np.array(said, dtype=np.float32)
    unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("settings", [{}, {"most_terms": 0}, {"length_weight": 0.0}])
def test_the_linear_router_reads_words_vectors_and_length(settings: dict[str, Any]) -> None:
    known = lessons()
    assert known.outcomes is not None
    vectors = pointing(known.outcomes.prompts)
    router = LinearRecipe(**settings).fit(known, Vectors(vectors), silent)
    texts = ("hard a b", "easy a b")
    said = gap(router.forecast(Queries(texts, pointing(texts))).quality)
    assert said[0] > said[1] + 0.2
    vectors_alone = gap(router.forecast(Queries(("a b", "a b"), pointing(texts))).quality)
    assert vectors_alone[0] > vectors_alone[1]
    longer = gap(router.forecast(Queries(("zz", "z" * 99), pointing(("hard",) * 2, 5)[[0, 0]])).quality)
    assert (longer[0] == longer[1]) == (settings == {"length_weight": 0.0})
    again = LinearRouter.load(Kept(router.members, {}, router.arrays(), Path()))
    asked = Queries(texts, pointing(texts))
    np.testing.assert_array_equal(again.forecast(asked).quality, router.forecast(asked).quality)


def test_the_linear_router_equals_ridge_regression_on_everything() -> None:
    known = lessons(80)
    assert known.outcomes is not None
    prompts, vectors = known.outcomes.prompts, pointing(known.outcomes.prompts)
    router = LinearRecipe(alpha=2.0, vector_weight=0.7, length_weight=0.4).fit(known, Vectors(vectors), silent)
    logs = np.log1p([len(prompt) for prompt in prompts])
    features = np.hstack([
        vocabulary_of(prompts, 2, 20_000, Terms(3, marks=True)).matrix(prompts).toarray(),
        0.7 * vectors.astype(np.float64),
        0.4 * ((logs - logs.mean()) / logs.std())[:, None],
    ])  # fmt: skip
    weights, intercept = by_formula(features, known.outcomes.scores[:, 0], 2.0)
    said = router.forecast(Queries(prompts, vectors)).quality[:, 0]
    np.testing.assert_allclose(said, features @ weights + intercept, atol=1e-4)


def test_what_the_linear_router_refuses() -> None:
    known = lessons(40)
    assert known.outcomes is not None
    with pytest.raises(ConfigError, match="40 prompts need as many vectors, and there are 0"):
        LinearRecipe().fit(known, Vectors(), silent)
    for settings, says in (
        ({"vector_weight": 0.0}, "vector_weight"),
        ({"length_weight": -1.0}, "length_weight"),
        ({"topic_share": 1.5}, "topic_share"),
        ({"longest_term": 0}, "longest_term"),
    ):
        with pytest.raises(ConfigError, match=says):
            LinearRecipe(**settings)
    router = LinearRecipe().fit(known, Vectors(pointing(known.outcomes.prompts)), silent)
    for vectors in (None, np.zeros((1, 7), dtype=np.float32)):
        with pytest.raises(RouterError, match="is it another encoder"):
            router.forecast(Queries(("x",), vectors))


# ---- topics ---------------------------------------------------------------------------------------


def grouped(n: int = 200) -> tuple[Outcomes, NDArray[np.float32]]:
    """Two groups, each with a word of its own: `weak` is good at "sums", and who is asked of "law" has no chance."""
    rng = np.random.default_rng(6)
    groups = tuple(("sums", "law", "")[place] for place in rng.integers(0, 3, n))
    prompts = tuple(f"{group or 'other'} {' '.join(rng.choice(list('abcdefgh'), size=5))}" for group in groups)
    chances = np.array([{"sums": (0.9, 0.95), "law": (0.1, 0.9), "": (0.5, 0.5)}[group] for group in groups])
    scores = (rng.random(chances.shape) < chances).astype(float)
    unknown = np.full(scores.shape, np.nan)
    return Outcomes(("weak", "strong"), prompts, scores, unknown, unknown, groups), pointing(prompts)


def test_topics_are_told_and_their_means_expected() -> None:
    outcomes, vectors = grouped()
    rows = vocabulary_of(outcomes.prompts, 2, 100)
    topics = topics_of(rows.matrix(outcomes.prompts), vectors, outcomes.groups, outcomes.scores)
    assert topics is not None
    asked = ("law a b", "sums c d")
    [said] = said_by_words(rows, [topics.words], asked)
    likely = topics.likely(said, pointing(asked))
    np.testing.assert_allclose(likely.sum(axis=1), 1)
    assert likely[0, 0] > 0.99
    assert likely[1, 1] > 0.99
    for n, name in enumerate(("law", "sums")):
        mine = outcomes.scores[[group == name for group in outcomes.groups]]
        mean = (mine.sum(axis=0) + 20 * outcomes.scores.mean(axis=0)) / (len(mine) + 20)
        np.testing.assert_allclose(topics.means[n], mean)
    np.testing.assert_allclose(topics.expected(said, pointing(asked)), topics.means, atol=0.02)


def test_fewer_than_two_groups_are_no_topics() -> None:
    outcomes, vectors = grouped(30)
    rows = vocabulary_of(outcomes.prompts, 2, 100).matrix(outcomes.prompts)
    for groups in ((), ("",) * 30, ("law",) * 30):
        assert topics_of(rows, vectors, groups, outcomes.scores) is None


def test_too_many_groups_leave_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, vectors = grouped()
    rows = vocabulary_of(outcomes.prompts, 2, 100).matrix(outcomes.prompts)
    named = tuple(group or f"rare {n}" for n, group in enumerate(outcomes.groups))
    monkeypatch.setattr(topics_module, "MOST", 2)
    found = topics_of(rows, vectors, named, outcomes.scores)
    assert found is not None
    assert found.means.shape == (2, 2)


def test_a_linear_router_with_topics_comes_back_and_one_of_other_tables_does_not() -> None:
    outcomes, vectors = grouped()
    scores = np.hstack([outcomes.scores, np.full((len(outcomes), 1), np.nan)])
    three = replace(outcomes, members=("weak", "strong", "new"), scores=scores, costs_usd=scores, output_tokens=scores)
    router = LinearRecipe().fit(Lessons(three), Vectors(vectors), silent)
    assert router.topics is not None
    asked = Queries(("law a b", "sums c d", ""), pointing(("a", "b", "c")))
    said = router.forecast(asked).quality
    assert gap(said)[0] > gap(said)[1] + 0.3
    assert np.isnan(said[:, 2]).all()
    kept = Kept(router.members, {}, router.arrays(), Path())
    np.testing.assert_array_equal(LinearRouter.load(kept).forecast(asked).quality, said)
    alone = LinearRecipe(topic_share=0.0).fit(Lessons(three), Vectors(vectors), silent)
    assert alone.topics is None
    with pytest.raises(ValueError, match="topics have tables of the shapes"):
        LinearRouter.load(replace(kept, arrays={**kept.arrays, "topic_means": np.zeros((5, 3))}))


# ---- on real outcomes -----------------------------------------------------------------------------


@pytest.mark.skipif(not ROUTELLM.is_file(), reason="the data are not here")
def test_on_gsm8k_words_are_worth_what_they_were_found_to_be() -> None:
    everything = read([str(ROUTELLM)]).lessons.outcomes
    assert everything is not None
    part = everything.rows([n for n, name in enumerate(everything.groups) if name == "gsm8k"])
    said = np.full(len(part), np.nan)
    place = {prompt: n for n, prompt in enumerate(part.prompts)}
    for sides in folds(Lessons(part), 5):
        assert sides.measured.outcomes is not None
        prompts = sides.measured.outcomes.prompts
        router = BagOfWordsRecipe().fit(sides.learned, Vectors(), silent)
        said[[place[prompt] for prompt in prompts]] = gap(router.forecast(Queries(prompts)).quality)
    curves = by_preference(said, *part.scores.T).curves(np.ones((1, len(part))))
    assert float(pgr.of_curves(*curves)[0, 0]) == pytest.approx(0.615, abs=0.015)
