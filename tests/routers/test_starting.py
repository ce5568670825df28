"""A learner that begins with an artifact: what its members spent there is expected of them here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from learning_bench import bench

import tiny_outcomes
from coterie import Committee, ScriptedMember
from coterie.decisions import Budget
from coterie.encoders.static import Static
from coterie.errors import ConfigError
from coterie.methods.route import Route
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.prospects import Prospects
from coterie.protocols import Router
from coterie.routers.artifact import About, save
from coterie.routers.eagle_learner import Eagle
from coterie.routers.forecast import Vectors
from coterie.routers.metallm import MetaLLM
from coterie.routers.metallm_recipe import MetaLLMRecipe
from coterie.routers.pickllm import PickLLM
from coterie.routers.pickllm_recipe import PickLLMRecipe
from coterie.routers.spending import Spending
from coterie.routers.starting import StartSpending
from coterie.training.routing.eagle import EagleRecipe
from coterie.types import Price, Request

MEMBERS = ("small", "large")

SPENDING = Spending({"small": 1_000.0, "large": 1_000.0}, {"small": 0.5, "large": 0.7})


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Router]:
    """A learner of each kind that begins with an artifact."""
    folder = tmp_path_factory.mktemp("starts")
    scores = np.array([[0.0, 1.0]] * 8)
    unknown = np.full(scores.shape, np.nan)
    lessons = Lessons(Outcomes(MEMBERS, tuple(f"question {n}" for n in range(8)), scores, unknown, unknown))
    (folder / "encoder").mkdir()
    encoder = Static(tiny_outcomes.table(folder / "encoder"))
    vectors = Vectors(np.eye(12, dtype=np.float32)[:8])
    about = About(encoder, spending=SPENDING)
    save(MetaLLMRecipe().fit(lessons, vectors, lambda *_: None), folder / "metallm", about)
    save(EagleRecipe().fit(lessons, vectors, lambda *_: None), folder / "eagle", about)
    save(PickLLMRecipe().fit(lessons, Vectors(), lambda *_: None), folder / "pickllm", About(spending=SPENDING))
    return {
        "eagle": Eagle(encoder=encoder, start=str(folder / "eagle")),
        "metallm": MetaLLM(encoder=encoder, start=str(folder / "metallm")),
        "pickllm": PickLLM(start=str(folder / "pickllm")),
    }


def foretold(router: Router, **prices: Price) -> Prospects:
    async def go() -> Prospects:
        async with bench() as at:
            at.prices.update(prices)
            return await router.forecast(Request.of("which?"), (*MEMBERS, "new"), at.run(members=(*MEMBERS, "new")))

    return asyncio.run(go())


@pytest.mark.parametrize("kind", ["eagle", "metallm", "pickllm"])
def test_tokens_and_costs_are_those_of_the_artifact(kind: str, starts: dict[str, Router]) -> None:
    said = foretold(starts[kind], small=Price(1.0, 2.0))
    assert [prospect.output_tokens for prospect in said.members] == [1_000.0, 1_000.0, None]
    # The small one's cost follows from its price, in the run; of the large one no price is known.
    assert [prospect.cost_usd for prospect in said.members] == [None, 0.7, None]


def test_a_budget_can_be_kept_from_the_first_question_on(starts: dict[str, Router]) -> None:
    pool = [ScriptedMember("small", ("s",), price=Price(1.0, 2.0)), ScriptedMember("large", ("l",))]
    for usd, chosen in ((0.01, "small"), (1.0, "large")):
        with Committee(pool, {"default": Route(starts["pickllm"], MEMBERS, Budget(usd))}) as committee:
            prospects, choice = committee.route("which?")
        assert prospects.of("small").cost_usd == pytest.approx(0.002, abs=1e-4)
        assert choice.order[0] == chosen


def test_a_folder_that_does_not_say_it_is_refused(tmp_path: Path) -> None:
    async def go() -> None:
        async with StartSpending(str(tmp_path)).open():
            pass

    for content in (None, "", "[]", "{}", '{"spending": {}}'):
        if content is not None:
            (tmp_path / "router.json").write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError):
            asyncio.run(go())
