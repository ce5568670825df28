"""Training matrix factorisation: the gradient, the steps, and what it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from comparing import battles, outcomes, silent, subjects
from coterie.errors import ConfigError
from coterie.outcomes.outcome import Battles, Lessons
from coterie.routers.comparisons import comparisons_of
from coterie.routers.forecast import Queries, Vectors
from coterie.training.routing.adam import Adam
from coterie.training.routing.factors import Factors, accuracy, epochs, loss, split
from coterie.training.routing.mf import MFRecipe, Ties

QUICK = MFRecipe(dimensions=16, epochs=12, learning_rate=3e-2)
PUBLISHED = replace(QUICK, ties="dropped", bias=False)


def quality(recipe: MFRecipe, lessons: Lessons, vectors: Vectors, queries: NDArray[np.float32]) -> NDArray[np.float64]:
    return recipe.fit(lessons, vectors, silent).forecast(Queries(("",) * len(queries), queries)).quality


@pytest.mark.parametrize("recipe", [QUICK, PUBLISHED], ids=["own", "published"])
def test_who_knows_what_is_asked_is_ahead(recipe: MFRecipe) -> None:
    learned, vectors = subjects(200)
    test, unseen = subjects(60, seed=1)
    assert unseen.outcomes is not None
    found = quality(recipe, Lessons(learned), vectors, unseen.outcomes)
    assert found[:, :2].argmax(axis=1).tolist() == test.scores[:, :2].argmax(axis=1).tolist()


def test_ties_as_half_a_win_tell_where_it_pays_to_ask_the_better_one() -> None:
    """On one subject "b" wins 3 of 4 prompts and the rest tie; on the other it wins all that were won, 1 of 5."""
    _, vectors = subjects(400)
    assert vectors.outcomes is not None
    first_subject = vectors.outcomes[:, 0] > 0
    won = np.where(first_subject, np.arange(400) % 4 > 0, np.arange(400) % 5 == 0)
    lost = first_subject & (np.arange(400) % 12 == 0)
    scores = np.stack([1.0 - won, 1.0 - lost], axis=1)
    lead = {}
    both: tuple[Ties, ...] = ("half", "dropped")
    for ties in both:
        found = quality(replace(QUICK, ties=ties), Lessons(outcomes(scores, ("a", "b"))), vectors, vectors.outcomes)
        gain = found[:, 1] - found[:, 0]
        lead[ties] = gain[first_subject].mean() - gain[~first_subject].mean()
    assert lead["half"] > 0.3
    assert lead["dropped"] < 0


def test_outcomes_and_the_battles_made_of_them_teach_the_same() -> None:
    told, vectors = subjects(30)
    rows = comparisons_of(Lessons(told), vectors)
    assert vectors.outcomes is not None
    texts = tuple(told.prompts[n] for n in rows.prompt)
    fought = Battles(told.members, texts, rows.first, rows.second, rows.result)
    of_battles = Lessons(battles=fought), Vectors(battles=vectors.outcomes[rows.prompt])
    a = quality(QUICK, Lessons(told), vectors, vectors.outcomes)
    assert np.array_equal(a, quality(QUICK, *of_battles, vectors.outcomes))


@pytest.mark.parametrize("recipe", [QUICK, PUBLISHED], ids=["own", "published"])
def test_the_same_seed_gives_the_same_router(recipe: MFRecipe) -> None:
    lessons, vectors = battles(150, members=4, dimensions=12)
    made = [replace(recipe, seed=seed).fit(lessons, vectors, silent).arrays() for seed in (1, 1, 2)]
    assert all(np.array_equal(made[0][name], made[1][name]) for name in made[0])
    assert not np.array_equal(made[0]["projection"], made[2]["projection"])
    assert ("bias" in made[0]) is recipe.bias


def test_the_gradient_is_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="the gradient to compare with is PyTorch's")
    told = comparisons_of(*battles(40, members=5, dimensions=12))
    factors = Factors.drawn(5, 12, QUICK, np.random.default_rng(0))
    queries = told.vectors[told.prompt]
    members, projection, classifier, bias = (torch.tensor(array, requires_grad=True) for array in factors.arrays)
    units = torch.nn.functional.normalize(members, dim=1)
    apart = units[torch.tensor(told.first)] - units[torch.tensor(told.second)]
    logits = (apart * (torch.tensor(queries) @ projection.T + bias)) @ classifier
    result = torch.tensor(told.result, dtype=torch.float32)
    lost = torch.nn.functional.binary_cross_entropy_with_logits(logits, result)
    lost.backward()
    assert loss(factors.logits(told), told.result) == pytest.approx(lost.item(), abs=1e-6)
    for own, theirs in zip(factors.gradients(told, queries), (members, projection, classifier, bias), strict=True):
        assert own == pytest.approx(theirs.grad.numpy(), abs=1e-7)


def test_adam_steps_as_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="the steps to compare with are PyTorch's")
    rng = np.random.default_rng(0)
    start = rng.standard_normal((3, 4)).astype(np.float32)
    gradients = rng.standard_normal((20, 3, 4)).astype(np.float32)
    own, theirs = start.copy(), torch.tensor(start.copy(), requires_grad=True)
    adam, reference = Adam([own], 0.05, 0.1), torch.optim.Adam([theirs], lr=0.05, weight_decay=0.1)
    for gradient in gradients:
        adam.step([gradient])
        theirs.grad = torch.tensor(gradient)
        reference.step()
    assert own == pytest.approx(theirs.detach().numpy(), abs=1e-5)


def test_the_epoch_of_the_least_loss_is_kept() -> None:
    """Winners were drawn by a coin: what is learned is noise, and the longer the worse."""
    lessons, vectors = battles(60, members=2, dimensions=30)
    assert lessons.battles is not None
    coins = np.random.default_rng(5).integers(0, 2, 60).astype(np.float64)
    lessons = Lessons(battles=replace(lessons.battles, result=coins))
    recipe = replace(PUBLISHED, epochs=40, noise=0.0, held_back=0.4)
    rng = np.random.default_rng(recipe.seed)
    training, held = split(comparisons_of(lessons, vectors), recipe.held_back, rng)
    after = [(loss(factors.logits(held), held.result), factors.copy()) for factors in epochs(training, recipe, rng)]
    least, best = min(after, key=lambda epoch: epoch[0])
    assert least < after[-1][0]
    assert np.array_equal(recipe.fit(lessons, vectors, silent).arrays()["projection"], best.projection)
    all_learned = replace(recipe, held_back=0.0).fit(lessons, vectors, silent).arrays()["projection"]
    assert not np.array_equal(all_learned, best.projection)


def test_no_prompt_is_on_both_sides_of_the_split() -> None:
    told = comparisons_of(Lessons(subjects(40)[0]), subjects(40)[1])
    training, held = split(told, 0.05, np.random.default_rng(0))
    assert len(held.vectors) == 2
    assert len(training.vectors) == 38
    assert len(training) + len(held) == len(told)
    rows = {row.tobytes() for row in training.vectors} & {row.tobytes() for row in held.vectors}
    assert not rows
    alone = told.where(told.prompt == 0)
    assert [len(part) for part in split(alone, 0.05, np.random.default_rng(0))] == [len(alone), 0]


def test_accuracy_is_of_battles_that_were_won() -> None:
    logits = np.array([2.0, -1.0, -3.0, 0.5], dtype=np.float32)
    assert accuracy(logits, np.array([1.0, 0.0, 1.0, 0.5])) == pytest.approx(2 / 3)
    assert np.isnan(accuracy(logits[:1], np.array([0.5])))


def test_a_watcher_hears_of_every_epoch() -> None:
    heard: list[tuple[str, int, int]] = []
    lessons, vectors = battles(60, members=3, dimensions=6)
    replace(QUICK, epochs=3).fit(lessons, vectors, lambda what, done, total: heard.append((what, done, total)))
    assert [(done, total) for _, done, total in heard] == [(1, 3), (2, 3), (3, 3)]
    assert all("pair accuracy" in what for what, _, _ in heard)


@pytest.mark.parametrize("recipe", [QUICK, PUBLISHED], ids=["own", "published"])
def test_who_was_in_no_battle_is_unknown(recipe: MFRecipe) -> None:
    lessons, vectors = battles(40, members=3, dimensions=6)
    assert lessons.battles is not None
    told = replace(lessons.battles, members=(*lessons.battles.members, "silent"))
    assert vectors.battles is not None
    found = quality(recipe, Lessons(battles=told), vectors, vectors.battles[:2])
    assert np.isnan(found[:, 3]).all()
    assert np.isfinite(found[:, :3]).all()


def test_ties_alone_teach_nothing() -> None:
    told = Lessons(outcomes(np.ones((4, 2)), ("a", "b")))
    with pytest.raises(ConfigError, match="all 4 battles are ties"):
        QUICK.fit(told, Vectors(outcomes=np.eye(4, dtype=np.float32)), silent)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch": 0}, {"dimensions": 0}, {"held_back": 1.0}])
def test_settings_that_train_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(QUICK, **wrong)  # type: ignore[arg-type]
