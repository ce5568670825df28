"""Recipes that fine-tune a transformer: they learn a rule, give equal weights for equal seeds, and refuse bad data."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_readers
from coterie.errors import ConfigError
from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.routers.forecast import Fitted, Kept, Queries, Vectors
from coterie.routers.kinds import loads

pytest.importorskip("torch", reason="these routers need the extra torch")

from coterie.training.routing.bert import BertRecipe, label
from coterie.training.routing.causal_llm import CausalLLMRecipe, rating, target
from coterie.training.routing.forc import ForcRecipe
from coterie.training.routing.hybrid import HybridRecipe
from coterie.training.routing.text_rows import among, each_alone, held_back

SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-3,
    "batch": 16,
    "accumulate": 1,
    "epochs": 4,
    "optimizer": "adamw",
    "warm_up": 0.0,
    "weight_decay": 0.0,
    "max_updates": 16,
    "max_tokens": 24,
}
TESTED = Queries(tiny_readers.queries(20, seed=1))
HARD = np.array([tiny_readers.hard(text) for text in TESTED.texts])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_readers.encoder(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_readers.llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(autouse=True)
def _quick(quick: None) -> None:
    """Trainings without what takes longer than they do."""


def fitted(recipe: Any, lessons: Lessons | None = None) -> Fitted:
    made: Fitted = recipe.fit(lessons or tiny_readers.outcomes(), Vectors(), lambda *_: None)
    return made


def lead(router: Fitted) -> np.ndarray:
    """Of the large member over the small one."""
    quality = router.forecast(TESTED).quality
    at = router.members.index
    found: np.ndarray = quality[:, at("large")] - quality[:, at("small")]
    return found


def again(router: Any, folder: Path) -> Fitted:
    """The router out of its artifact's files."""
    router.save(folder)
    return loads(router.kind)(Kept(router.members, dict(router.settings()), router.arrays(), folder))


def test_forc_learns_who_is_right_and_comes_back(base: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    recipe = ForcRecipe(base=base, **{**SETTINGS, "evaluate_every": 10, "max_updates": 40, "epochs": 6})
    router = recipe.fit(tiny_readers.outcomes(), Vectors(), lambda *now: told.append(now))
    assert lead(router)[HARD].min() > lead(router)[~HARD].max()
    assert told[0] == ("updates of forc", 0, 40)
    assert told[-1][1:] == (40, 40)
    assert "held-back loss" in told[-1][0]
    loaded = again(router, tmp_path)
    np.testing.assert_allclose(loaded.forecast(TESTED).quality, router.forecast(TESTED).quality, atol=1e-6)


def test_heads_for_each_member_learn_from_the_scores_that_are_known(base: str) -> None:
    lessons = tiny_readers.outcomes(("other", "small", "large"))
    assert lessons.outcomes is not None
    scores = lessons.outcomes.scores.copy()
    scores[::3, 1] = np.nan
    router = fitted(ForcRecipe(base=base, heads="each", **SETTINGS), Lessons(replace(lessons.outcomes, scores=scores)))
    assert router.members == ("other", "small", "large")
    assert lead(router)[HARD].min() > lead(router)[~HARD].max()


def test_equal_seeds_give_equal_routers(base: str) -> None:
    recipe = ForcRecipe(base=base, heads="each", **{**SETTINGS, "max_updates": 2})
    both = replace(recipe, networks=2)
    next_one = replace(recipe, seed=recipe.seed + 1)
    first, second, other, mean = (fitted(one).forecast(TESTED).quality for one in (recipe, recipe, next_one, both))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)
    np.testing.assert_allclose(mean, (first + other) / 2)


def test_hybrid_learns_where_the_small_one_will_do(base: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="r_trans is r_prob"):
        router = fitted(HybridRecipe(base=base, drop_out=0.0, **SETTINGS))
    assert lead(router)[HARD].min() > lead(router)[~HARD].max()
    quality = router.forecast(TESTED).quality
    np.testing.assert_allclose(quality.sum(1), 1.0)
    assert router.settings()["labels"] == {"kind": "trans", "shift": {"small": 0.0}, "collapsed": ["small"]}
    assert again(router, tmp_path).settings() == router.settings()


