"""Route: who is asked, what is recorded, what happens when the chosen one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from scripted_committee import Cast, ask

from coterie import Committee, ConfigError, Limits, NoAnswer, PeerBlend, Price, Reply, Trace, Usage, replay
from coterie.decisions import Best, Budget, CheapestAbove, Sample, Threshold, Utility
from coterie.errors import RouterError
from coterie.methods.best_of import BestOf
from coterie.methods.route import Route
from coterie.policies import FirstK, FullRanking, RandomPick
from coterie.prospects import Prospect, Prospects, Scale
from coterie.protocols import Decision, Method, Run
from coterie.run import AnswerPiece, AnswerReset
from coterie.trace import CallStarted, ChoiceMade, ProspectsGiven, WorkDone
from coterie.types import FailureKind, Request
from told_router import Away, Slow, Told

NAMES = ("ann", "bob", "cat")
BOB_BEST = Told({"ann": 0.2, "bob": 0.9, "cat": 0.5})
DOWN = Reply(fail=FailureKind.HTTP, error="it is down")


def cast() -> list[Cast]:
    return [Cast("ann", "aa"), Cast("bob", "bbb"), Cast("cat", "c")]


def test_only_the_chosen_member_is_asked() -> None:
    players = cast()
    asked = ask(players, Route(BOB_BEST, NAMES))
    assert (asked.answer.text, asked.answer.how, asked.answer.usage.calls) == ("bbb", "routed", 1)
    assert [len(player.asked) for player in players] == [0, 1, 0]


def test_the_trace_says_why() -> None:
    asked = ask(cast(), Route(BOB_BEST, NAMES))
    [given], [made] = asked.trace.of(ProspectsGiven), asked.trace.of(ChoiceMade)
    assert given.prospects.of("bob") == Prospect("bob", 0.9)
    assert given.prospects.basis == "what it was told"
    assert made.choice.order == ("bob", "cat", "ann")
    assert made.choice.reason == "bob has the highest expected quality, 0.9"
    assert (asked.answer.prospects, asked.answer.choice) == (given.prospects, made.choice)
    assert asked.answer.to_json()["choice"]["order"] == ("bob", "cat", "ann")


def test_the_router_is_on_the_critical_path() -> None:
    asked = ask(cast(), Route(BOB_BEST, NAMES))
    [work] = asked.trace.of(WorkDone)
    [call] = asked.trace.of(CallStarted)
    assert (work.actor, work.stage) == ("Told", "route")
    assert asked.trace.critical_path.calls == (work.work, call.call)


def test_a_chosen_member_that_fails_is_followed_by_the_next() -> None:
    players = [Cast("ann", "aa"), Cast("bob", DOWN), Cast("cat", DOWN)]
    asked = ask(players, Route(BOB_BEST, NAMES))
    assert (asked.answer.text, asked.answer.how) == ("aa", "routed")
    assert [failure.member for failure in asked.answer.failures] == ["bob", "cat"]
    assert asked.answer.notes == (
        "bob was chosen and failed (it is down), so cat is asked",
        "cat was chosen and failed (it is down), so ann is asked",
    )


def test_where_all_fail_there_is_no_answer() -> None:
    with pytest.raises(
        NoAnswer, match=r"none of 3 members answered \(bob: it is down; cat: it is down; ann: it is down"
    ):
        ask([Cast(name, DOWN) for name in NAMES], Route(BOB_BEST, NAMES))


def test_a_budget_of_calls_holds_for_the_followers_too() -> None:
    with pytest.raises(NoAnswer, match="max_calls=1 is spent"):
        ask([Cast(name, DOWN) for name in NAMES], Route(BOB_BEST, NAMES), Limits(max_calls=1))


@pytest.mark.parametrize("decision", [Best(), Budget(0.01), CheapestAbove(), Sample(), Threshold(), Utility(1.0)])
def test_a_router_that_cannot_say_anything_costs_no_answer(decision: Decision) -> None:
    """Whatever the decision weighs, and where no price is known either."""
    asked = ask(cast(), Route(Away(), NAMES, decision))
    assert (asked.answer.text, asked.answer.how) == ("aa", "routed")
    assert asked.answer.notes == ("the router could not say anything: its encoder is away",)
    assert asked.answer.choice is not None
    assert asked.answer.choice.reason == "nothing is known of any member, so the pool's order decides"


def test_a_router_that_takes_all_the_time_leaves_half_of_it_for_the_answer() -> None:
    asked = ask(cast(), Route(Slow(30.0), NAMES), Limits(deadline_s=0.4))
    assert (asked.answer.text, asked.answer.timing.wall_s < 0.4) == ("aa", True)
    assert asked.answer.notes == ("the router could not say anything: it took more than 50% of the request's time",)


def test_a_member_that_the_router_does_not_know_is_asked_last() -> None:
    asked = ask(cast(), Route(Told({"cat": 0.1}), NAMES))
    assert asked.answer.text == "c"
    assert asked.answer.prospects is not None
    assert asked.answer.prospects.of("ann").quality is None


def test_costs_come_from_prices_and_expected_tokens() -> None:
    players = cast()
    prices = {"ann": Price(1.0, 10.0), "bob": Price(0.0, 0.0), "cat": None}
    pool = [player.member(price=prices[player.name]) for player in players]
    asked = ask(pool, Route(Told(dict.fromkeys(NAMES, 0.5), output_tokens=100.0), NAMES))
    assert asked.answer.prospects is not None
    ann, bob, cat = (asked.answer.prospects.of(name).cost_usd for name in NAMES)
    assert ann == pytest.approx((len("What is the capital of France?") // 4 + 1 + 1000) / 1e6, rel=0.02)
    assert (bob, cat) == (0.0, None)
    unheard = ask(pool, Route(Told(dict.fromkeys(NAMES, 0.5)), NAMES)).answer.prospects
    assert unheard is not None
    assert [unheard.of(name).cost_usd for name in NAMES] == [None, 0.0, None]


def test_a_decision_that_cannot_decide_says_so() -> None:
    with pytest.raises(ConfigError, match="give the members a price"):
        ask(cast(), Route(BOB_BEST, NAMES, Utility(1.0)))


def test_who_would_be_asked_is_told_without_asking() -> None:
    players = cast()
    methods: dict[str, Method] = {"default": Route(BOB_BEST, NAMES), "all": BestOf(NAMES)}
    with Committee([player.member(price=Price(0.0, 0.0)) for player in players], methods) as committee:
        prospects, choice = committee.route("Who?")
        with pytest.raises(ConfigError, match="it is a best_of, not a route; methods that route: default"):
            committee.route("Who?", "all")
    assert choice.order == ("bob", "cat", "ann")
    assert prospects.of("bob") == Prospect("bob", 0.9, 0.0)
    assert [player.asked for player in players] == [[], [], []]


# ---- then -------------------------------------------------------------------------------------


def test_a_method_answers_over_the_chosen_ones() -> None:
    players = cast()
    asked = ask(players, Route(BOB_BEST, decision=Best(), take=2, then=PeerBlend(NAMES, top_k=2, aggregator="ann")))
    assert asked.answer.how == "fused"
    assert {c.author for c in asked.answer.candidates} == {"bob", "cat"}
    assert [bool(player.prompts("generate")) for player in players] == [False, True, True]
    assert [bool(player.prompts("fuse")) for player in players] == [True, False, False]


def test_where_all_chosen_fail_the_others_answer() -> None:
    players = [Cast("ann", "aa"), Cast("bob", DOWN), Cast("cat", DOWN)]
    asked = ask(players, Route(BOB_BEST, NAMES, take=2, then=BestOf(NAMES)))
    assert (asked.answer.text, asked.answer.how) == ("aa", "only")
    assert "none of bob, cat answered, who were chosen, so the others were asked" in asked.answer.notes


@pytest.mark.parametrize("then", [None, BestOf(NAMES)])
def test_nobody_to_choose_from(then: Any) -> None:
    with pytest.raises(NoAnswer, match="no members to ask"):
        ask(cast(), Route(BOB_BEST, ()))


def test_odd_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="name in `then`"):
        Route(BOB_BEST, NAMES, take=2)
    with pytest.raises(ValueError, match="take must be at least 1"):
        Route(BOB_BEST, NAMES, take=0)
    with pytest.raises(ConfigError, match="stand once each"):
        Route(BOB_BEST, ("ann", "ann"))
    with pytest.raises(ConfigError, match="keep one of them"):
        Route(BOB_BEST, then=PeerBlend(NAMES, policy=_remembering()))
    assert Route(BOB_BEST, then=PeerBlend(NAMES, policy=FullRanking())).pool == NAMES
    assert Route(BOB_BEST, then=PeerBlend(NAMES, policy=FirstK())).asks == NAMES
    assert Route(BOB_BEST, then=PeerBlend(NAMES, policy=RandomPick())).asks == NAMES


def _remembering() -> Any:
    from coterie import DynamicElimination

    return DynamicElimination()


# ---- streams and replays ----------------------------------------------------------------------


def test_the_answer_streams_while_it_is_written() -> None:
    written = Reply("one two three", pieces=3)

    async def work() -> list[Any]:
        pool = [Cast("ann", written).member(), Cast("bob").member()]
        async with Committee(pool, {"default": Route(Told({"ann": 1.0}), ("ann", "bob"))}) as committee:
            return [item async for item in committee.astream("?")]

    items = asyncio.run(work())
    assert "".join(item.text for item in items if isinstance(item, AnswerPiece)) == "one two three"
    assert not any(isinstance(item, AnswerReset) for item in items)


def test_a_chosen_one_that_breaks_off_is_withdrawn() -> None:
    broken = Reply("half an ans", fail=FailureKind.TRUNCATED, error="it broke off")

    async def work() -> list[Any]:
        pool = [Cast("ann", broken).member(), Cast("bob", "whole").member()]
        async with Committee(pool, {"default": Route(Told({"ann": 1.0, "bob": 0.5}), ("ann", "bob"))}) as committee:
            return [item async for item in committee.astream("?")]

    items = asyncio.run(work())
    kinds = [type(item) for item in items if isinstance(item, AnswerPiece | AnswerReset)]
    assert kinds == [AnswerPiece, AnswerReset, AnswerPiece]
    assert items[-1].text == "whole"


def test_a_replay_goes_by_what_the_router_said_then(tmp_path: Path) -> None:
    asked = ask(cast(), Route(BOB_BEST, NAMES, Threshold(0.7, ("cat", "ann", "bob"))))
    asked.trace.save(tmp_path / "run.jsonl")
    loaded = Trace.load(tmp_path / "run.jsonl")
    assert loaded.events == asked.trace.events


def test_a_replayed_route_asks_neither_router_nor_member() -> None:
    """`Counting` and other routers made in code cannot be rebuilt from a trace; one of the registry can."""
    players = cast()
    made = Route(_registered(), NAMES, Sample())
    asked = ask(players, made, seed=11)
    calls = [len(player.asked) for player in players]
    again = replay(asked.trace)
    assert (again.text, again.how, again.choice) == (asked.answer.text, "routed", asked.answer.choice)
    assert again.prospects == asked.answer.prospects
    assert (again.usage, [len(player.asked) for player in players]) == (Usage(), calls)


def _registered() -> Any:
    from coterie.specs import build

    return build("routers", "random")


def test_another_decision_on_the_same_prospects() -> None:
    players = [player.member(price=Price(1.0, 1.0)) for player in cast()]
    made = Route(_registered(), NAMES)
    asked = ask(players, made)
    again = replay(asked.trace, {"decision": {"kind": "best"}})
    assert again.choice is not None
    assert again.choice.order[0] == asked.answer.candidate.author
    with pytest.raises(ConfigError, match="both are known"):
        replay(asked.trace, {"decision": {"kind": "budget", "usd": 1.0}})


# ---- a router that cannot be opened -----------------------------------------------------------


@dataclass(frozen=True)
class Gone:
    """What a router needs, and is out of reach; it counts who tried."""

    tries: list[str] = field(default_factory=list, hash=False, compare=False)
    works: bool = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        self.tries.append("")
        if not self.works:
            raise RouterError("its endpoint is away")
        yield "here"


@dataclass(frozen=True)
class Needing:
    """Expects something, once what it needs is open."""

    gone: Gone

    @property
    def opens(self) -> tuple[Gone, ...]:
        return (self.gone,)

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        await run.open(self.gone)
        return Prospects("needing", Scale.SCORE, tuple(Prospect(member, 0.5) for member in members))


def test_a_router_that_cannot_be_opened_costs_no_answer_and_is_not_tried_by_every_request() -> None:
    gone = Gone()
    with Committee([player.member() for player in cast()], {"default": Route(Needing(gone), NAMES)}) as committee:
        for _ in range(3):
            answer = committee.ask("Who?")
            assert answer.text == "aa"
            assert answer.notes == ("the router could not say anything: its endpoint is away",)
        _, choice = committee.route("Who?")
    assert choice.reason == "nothing is known of any member, so the pool's order decides"
    assert len(gone.tries) == 1


def test_a_router_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coterie.opened.ROUTER_RETRY_S", 0.0)
    gone = Gone()
    with Committee([player.member() for player in cast()], {"default": Route(Needing(gone), NAMES)}) as committee:
        assert committee.ask("Who?").notes
        object.__setattr__(gone, "works", True)
        assert not committee.ask("Who?").notes
    assert len(gone.tries) == 2
