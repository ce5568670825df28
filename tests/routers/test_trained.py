"""The part that serves artifacts: what it reads, what it says of strangers, and which encoder it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning_bench import Bench, bench

import tiny_outcomes
from coterie import Committee, ScriptedMember
from coterie.encoders.static import Static
from coterie.errors import ConfigError
from coterie.methods.route import Route
from coterie.outcomes.outcome import Lessons
from coterie.prospects import Prospects
from coterie.routers.artifact import About, save
from coterie.routers.forecast import Fitted, Queries, Vectors
from coterie.routers.knn import KnnRouter
from coterie.routers.knn_rules import KnnRules
from coterie.routers.length import LengthRecipe
from coterie.routers.spending import Spending
from coterie.routers.trained import Trained
from coterie.specs import build, describe
from coterie.types import Message, Price, Request

MEMBERS = ("small", "large")


def length() -> Fitted:
    return LengthRecipe().fit(tiny_outcomes.lessons(), Vectors(), lambda *_: None)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Static:
    return Static(tiny_outcomes.table(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def neighbours(encoder: Static, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact that reads vectors: what begins with "z" is hard for the small one."""
    vectors = np.eye(12, dtype=np.float32)[[1, 2]]
    router = KnnRouter.fit(MEMBERS, KnnRules(k=1), vectors, np.array([[0.0, 1.0], [1.0, 1.0]]))
    folder = tmp_path_factory.mktemp("artifact") / "knn"
    save(router, folder, About(encoder))
    return folder


def asked(router: Trained, request: Request, members: Sequence[str] = MEMBERS, **prices: Price) -> Prospects:
    async def go() -> Prospects:
        async with bench() as at:
            at.prices.update(prices)
            return await router.forecast(request, members, at.run(members=members))

    return asyncio.run(go())


def test_prospects_are_what_the_router_forecasts(tmp_path: Path) -> None:
    router = length()
    save(router, tmp_path / "out")
    said = asked(Trained(str(tmp_path / "out")), Request.of("how long is this?"), ("large", "small"))
    wanted = router.forecast(Queries(("how long is this?",))).quality[0]
    assert (said.router, said.scale) == ("length", router.scale)
    assert [(prospect.member, prospect.quality) for prospect in said.members] == [
        ("large", wanted[1]),
        ("small", wanted[0]),
    ]


def test_of_a_conversation_the_last_user_turn_is_read(tmp_path: Path) -> None:
    save(length(), tmp_path / "out")
    router = Trained(str(tmp_path / "out"))
    turns = [
        Message("system", "Be brief."),
        Message("user", "x" * 900),
        Message("assistant", "y"),
        Message("user", "z"),
    ]
    whole = asked(router, Request(tuple(turns)))
    assert whole == asked(router, Request.of("z"))
    assert whole != asked(router, Request.of("z" * 900))
    assert all(prospect.quality is not None for prospect in asked(router, Request((Message("system", "x"),))).members)
    assert asked(router, Request.of("\ud800")) == asked(router, Request.of("\N{REPLACEMENT CHARACTER}"))


def test_a_member_that_came_later_has_no_quality_and_one_that_left_is_left_out(tmp_path: Path) -> None:
    save(length(), tmp_path / "out", About(spending=Spending({"large": 5.0}, {"new": 3.0})))
    said = asked(Trained(str(tmp_path / "out")), Request.of("x"), ("new", "large"))
    new, large = said.members
    assert (new.member, new.quality, new.cost_usd, new.output_tokens) == ("new", None, None, None)
    assert large.quality is not None
    assert large.output_tokens == 5.0
    assert said.basis == "not trained on new"


def test_a_member_without_a_known_score_has_no_quality(tmp_path: Path) -> None:
    known = tiny_outcomes.lessons().outcomes
    assert known is not None
    scores = np.stack([np.full(len(known), np.nan), np.arange(len(known)) % 2], axis=1)
    save(LengthRecipe().fit(Lessons(replace(known, scores=scores)), Vectors(), lambda *_: None), tmp_path / "out")
    said = asked(Trained(str(tmp_path / "out")), Request.of("x"))
    assert [prospect.quality is None for prospect in said.members] == [True, False]