def test_bert_learns_three_labels_of_each_member_against_the_strongest(base: str, tmp_path: Path) -> None:
    router = fitted(BertRecipe(base=base, **SETTINGS), tiny_readers.outcomes(("other", "small", "large")))
    assert router.settings()["reference"] == "large"
    assert lead(router)[HARD].min() > lead(router)[~HARD].max()
    loaded = again(router, tmp_path)
    np.testing.assert_allclose(loaded.forecast(TESTED).quality, router.forecast(TESTED).quality, atol=1e-6)


def test_bert_learns_from_battles_too(base: str) -> None:
    asked = tiny_readers.queries(80)
    n = np.arange(80)
    won = np.array([1.0 if tiny_readers.hard(text) else 0.5 for text in asked])
    first, second = np.where(n % 3 == 0, 1, 0), np.where(n % 3 == 0, 0, 1)
    battles = Battles(("large", "small"), asked, first, second, np.where(n % 3 == 0, 1 - won, won))
    router = fitted(BertRecipe(base=base, **SETTINGS), Lessons(battles=battles))
    assert router.settings()["reference"] == "large"
    assert lead(router)[HARD].min() > lead(router)[~HARD].max()


def test_causal_llm_learns_to_write_a_rating(language_model: str, tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 20, "max_updates": 100, "evaluate_every": 25}
    router = fitted(CausalLLMRecipe(base=language_model, system="", user="{question}:", **settings))
    assert lead(router)[HARD].min() > lead(router)[~HARD].max()
    loaded = again(router, tmp_path)
    np.testing.assert_allclose(loaded.forecast(TESTED).quality, router.forecast(TESTED).quality, atol=1e-6)


