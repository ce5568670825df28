"""The committee: one loop, one pool, a synchronous door and a stream, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from coterie import (
    Answer,
    AnswerPiece,
    Committee,
    ConfigError,
    Length,
    Limits,
    NoAnswer,
    PeerBlend,
    Piece,
    Price,
    RankAndFuse,
    Reply,
    ScriptedMember,
    Trace,
    Vote,
    save_trace,
)
from coterie.config import CacheSettings
from coterie.members.scripted import ScriptedModel
from coterie.protocols import House, Run
from coterie.types import Candidate, FailureKind, Message, Request, Sampling, Standing

QUESTION = "What is the capital of France?"


def blend(*, last: Reply | str = "Paris it is") -> Committee:
    likely = {"Paris": -0.1, "Lyon": -3.0, "Paris, France": -0.5}
    members = [
        ScriptedMember("a", (Reply("Paris", pieces=2), last), likelihoods=likely, price=Price(1, 1)),
        ScriptedMember("b", ("Lyon",), likelihoods=likely, price=Price(1, 1)),
        ScriptedMember("c", ("Paris, France",), likelihoods=likely, price=Price(1, 1)),
    ]
    return Committee(members, {"default": PeerBlend(("a", "b", "c"), top_k=2, aggregator="a")}, Limits(deadline_s=20))


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name == "coterie"}


def test_an_answer_tells_its_whole_history() -> None:
    with blend() as committee:
        answer = committee.ask(QUESTION)
    assert str(answer) == answer.text == "Paris it is"
    assert answer.how == "fused"
    assert [c.author for c in answer.candidates] == ["a", "c", "b"]
    assert answer.usage.calls == 7
    plain = answer.to_json()
    assert [(c["author"], c["rank"]) for c in plain["candidates"]] == [("a", 1), ("c", 2), ("b", 3)]
    assert plain["usage"]["calls"] == 7
    assert plain["usage"]["members"]["a"]["calls"] == 3
    assert plain["timing"]["wall_s"] >= plain["timing"]["critical_path_s"] > 0
    assert plain["id"] == answer.trace.started.run


def test_a_pool_survives_from_call_to_call_and_from_loop_to_loop() -> None:
    committee = Committee([ScriptedMember("a", ("first", "second", "third"))], {"default": Vote(("a",))})
    texts = [
        committee.ask(QUESTION).text,
        asyncio.run(committee.aask(QUESTION)).text,
        asyncio.run(committee.aask(QUESTION)).text,
    ]
    committee.close()
    assert texts == ["first", "second", "third"]  # one member, which remembers


def test_closing_stops_the_background_thread_and_asking_opens_anew() -> None:
    committee = Committee([ScriptedMember("a", ("first", "second"))], {"default": Vote(("a",))})
    assert committee.ask(QUESTION).text == "first"
    assert threads() == {"coterie"}
    committee.close()
    assert threads() == set()
    assert committee.ask(QUESTION).text == "first"
    committee.close()
    committee.close()


def test_a_forgotten_committee_closes_itself() -> None:
    committee = Committee([ScriptedMember("a", ("A",))], {"default": Vote(("a",))})
    committee.ask(QUESTION)
    del committee
    gc.collect()
    assert threads() == set()


def test_many_threads_may_ask_at_once() -> None:
    texts: list[str] = []
    with Committee([ScriptedMember("a", (Reply("A", latency_s=0.1),))], {"default": Vote(("a",))}) as committee:
        asking = [threading.Thread(target=lambda: texts.append(committee.ask(QUESTION).text)) for _ in range(8)]
        began = time.perf_counter()
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        took_s = time.perf_counter() - began
    assert texts == ["A"] * 8
    assert took_s < 0.5


def test_on_its_own_loop_it_needs_no_thread() -> None:
    async def main() -> str:
        async with blend() as committee:
            answer = await committee.aask(QUESTION)
            assert threads() == set()
            with pytest.raises(ConfigError, match="aask"):
                committee.ask(QUESTION)
            with pytest.raises(ConfigError, match="closes it"):
                committee.close()
            return answer.text

    assert asyncio.run(main()) == "Paris it is"


def test_it_is_entered_once_and_before_it_is_asked() -> None:
    async def main() -> None:
        committee = blend()
        async with committee:
            with pytest.raises(ConfigError, match="in use"):
                await committee.__aenter__()

    asyncio.run(main())
    used = blend()
    used.ask(QUESTION)

    async def enter() -> None:
        with pytest.raises(ConfigError, match="in use"):
            await used.__aenter__()

    asyncio.run(enter())
    used.close()


@pytest.mark.parametrize("native", [True, False], ids=["own-loop", "background-loop"])
def test_the_stream_shows_everything_and_ends_with_the_answer(native: bool) -> None:
    async def read(committee: Committee) -> list[object]:
        return [item async for item in committee.astream(QUESTION)]

    async def main() -> list[object]:
        if not native:
            return await read(blend())
        async with blend() as committee:
            return await read(committee)

    items = asyncio.run(main())
    answer = items[-1]
    assert isinstance(answer, Answer)
    assert "".join(item.text for item in items if isinstance(item, AnswerPiece)) == answer.text
    pieces = "".join(item.text for item in items if isinstance(item, Piece) and item.member == "a")
    assert pieces == "Paris"
    assert [item for item in items if type(item) in {type(e) for e in answer.trace.events}] == list(answer.trace.events)


@pytest.mark.parametrize("native", [True, False], ids=["own-loop", "background-loop"])
def test_leaving_the_stream_cancels_the_request(native: bool) -> None:
    ended: list[Trace] = []

    async def leave(committee: Committee) -> None:
        stream = committee.astream(QUESTION, on_trace=ended.append)
        async for item in stream:
            if isinstance(item, Piece):
                break
        await stream.aclose()  # type: ignore[attr-defined]

    async def main() -> None:
        committee = Committee([ScriptedMember("a", (Reply("A", hang=True),))], {"default": Vote(("a",))})
        if native:
            async with committee:
                await leave(committee)
        else:
            await leave(committee)
            await asyncio.to_thread(committee.close)

    asyncio.run(main())
    assert [trace.finished.status for trace in ended if trace.finished] == ["cancelled"]


def test_an_error_comes_out_of_the_stream_too() -> None:
    async def main() -> None:
        members = [ScriptedMember("a", (Reply(fail=FailureKind.HTTP),))]
        async with Committee(members, {"default": Vote(("a",))}) as committee:
            with pytest.raises(NoAnswer):
                async for _ in committee.astream(QUESTION):
                    pass
            with pytest.raises(ConfigError, match="no method"):
                async for _ in committee.astream(QUESTION, method="nobody"):
                    pass

    asyncio.run(main())


@pytest.mark.parametrize("native", [True, False], ids=["own-loop", "background-loop"])
def test_cancelling_cancels_and_leaves_a_whole_trace(native: bool, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"

    async def cancel(committee: Committee) -> None:
        task = asyncio.ensure_future(committee.aask(QUESTION, on_trace=save_trace(file)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def main() -> None:
        committee = Committee([ScriptedMember("a", (Reply(hang=True),))], {"default": Vote(("a",))})
        if native:
            async with committee:
                await cancel(committee)
        else:
            await cancel(committee)
            await asyncio.to_thread(committee.close)

    asyncio.run(main())
    finished = Trace.load(file).finished
    assert finished is not None
    assert finished.status == "cancelled"


def test_a_trace_is_kept_when_there_is_no_answer() -> None:
    kept: list[Trace] = []
    with (
        Committee([ScriptedMember("a", ("",))], {"default": Vote(("a",))}) as committee,
        pytest.raises(NoAnswer),
    ):
        committee.ask(QUESTION, on_trace=kept.append)
    assert kept[0].finished is not None
    assert kept[0].finished.status == "no_answer"


def test_one_members_opening_failure_is_a_failure_of_that_member_alone() -> None:
    committee = Committee.from_config(
        {
            "members": {
                "file": {"engine": "recorded", "path": "no-such-file.jsonl", "model": "m"},
                "good": {"engine": "scripted", "replies": ["fine"]},
            },
            "methods": {"default": {"kind": "vote", "members": ["file", "good"]}},
        }
    )
    with committee:
        answer = committee.ask(QUESTION)
    assert answer.text == "fine"
    assert [(f.member, f.kind) for f in answer.failures] == [("file", FailureKind.UNAVAILABLE)]
    assert "no-such-file.jsonl" in answer.failures[0].error


def test_the_question_may_be_a_conversation_with_settings() -> None:
    seen: list[object] = []

    def script(request: object, number: int) -> str:
        seen.append(request)
        return "yes"

    with Committee([ScriptedMember("a", script=script)], {"default": Vote(("a",))}) as committee:
        history = [Message("user", "Who wrote it?"), Message("assistant", "Goethe."), Message("user", "When?")]
        committee.ask(history, sampling=Sampling(temperature=0.5))
    (request,) = seen
    assert request.messages == tuple(history)  # type: ignore[attr-defined]
    assert request.sampling.temperature == 0.5  # type: ignore[attr-defined]


@pytest.mark.parametrize("question", ["", "  \n", [], [Message("user", " ")]])
def test_an_empty_question_is_refused(question: str | list[Message]) -> None:
    with blend() as committee, pytest.raises(ConfigError, match="empty"):
        committee.ask(question)


def test_names_are_unique_and_methods_ask_who_is_there() -> None:
    a = ScriptedMember("a", ("A",))
    with pytest.raises(ConfigError, match="one name"):
        Committee([a, a], {})
    with pytest.raises(ConfigError, match="'b'"):
        Committee([a], {"default": Vote(("a", "b"))})


def test_the_cache_serves_a_second_request() -> None:
    members = [ScriptedMember("a", ("first", "second"))]
    with Committee(members, {"default": Vote(("a",))}, cache=CacheSettings()) as committee:
        answers = [committee.ask(QUESTION), committee.ask(QUESTION)]
    assert [answer.text for answer in answers] == ["first", "first"]
    assert [answer.usage.calls for answer in answers] == [1, 0]


def test_a_seed_fixes_the_order_of_ballots() -> None:
    def labels(seed: int) -> list[str]:
        asked: list[str] = []

        def script(request: object, number: int) -> str:
            asked.append(request.messages[-1].text)  # type: ignore[attr-defined]
            return "text"

        names = ("a", "b", "c", "d")
        members = [ScriptedMember(name, script=script) for name in names]
        with Committee(members, {"default": PeerBlend(names)}) as committee:
            committee.ask(QUESTION, seed=seed)
        return asked

    assert labels(7) == labels(7)
    assert labels(7) != labels(8)


# ---- what a second pair of eyes found ---------------------------------------------------------


def test_abstentions_fill_no_quorum_and_a_slow_reviewer_may_still_write() -> None:
    def script(request: Request, number: int) -> Reply:
        asked = request.messages[-1].text
        if "reviewing answers" in asked:
            found = re.findall(r'<answer-\w+ id="(\w+)">', asked)
            return Reply(json.dumps({"scores": dict.fromkeys(found, 3), "reason": "so"}), latency_s=0.3)
        return Reply("fused" if "were ranked" in asked else "mine")

    cannot = [ScriptedMember(f"r{n}", (f"answer {n}", "no ballot")) for n in range(2)]
    can = [ScriptedMember(name, script=script) for name in ("a", "b")]
    names = ("r0", "r1", "a", "b")
    limits = Limits(deadline_s=10, quorum=2, grace_s=0.1)
    with Committee([*cannot, *can], {"default": PeerBlend(names, aggregator="a")}, limits) as committee:
        answer = committee.ask(QUESTION)
    assert {j.judge for j in answer.judgements if j.about} == {"a", "b"}
    assert (answer.text, answer.how) == ("fused", "fused")


def test_closing_while_others_ask_leaves_nobody_waiting() -> None:
    committee = Committee([ScriptedMember("a", (Reply(hang=True),))], {"default": Vote(("a",))})
    ended: list[str] = []

    def ask() -> None:
        try:
            committee.ask(QUESTION)
        except BaseException as error:
            ended.append(type(error).__name__)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    committee.close()
    asking.join(timeout=5)
    assert not asking.is_alive()
    assert ended == ["CancelledError"]


@pytest.mark.parametrize("native", [True, False], ids=["own-loop", "background-loop"])
def test_a_stream_that_runs_out_of_time_says_so(native: bool) -> None:
    async def all_of(committee: Committee) -> list[object]:
        async with asyncio.timeout(0.2):
            return [item async for item in committee.astream(QUESTION)]

    async def read(committee: Committee) -> None:
        with pytest.raises(TimeoutError):
            await all_of(committee)

    async def main() -> None:
        committee = Committee([ScriptedMember("a", (Reply("A", hang=True),))], {"default": Vote(("a",))})
        if native:
            async with committee:
                await read(committee)
        else:
            await read(committee)
            await asyncio.to_thread(committee.close)

    asyncio.run(main())


def test_asking_from_within_an_answer_is_refused_and_not_deadlocked(caplog: pytest.LogCaptureFixture) -> None:
    with Committee([ScriptedMember("a", ("A",))], {"default": Vote(("a",))}) as committee:
        asked_again: list[Answer] = []
        answer = committee.ask(QUESTION, on_trace=lambda _: asked_again.append(committee.ask(QUESTION)))
    assert asked_again == []
    assert answer.text == "A"
    assert "aask" in caplog.text


def test_a_trace_that_nobody_can_take_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def broken(trace: Trace) -> None:
        raise OSError("disk full")

    with Committee([ScriptedMember("a", ("A",))], {"default": Vote(("a",))}) as committee:
        assert committee.ask(QUESTION, on_trace=broken).text == "A"
    assert "disk full" in caplog.text


def test_a_defect_while_opening_is_that_members_failure_alone(caplog: pytest.LogCaptureFixture) -> None:
    @dataclass(frozen=True)
    class Broken(ScriptedMember):
        async def open(self, house: House) -> ScriptedModel:
            raise ValueError("no weights here")

    members = [Broken("broken", ("x",)), ScriptedMember("good", ("fine",))]
    with Committee(members, {"default": Vote(("broken", "good"))}) as committee:
        answer = committee.ask(QUESTION)
    assert answer.text == "fine"
    assert [(f.member, "no weights here" in f.error) for f in answer.failures] == [("broken", True)]
    assert "broken" in caplog.text


def test_a_fuser_that_selects_is_shown_too() -> None:
    @dataclass(frozen=True)
    class Selects:
        async def fuse(self, request: Request, best: Sequence[Standing], run: Run) -> Candidate:
            return best[-1].candidate

    members = [ScriptedMember(name, (name * 3,)) for name in ("a", "b")]
    method = RankAndFuse(("a", "b"), judge=Length(), rule="mean", fuser=Selects())

    async def main() -> tuple[str, str]:
        async with Committee(members, {"default": method}) as committee:
            items = [item async for item in committee.astream(QUESTION)]
        shown = "".join(item.text for item in items if isinstance(item, AnswerPiece))
        assert isinstance(items[-1], Answer)
        return shown, items[-1].text

    shown, text = asyncio.run(main())
    assert shown == text == "bbb"


def test_one_huge_answer_blinds_nobody() -> None:
    seen: list[int] = []

    def script(request: Request, number: int) -> str:
        seen.append(sum(len(message.text) for message in request.messages))
        return "short"

    huge = ScriptedMember("huge", ("spam " * 400_000,))
    members = [huge, *(ScriptedMember(name, script=script) for name in ("a", "b"))]
    with Committee(members, {"default": PeerBlend(("huge", "a", "b"), aggregator="a")}) as committee:
        committee.ask(QUESTION)
    assert max(seen) < 110_000


def test_a_budget_that_was_overrun_says_so() -> None:
    members = [ScriptedMember(f"m{n}", ("word " * 500,), price=Price(0, 20.0)) for n in range(10)]
    names = tuple(member.name for member in members)
    with Committee(members, {"default": Vote(names)}, Limits(max_usd=0.05)) as committee:
        answer = committee.ask(QUESTION)
    assert answer.usage.cost_usd is not None
    assert answer.usage.cost_usd > 0.05
    assert any("was overrun" in note for note in answer.notes)
