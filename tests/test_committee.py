"""The committee: one loop, one pool, a synchronous door and a stream, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path

import pytest

from coterie import (
    Answer,
    AnswerPiece,
    Committee,
    ConfigError,
    Limits,
    NoAnswer,
    PeerBlend,
    Piece,
    Price,
    Reply,
    ScriptedMember,
    Trace,
    Vote,
    save_trace,
)
from coterie.config import CacheSettings
from coterie.types import FailureKind, Message, Sampling

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