@pytest.mark.parametrize("recipe", [ForcRecipe, HybridRecipe, BertRecipe, CausalLLMRecipe])
def test_lessons_of_one_member_or_without_difference_are_refused(recipe: Any, base: str) -> None:
    with pytest.raises(ConfigError, match="are not several"):
        fitted(recipe(base=base), tiny_readers.outcomes(("large",)))
    outcomes = tiny_readers.outcomes().outcomes
    assert outcomes is not None
    same = Lessons(replace(outcomes, scores=np.ones_like(outcomes.scores)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ConfigError, match="nothing to learn"):
            fitted(recipe(base=base), same)


@pytest.mark.parametrize("recipe", [ForcRecipe, CausalLLMRecipe])
def test_a_score_outside_the_scale_is_refused_by_its_place(recipe: Any, base: str) -> None:
    outcomes = tiny_readers.outcomes().outcomes
    assert outcomes is not None
    scores = outcomes.scores.copy()
    scores[3, 1] = 7.0
    places = tuple(f"data.jsonl:{n}" for n in range(len(outcomes)))
    with pytest.raises(ConfigError, match=r"'large' at data\.jsonl:3 is 7\.0"):
        fitted(recipe(base=base), Lessons(replace(outcomes, scores=scores, places=places)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"held_back": 0.0}, "held_back"),
        ({"batch": 0}, "batch"),
        ({"keep": "middle"}, "keep"),
        ({"heads": "none"}, "heads"),
        ({"max_updates": 0}, "max_updates"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ForcRecipe(**wrong)


# ---- Hybrid LLM's labels ---------------------------------------------------------------------------


def labelled(lessons: Lessons, **settings: Any) -> list[float]:
    assert lessons.outcomes is not None
    return list(HybridRecipe(**settings).of_member(lessons.outcomes, "small", "large").labels)


def graded(scores: list[list[float]], samples: Any = ()) -> Lessons:
    """Of the members small and large."""
    table = np.array(scores)
    unknown = np.full(table.shape, np.nan)
    prompts = tuple(f"prompt {n}" for n in range(len(table)))
    return Lessons(Outcomes(("small", "large"), prompts, table, unknown, unknown, samples=samples))


def test_several_answers_are_compared_each_with_each() -> None:
    samples = (((0.0, 1.0), (1.0, 1.0)), ((1.0,), (0.0, 1.0)), ((), ()))
    lessons = graded([[0.5, 1.0], [1.0, 0.5], [0.0, 1.0]], samples)
    assert labelled(lessons, labels="prob") == [0.5, 1.0, 0.0]
    assert labelled(lessons, labels="det") == [0.0, 1.0, 0.0]  # the first answer of each


def test_shares_of_answers_are_soft_where_single_scores_are_not() -> None:
    lessons = graded([[0.6, 0.7], [0.7, 0.7], [0.1, 1.0], [float("nan"), 1.0]])
    hard = labelled(lessons, labels="prob")
    assert hard[:3] == [0.0, 1.0, 0.0]
    assert math.isnan(hard[3])
    soft = labelled(lessons, labels="prob", answers=10)
    assert 0.0 < soft[2] < soft[0] < soft[1] < 1.0
    assert labelled(lessons, labels="det", shift=0.1) == pytest.approx([1.0, 1.0, 0.0, math.nan], nan_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trans = labelled(lessons, labels="trans", answers=10)
    assert trans[0] > soft[0]  # shifted, and so milder


def test_labels_that_are_all_alike_are_refused() -> None:
    with pytest.raises(ConfigError, match="every prompt is labelled 1 for 'small'"):
        labelled(graded([[1.0, 0.0], [1.0, 1.0]]), labels="det")
    with pytest.raises(ConfigError, match="no prompt has scores of both"):
        labelled(graded([[1.0, math.nan], [math.nan, 1.0]]), labels="det")
    with pytest.raises(ConfigError, match="finds its own"):
        HybridRecipe(labels="trans", shift=0.1)


@pytest.mark.parametrize(("score", "rating_"), [(0.0, 1), (0.12, 1), (0.125, 2), (0.5, 3), (0.625, 4), (1.0, 5)])
def test_a_score_is_a_rating(score: float, rating_: int) -> None:
    assert rating(score) == rating_
    assert target(score).index(1.0) == rating_ - 1
    assert all(math.isnan(value) for value in target(math.nan))


def test_a_lead_is_a_label() -> None:
    assert [label(lead, 0.1) for lead in (0.5, 0.1, -0.1, -0.5)] == [
        (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0),
    ]  # fmt: skip


# ---- who is held back, and how losses are told -----------------------------------------------------


def test_a_prompt_is_on_one_side_and_both_have_some() -> None:
    prompts = ["a", "b", "a", "c", "b", "d"]
    held = held_back(prompts, 0.3, 1)
    assert held < set(prompts)
    assert len(held) == 1
    assert held_back(list(reversed(prompts)), 0.3, 1) == held
    assert {frozenset(held_back(prompts, 0.3, seed)) for seed in range(20)} > {frozenset(held)}
    assert len(held_back(["a", "b"], 0.99, 1)) == 1
    with pytest.raises(ConfigError, match="two prompts at least"):
        held_back(["a", "a"], 0.5, 1)


def test_losses_are_of_what_is_known() -> None:
    import torch

    said = torch.tensor([[0.0, 2.0, -1.0], [1.0, 1.0, 1.0]])
    targets = torch.tensor([[0.5, math.nan, 1.0], [math.nan] * 3])
    first = math.log(2)
    third = math.log(1 + math.exp(1))
    assert each_alone(said, targets).tolist() == pytest.approx([(first + third) / 2, 0.0])
    three = torch.tensor([[0.0, 1.0, 0.0], [math.nan] * 3])
    expected = math.log(1 + math.exp(2) + math.exp(-1)) - 2
    assert among(3)(said, three).tolist() == pytest.approx([expected, 0.0])