def test_costs_are_left_to_the_price_where_that_can_tell(tmp_path: Path) -> None:
    save(length(), tmp_path / "out", About(spending=Spending({"small": 8.0}, {"small": 0.25, "large": 0.5})))
    router = Trained(str(tmp_path / "out"))

    def costs(**prices: Price) -> list[float | None]:
        return [prospect.cost_usd for prospect in asked(router, Request.of("x"), MEMBERS, **prices).members]

    paid = Price(1.0, 1.0)
    assert costs() == [0.25, 0.5]
    assert costs(small=paid, large=paid) == [None, 0.5]
    assert costs(small=Price(0.0, 0.0), large=Price(0.0, 0.0)) == [None, None]


def test_vectors_come_from_the_artifacts_encoder_or_an_equal_one(neighbours: Path, encoder: Static) -> None:
    for router in (Trained(str(neighbours)), Trained(str(neighbours), encoder)):
        hard, easy = (asked(router, Request.of(text)) for text in ("z", "a"))
        assert [hard.of(member).quality for member in MEMBERS] == [0.0, 1.0]
        assert [easy.of(member).quality for member in MEMBERS] == [1.0, 1.0]


def test_an_encoder_of_other_vectors_is_refused(neighbours: Path, encoder: Static) -> None:
    with pytest.raises(ConfigError, match="cannot be compared with them"):
        asked(Trained(str(neighbours), replace(encoder, max_tokens=3)), Request.of("z"))


def test_a_router_that_reads_no_vectors_opens_no_encoder(tmp_path: Path) -> None:
    save(length(), tmp_path / "out")
    assert asked(Trained(str(tmp_path / "out"), Static("/nowhere")), Request.of("z")).members[0].quality is not None


def test_an_artifact_is_opened_once(neighbours: Path, tmp_path: Path) -> None:
    save(length(), tmp_path / "out")

    async def go(at: Bench, path: Path) -> Prospects:
        router = Trained(str(path))
        return await router.forecast(Request.of("z"), MEMBERS, at.run(members=MEMBERS))

    async def main() -> None:
        async with bench() as at:
            first = await go(at, tmp_path / "out")
            for file in (tmp_path / "out").iterdir():
                file.unlink()
            assert await go(at, tmp_path / "out") == first
            with pytest.raises(ConfigError, match="holds no router"):
                await go(at, tmp_path / "other")

    asyncio.run(main())


def test_it_stands_in_a_configuration(neighbours: Path, encoder: Static) -> None:
    plain = {"kind": "trained", "path": "routers/mine", "encoder": {"kind": "static", "model": encoder.model}}
    assert build("routers", plain) == Trained("routers/mine", encoder)
    assert build("routers", describe("routers", Trained("x"))) == Trained("x")


def test_a_route_asks_whom_the_artifact_expects_most_of(neighbours: Path) -> None:
    pool = [ScriptedMember(name, (f"{name} says",)) for name in ("large", "small", "new")]
    pool_names = ("small", "large", "new")
    with Committee(pool, {"default": Route(Trained(str(neighbours)), pool_names)}) as committee:
        hard = committee.ask("z")
        assert hard.candidate.author == "large"
        assert hard.prospects is not None
        assert hard.prospects.router == "knn"
        assert "not trained on new" in hard.prospects.basis
        assert committee.ask("a").candidate.author == "small"


def test_its_artifact_is_opened_ahead_of_a_request(tmp_path: Path) -> None:
    router = Trained(str(tmp_path / "absent"))
    [folder] = router.opens
    assert folder.path == router.path
    with (
        Committee([ScriptedMember("small", ("s",))], {"default": Route(router, ("small",))}) as committee,
        pytest.raises(ConfigError, match="holds no router"),
    ):
        committee.ask("?")
