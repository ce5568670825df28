"""Routers that know nothing: blending by weight, always the same one, anybody."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from learning_bench import Bench

from coterie.decisions import Best, Sample, Threshold
from coterie.errors import ConfigError
from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.prospects import Choice, Prospects
from coterie.protocols import Decision, Router
from coterie.routers.always import Always
from coterie.routers.artifact import opened, save
from coterie.routers.blending import Blending
from coterie.routers.blending_router import BlendingRecipe, BlendingRouter
from coterie.routers.forecast import Kept, Queries, Vectors
from coterie.routers.random import Random
from coterie.routers.weights import Weights
from coterie.types import Request

POOL = ("a", "b", "c")


def foretold(router: Router, seed: int = 0, members: Sequence[str] = POOL) -> Prospects:
    return asyncio.run(router.forecast(Request.of("hello"), members, Bench().run(seed=seed, members=members)))


def chosen(router: Router, decision: Decision, seeds: int, members: Sequence[str] = POOL) -> list[Choice]:
    """One choice for each seed, drawn as a run draws it."""

    async def main() -> list[Choice]:
        found = []
        for seed in range(seeds):
            run = Bench().run(seed=seed, members=members)
            said = await router.forecast(Request.of("hello"), members, run)
            found.append(decision.choose(said, run.rng("decision")))
        return found

    return asyncio.run(main())


def chi_squared(choices: Sequence[Choice], expected: Mapping[str, float]) -> float:
    counts = Counter(choice.order[0] for choice in choices)
    assert set(counts) <= set(expected)
    return sum((counts[m] - len(choices) * share) ** 2 / (len(choices) * share) for m, share in expected.items())


CRITICAL = 13.82
"""Of chi squared with two degrees of freedom: exceeded once in a thousand."""


@pytest.mark.parametrize(
    ("weights", "shares"),
    [({}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}), ({"a": 1, "b": 2, "c": 5}, {"a": 0.125, "b": 0.25, "c": 0.625})],
    ids=["even", "weighted"],
)
def test_choices_are_distributed_as_the_weights_are(weights: dict[str, float], shares: dict[str, float]) -> None:
    choices = chosen(Blending(weights), Sample(), 1500)
    assert chi_squared(choices, shares) < CRITICAL
    other = {"a": shares["b"], "b": shares["c"], "c": shares["a"]} if weights else {"a": 0.4, "b": 0.3, "c": 0.3}
    assert chi_squared(choices, other) > CRITICAL  # the test can tell
    assert all(choice.probability == pytest.approx(shares[choice.order[0]]) for choice in choices)


def test_a_seed_draws_the_same_members_again() -> None:
    one, again = (chosen(Blending(), Sample(), 40) for _ in range(2))
    assert one == again
    assert len({choice.order for choice in one}) == 6  # in any order


def test_weights_are_shares_of_the_pool_there_is() -> None:
    def shares(weights: dict[str, float], members: Sequence[str] = POOL) -> list[float | None]:
        return [prospect.quality for prospect in foretold(Blending(weights), members=members).members]

    assert shares({"a": 3, "b": 1, "c": 4}, ("a", "b")) == [0.75, 0.25]
    assert shares({"a": 3, "b": 1}) == [0.75, 0.25, None]
    assert shares({"a": 0, "b": 0, "c": 1}, ("a", "b")) == [0.5, 0.5]
    assert shares({"elsewhere": 1}) == [None, None, None]
    assert shares({}, ("only",)) == [1.0]


@pytest.mark.parametrize("wrong", [{"a": -1}, {"a": math.nan}, {"a": math.inf}, {"a": 0, "b": 0}])
def test_what_are_no_weights_is_refused(wrong: dict[str, float]) -> None:
    for make in (Weights, Blending, lambda weights: BlendingRouter(("a",), weights)):
        with pytest.raises(ValueError, match="weight"):
            make(wrong)


def test_always_is_always_the_same_one() -> None:
    assert Best().choose(foretold(Always("b")), None).order == ("b", "a", "c")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="always 'x' cannot choose among"):
        foretold(Always("x"))


def test_random_is_anybody_under_any_decision() -> None:
    even = dict.fromkeys(POOL, 1 / 3)
    assert chi_squared(chosen(Random(), Best(), 1500), even) < CRITICAL
    shares = []
    for at in (0.2, 0.5, 0.8):
        choices = chosen(Random(), Threshold(at, order=("a", "b")), 1000, ("a", "b"))
        shares.append(sum(choice.order[0] == "b" for choice in choices) / len(choices))
    # The difference of two even numbers is above 2t - 1 with 1 - 2t² up to t = 1/2, and 2 (1 - t)² from there.
    assert shares == pytest.approx([1 - 2 * 0.2**2, 0.5, 2 * 0.2**2], abs=0.05)


def test_random_draws_the_same_for_a_member_whoever_stands_beside_it() -> None:
    alone, among = foretold(Random(), 7, ("b",)), foretold(Random(), 7)
    assert alone.of("b") == among.of("b")
    assert foretold(Random(), 7) == among != foretold(Random(), 8)


# ---- fitted ----


def lessons(scores: Sequence[Sequence[float]]) -> Lessons:
    table = np.array(scores, dtype=np.float64)
    unknown = np.full(table.shape, math.nan)
    return Lessons(Outcomes(POOL[: table.shape[1]], tuple(map(str, range(len(table)))), table, unknown, unknown))


def fit(recipe: BlendingRecipe, of: Lessons) -> list[float]:
    row: list[float] = recipe.fit(of, Vectors(), lambda *_: None).forecast(Queries(("x", "y"))).quality[1].tolist()
    return row


def test_it_is_fitted_to_even_weights_or_to_scores() -> None:
    of = lessons([[0.2, math.nan, 0.5], [0.4, 0.6, 0.5]])
    assert fit(BlendingRecipe(), of) == pytest.approx([1 / 3] * 3)
    assert fit(BlendingRecipe("score"), of) == pytest.approx([0.3 / 1.4, 0.6 / 1.4, 0.5 / 1.4])
    battles = Battles(("a", "b"), ("p",), np.zeros(1, int), np.ones(1, int), np.ones(1))
    assert fit(BlendingRecipe(), Lessons(battles=battles)) == [0.5, 0.5]


def test_what_makes_no_weights_is_refused() -> None:
    battles = Battles(("a", "b"), ("p",), np.zeros(1, int), np.ones(1, int), np.ones(1))
    for of in (lessons([[-1.0, 1.0]]), lessons([[0.0, 0.0]]), Lessons(battles=battles)):
        with pytest.raises(ConfigError, match="cannot be weights"):
            fit(BlendingRecipe("score"), of)
    with pytest.raises(ConfigError, match="at least two members"):
        fit(BlendingRecipe(), lessons([[1.0]]))


def test_an_artifact_gives_the_same_weights(tmp_path: Path) -> None:
    router = BlendingRouter(POOL, {"a": 1.0, "b": 3.0})
    save(router, tmp_path / "router")
    again = opened(tmp_path / "router").fitted
    quality = again.forecast(Queries(("x",))).quality
    assert np.array_equal(quality, router.forecast(Queries(("x",))).quality, equal_nan=True)
    assert quality[0, :2].tolist() == [0.25, 0.75]
    assert math.isnan(quality[0, 2])
    with pytest.raises(ConfigError, match="no blending router"):
        BlendingRouter.load(Kept(POOL, {"weights": {"a": "much"}}, {}, tmp_path))
