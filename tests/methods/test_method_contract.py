"""What every method in the registry promises, built from the least that a configuration can say."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_committee import LONGER_IS_BETTER, QUESTION, Cast, Stage, ask, stage_of

from coterie import (
    Answer,
    Committee,
    Limits,
    NoAnswer,
    Price,
    Reply,
    Request,
    ScriptedMember,
    Trace,
    Usage,
    registry,
    replay,
)
from coterie.members.scripted import ScriptedModel
from coterie.protocols import Method
from coterie.specs import build, describe
from coterie.trace import AnswerGiven, CallFailed, CallFinished, CallStarted, CandidateOffered
from coterie.types import BallotMode, FailureKind, Judgement

NAMES = ("ann", "bob", "cat")
STAGES: tuple[Stage, ...] = ("generate", "review", "fuse")

CHOOSING = {"route"}
"""Methods that choose who is asked before anybody is."""

every_method = pytest.mark.parametrize("kind", sorted(registry.known("methods")))
every_committee = pytest.mark.parametrize("kind", sorted(set(registry.known("methods")) - CHOOSING))
"""Methods that ask all their members."""


def least(kind: str, members: tuple[str, ...] = NAMES) -> Method:
    router = {"router": "random"} if kind in CHOOSING else {}
    method: Method = build("methods", {"kind": kind, "members": list(members), **router})
    return method


def cast() -> list[Cast]:
    return [Cast("ann", "aa"), Cast("bob", "bbb"), Cast("cat", "c")]


def without_calls(answer: Answer) -> list[Judgement]:
    """What was said, without the ids of calls: these are counted in the order in which answers came."""
    return [replace(judgement, calls=()) for judgement in answer.judgements]


def spent(trace: Trace) -> Usage:
    """The sum of what the events say."""
    outcomes = [event.completion.usage for event in trace.of(CallFinished)]
    outcomes += [event.failure.usage for event in trace.of(CallFailed)]
    return sum(outcomes, Usage())


# ---- the answer -------------------------------------------------------------------------------


@every_method
def test_the_answer_is_a_candidate_in_the_trace(kind: str) -> None:
    asked = ask(cast(), least(kind))
    offered = {event.candidate.id: event.candidate for event in asked.trace.of(CandidateOffered)}
    [given] = asked.trace.of(AnswerGiven)
    assert offered[given.candidate] == asked.answer.candidate
    assert asked.answer.text == asked.answer.candidate.text
    assert given.how == asked.answer.how
    assert (given.partial, asked.answer.partial) == (False, False)
    assert asked.trace.finished is not None
    assert asked.trace.finished.status == "answered"
    assert asked.answer.failures == ()
    assert asked.active == 0


@every_committee
def test_the_members_answers_are_all_there_by_author(kind: str) -> None:
    asked = ask(cast(), least(kind))
    assert {c.author: c.text for c in asked.answer.candidates} == {"ann": "aa", "bob": "bbb", "cat": "c"}
    assert min(c["rank"] for c in asked.answer.to_json()["candidates"]) == 1


@every_committee
def test_every_member_gets_the_request_as_it_was_asked(kind: str) -> None:
    players = cast()
    ask(players, least(kind))
    assert [player.prompts("generate") for player in players] == [[QUESTION]] * 3


@every_method
def test_a_seed_repeats_the_answer(kind: str) -> None:
    first, second = ask(cast(), least(kind), seed=7), ask(cast(), least(kind), seed=7)
    assert first.answer.candidate == second.answer.candidate
    assert first.answer.judgements == second.answer.judgements
    assert first.answer.ranking == second.answer.ranking


@every_method
def test_one_member_answers_alone(kind: str) -> None:
    player = Cast("ann", "Paris")
    asked = ask([player], least(kind, ("ann",)))
    assert (asked.answer.text, asked.answer.how, asked.answer.usage.calls) == ("Paris", "only", 1)
    assert len(player.asked) == 1


@every_committee
def test_one_member_left_of_three_answers_alone(kind: str) -> None:
    failing = [Cast(name, Reply(fail=FailureKind.HTTP, error=f"{name} is down")) for name in ("ann", "cat")]
    asked = ask([failing[0], Cast("bob", "Paris"), failing[1]], least(kind))
    assert (asked.answer.text, asked.answer.how) == ("Paris", "only")
    assert sorted((f.member, f.error) for f in asked.answer.failures) == [
        ("ann", "ann is down"),
        ("cat", "cat is down"),
    ]


@every_committee
def test_the_same_model_under_two_names_is_two_members(kind: str) -> None:
    asked = ask([Cast("one", "Paris"), Cast("two", "Paris")], least(kind, ("one", "two")))
    assert [c.author for c in asked.answer.candidates] == ["one", "two"]
    assert asked.answer.text in ("Paris", "fused")


@every_committee
def test_a_committee_of_thirty_answers(kind: str) -> None:
    names = tuple(f"m{n}" for n in range(30))
    asked = ask([Cast(name) for name in names], least(kind, names))
    assert len(asked.answer.candidates) == 30
    assert asked.answer.failures == ()


# ---- no answer --------------------------------------------------------------------------------


@every_committee
def test_when_all_fail_there_is_no_answer_and_everybody_is_named(kind: str) -> None:
    players = [Cast(name, Reply(fail=FailureKind.HTTP, error=f"{name} is down")) for name in NAMES]
    traces: list[Trace] = []
    with pytest.raises(NoAnswer) as caught, Committee([p.member() for p in players], {"default": least(kind)}) as c:
        c.ask(QUESTION, on_trace=traces.append)
    assert [(f.member, f.error) for f in caught.value.failures] == [(name, f"{name} is down") for name in NAMES]
    assert str(caught.value) == ("none of 3 members answered (ann: ann is down; bob: bob is down; cat: cat is down)")
    [trace] = traces
    assert trace.finished is not None
    assert (trace.finished.status, trace.finished.error) == ("no_answer", str(caught.value))
    assert list(trace.of(CandidateOffered)) == []
    assert trace.finished.usage.calls == 3


@every_method
def test_empty_answers_are_failures_and_not_candidates(kind: str) -> None:
    with (
        pytest.raises(NoAnswer),
        Committee([Cast(n, Reply("  ")).member() for n in NAMES], {"default": least(kind)}) as c,
    ):
        c.ask(QUESTION)


@every_method
def test_a_method_without_members_says_so(kind: str) -> None:
    with pytest.raises(NoAnswer, match="the method has no members to ask"):
        ask([Cast("ann")], replace(least(kind), members=()))  # type: ignore[type-var]


# ---- what it costs ----------------------------------------------------------------------------


@every_committee
@pytest.mark.parametrize("price", [None, Price(1.0, 2.0), Price(0.0, 0.0)])
def test_it_spends_what_its_events_say(kind: str, price: Price | None) -> None:
    asked = ask([player.member(price=price) for player in cast()], least(kind))
    bill, usage = asked.trace.bill, asked.answer.usage
    assert usage.calls == len(list(asked.trace.of(CallStarted)))
    for other in (bill.total, spent(asked.trace), sum(bill.members.values(), Usage())):
        assert replace(other, cost_usd=None) == replace(usage, cost_usd=None)
        assert other.cost_usd == (None if price is None else pytest.approx(usage.cost_usd))
    assert bill.unpriced == (NAMES if price is None else ())
    assert asked.trace.finished is not None
    assert asked.trace.finished.usage == usage


@every_committee
def test_a_failure_of_unknown_cost_makes_the_sum_unknown(kind: str) -> None:
    broken = Cast("cat", Reply("hal", fail=FailureKind.TRUNCATED)).member(price=Price(1.0, 2.0))
    asked = ask([*(p.member(price=Price(1.0, 2.0)) for p in cast()[:2]), broken], least(kind))
    assert asked.answer.usage.cost_usd is None
    assert asked.trace.bill.unpriced == ("cat",)
    assert asked.trace.bill.known_usd > 0


@every_committee
@pytest.mark.parametrize("max_calls", range(1, 9))
def test_it_never_makes_more_calls_than_allowed(kind: str, max_calls: int) -> None:
    players = cast()
    free = len([call for p in players for call in p.asked]) or ask(players, least(kind)).answer.usage.calls
    players = cast()
    asked = ask(players, least(kind), Limits(max_calls=max_calls))
    made = sum(len(player.asked) for player in players)
    assert made == asked.answer.usage.calls == min(max_calls, free)
    assert asked.answer.partial == (max_calls < free)
    assert any(f.kind is FailureKind.BUDGET for f in asked.answer.failures) == (max_calls < free)
    if max_calls < 3:
        assert len(asked.answer.candidates) == max_calls


@every_method
def test_retries_count_as_calls(kind: str) -> None:
    flaky = ScriptedMember("ann", (Reply(fail=FailureKind.HTTP, error="HTTP 429", retry_after_s=0.001), "Paris"))
    asked = ask([flaky], least(kind, ("ann",)))
    assert (asked.answer.text, asked.answer.usage.calls, asked.answer.failures) == ("Paris", 2, ())
    with pytest.raises(NoAnswer, match="max_calls=1 is spent"):
        ask([flaky], least(kind, ("ann",)), Limits(max_calls=1))


# ---- what it waits for ------------------------------------------------------------------------


@every_committee
def test_a_hanging_member_is_cut_once_the_quorum_has_answered(kind: str) -> None:
    players = [Cast("ann", "aa"), Cast("bob", "bbb"), Cast("cat", Reply("half", hang=True))]
    asked = ask(players, least(kind), Limits(quorum=2, grace_s=0.02))
    assert [c.author for c in sorted(asked.answer.candidates, key=lambda c: c.id)] == ["ann", "bob"]
    assert ("cat", FailureKind.CUT) in {(f.member, f.kind) for f in asked.answer.failures}
    assert not asked.answer.partial
    assert "cat" not in {judgement.judge for judgement in asked.answer.judgements}
    assert asked.active == 0


@every_committee
def test_below_the_quorum_at_the_deadline_it_answers_from_what_there_is(kind: str) -> None:
    players = [Cast("ann", "Paris"), Cast("bob", Reply(hang=True)), Cast("cat", Reply(hang=True))]
    asked = ask(players, least(kind), Limits(quorum=2, deadline_s=0.1))
    assert (asked.answer.text, asked.answer.partial) == ("Paris", True)
    assert {(f.member, f.kind) for f in asked.answer.failures} == {
        ("bob", FailureKind.DEADLINE),
        ("cat", FailureKind.DEADLINE),
    }
    assert asked.answer.timing.wall_s < 1
    assert asked.active == 0


@every_method
@pytest.mark.parametrize("stage", STAGES)
def test_cancelling_it_leaves_no_call_active_and_a_whole_trace(kind: str, stage: Stage) -> None:
    """Every member hangs at one stage; a method without that stage has answered by then."""

    async def work() -> None:
        reached = asyncio.Event()

        def script(request: Request, number: int) -> Reply | str:
            if stage_of(request) == stage:
                reached.set()
                return Reply("half", hang=True)
            return LONGER_IS_BETTER(request.messages[-1].text) if stage_of(request) == "review" else "an answer"

        traces: list[Trace] = []
        pool = [ScriptedMember(name, script=script) for name in NAMES]
        async with asyncio.timeout(5), Committee(pool, {"default": least(kind)}) as committee:
            seats = await committee.aopen()
            models = [seat.model for seat in seats.values() if isinstance(seat.model, ScriptedModel)]
            task = asyncio.ensure_future(committee.aask(QUESTION, on_trace=traces.append))
            waiting = asyncio.ensure_future(reached.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0.005)
            waiting.cancel()
            task.cancel()
            [outcome, _] = await asyncio.gather(task, waiting, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError) == reached.is_set()
            assert [model.active for model in models] == [0, 0, 0]
            assert asyncio.all_tasks() == {asyncio.current_task()}
        [trace] = traces
        assert trace.finished is not None
        assert trace.finished.status == ("cancelled" if reached.is_set() else "answered")
        assert all(call.outcome is not None for call in trace.calls.values())
        assert {f.failure.kind for f in trace.of(CallFailed)} == (
            {FailureKind.CANCELLED} if reached.is_set() else set()
        )
        assert trace.finished.usage.calls == trace.bill.total.calls == len(trace.calls)

    asyncio.run(work())


# ---- replay -----------------------------------------------------------------------------------


@every_method
def test_its_trace_replays_to_the_same_answer_without_a_call(kind: str, tmp_path: Path) -> None:
    players = cast()
    asked = ask(players, least(kind))
    calls = [len(player.asked) for player in players]
    asked.trace.save(tmp_path / "run.jsonl")
    loaded = Trace.load(tmp_path / "run.jsonl")
    assert loaded.events == asked.trace.events
    again = replay(loaded)
    assert (again.text, again.how) == (asked.answer.text, asked.answer.how)
    assert again.ranking == asked.answer.ranking
    assert without_calls(again) == without_calls(asked.answer)
    assert (again.usage, again.failures) == (Usage(), ())
    assert [len(player.asked) for player in players] == calls


@every_method
@pytest.mark.parametrize("mode", list(BallotMode))
def test_replay_holds_for_every_kind_of_ballot(kind: str, mode: BallotMode) -> None:
    players = [p.member(ballot=mode, likelihoods={"aa": -1.0, "bbb": -2.0, "c": -0.5}) for p in cast()]
    asked = ask(players, least(kind))
    again = replay(asked.trace)
    assert (again.text, again.ranking, again.failures) == (asked.answer.text, asked.answer.ranking, ())


@every_committee
def test_a_replay_repeats_failures(kind: str) -> None:
    players = [Cast("ann", "aa"), Cast("bob", Reply(fail=FailureKind.HTTP, error="HTTP 500")), Cast("cat", "c")]
    asked = ask(players, least(kind))
    again = replay(asked.trace)
    assert (again.text, again.how) == (asked.answer.text, asked.answer.how)
    assert [(f.member, f.error, f.kind) for f in again.failures] == [("bob", "HTTP 500", FailureKind.HTTP)]


@every_committee
def test_a_replay_of_a_run_that_was_cut_short_gives_the_same_answer(kind: str) -> None:
    players = [Cast("ann", "aa"), Cast("bob", "bbb"), Cast("cat", Reply("half", hang=True))]
    asked = ask(players, least(kind), Limits(quorum=2, grace_s=0.02))
    again = replay(asked.trace)
    assert (again.text, again.how, again.ranking) == (asked.answer.text, asked.answer.how, asked.answer.ranking)


@every_method
@pytest.mark.parametrize("max_calls", [2, 3, 4, 6])
def test_a_replay_of_a_run_whose_budget_ran_out_gives_the_same_answer(kind: str, max_calls: int) -> None:
    asked = ask(cast(), least(kind), Limits(max_calls=max_calls))
    again = replay(asked.trace)
    assert (again.text, again.how, again.ranking) == (asked.answer.text, asked.answer.how, asked.answer.ranking)


# ---- as a value -------------------------------------------------------------------------------


@every_method
def test_a_method_is_a_value_that_can_be_written_down(kind: str) -> None:
    method = least(kind)
    assert method == least(kind)
    assert method.asks == NAMES
    spec = describe("methods", method)
    assert (spec["kind"], spec["members"]) == (kind, list(NAMES))
    assert build("methods", spec) == method
    assert (type(method).__doc__ or "").strip()


@every_committee
def test_it_asks_nobody_whom_it_does_not_name(kind: str) -> None:
    players = [*cast(), Cast("dan"), Cast("eve")]
    ask(players, least(kind))
    assert [player.name for player in players if player.asked] == list(NAMES)
