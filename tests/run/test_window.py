"""Windows: which turns go, which stay whatever happens, how many go, and what the trace says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie import Answer, Committee, Length, Limits, PeerBlend, RankAndFuse, Reply, Sampling, ScriptedMember
from coterie.errors import MemberError
from coterie.members.scripted import ScriptedModel
from coterie.protocols import House, Method
from coterie.quoting import CHARACTERS_A_TOKEN
from coterie.replays import areplay
from coterie.run.ledger import BYTES_A_TOKEN
from coterie.run.window import Cuts, Sent, estimated_tokens, reply_tokens, within
from coterie.trace import CallStarted, Noted, Trace
from coterie.types import FailureKind, Json, Message, Request, Role

TEXTS = st.text(max_size=40)
INSTRUCTIONS = ("system", "developer")


def call(id_: str) -> dict[str, Json]:
    return {"id": id_, "type": "function", "function": {"name": "look", "arguments": "{}"}}


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """A question or two, perhaps tools that were called, and an answer, perhaps with instructions anywhere."""
    said = [Message("user", draw(TEXTS)) for _ in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(0, 2))):
        ids = [f"call-{draw(st.integers(0, 10**9))}" for _ in range(draw(st.integers(1, 2)))]
        said.append(Message("assistant", "", {"tool_calls": [call(id_) for id_ in ids]}))
        said += [Message("tool", draw(TEXTS), {"tool_call_id": id_}) for id_ in ids]
    said.append(Message("assistant", draw(TEXTS)))
    if draw(st.booleans()):
        role: Role = draw(st.sampled_from(INSTRUCTIONS))
        said.insert(draw(st.integers(0, len(said))), Message(role, draw(TEXTS)))
    return said


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A conversation as clients send it: instructions, perhaps a greeting, turns, a question."""
    messages = [Message("system", draw(TEXTS))] if draw(st.booleans()) else []
    messages += [Message("assistant", draw(TEXTS))] if draw(st.booleans()) else []
    for turn in draw(st.lists(turns(), max_size=6)):
        messages += turn
    messages.append(Message("user", draw(TEXTS)))
    sampling = Sampling(max_tokens=draw(st.none() | st.integers(1, 400)))
    return Request(tuple(messages), sampling, prefix=draw(st.sampled_from(("", "Well, "))))


def spoken(request: Request) -> list[Message]:
    return [message for message in request.messages if message.role not in INSTRUCTIONS]


# ---- the rule ---------------------------------------------------------------------------------


@given(requests())
def test_turns_go_whole_and_oldest_first_and_instructions_and_the_last_question_stay(request: Request) -> None:
    every = Cuts(request)
    assert every[0] is request
    assert every[1:] == list(every)[1:]
    for longer, shorter in pairwise(every):
        gone = len(spoken(longer)) - len(spoken(shorter))
        assert gone > 0
        assert spoken(longer)[gone:] == spoken(shorter)
        assert spoken(shorter)[0].role == "user"
        assert spoken(longer)[gone - 1].role != "user"  # a question goes with its answer
        assert replace(shorter, messages=request.messages) == request
    for cut in every:
        assert [m for m in cut.messages if m.role in INSTRUCTIONS] == [
            m for m in request.messages if m.role in INSTRUCTIONS
        ]
        assert cut.messages[-1] is request.messages[-1]
        calls = {c["id"] for message in cut.messages for c in message.extra.get("tool_calls", ())}
        assert calls == {m.extra["tool_call_id"] for m in cut.messages if m.role == "tool"}
    assert all(m.role == "user" for m in spoken(every[-1]))  # nothing is left that could go


@given(requests(), st.integers(16, 600))
def test_as_few_turns_go_as_make_room_for_the_reply(request: Request, window: int) -> None:
    sent = asyncio.run(within(Cuts(request), window, object()))
    every = Cuts(request)
    assert sent.request is every[sent.left_out] or sent.request == every[sent.left_out]
    room = window - reply_tokens(request.sampling, window)
    if sent.left_out < len(every) - 1:
        assert estimated_tokens(sent.request) <= room
    if sent.left_out:
        assert estimated_tokens(every[sent.left_out - 1]) > room


@given(requests())
def test_what_is_counted_once_for_all_is_what_each_of_them_is(request: Request) -> None:
    assert Cuts(request).sizes == [estimated_tokens(cut) for cut in Cuts(request)]


@given(requests())
def test_where_nobody_knows_the_window_all_of_it_is_sent(request: Request) -> None:
    assert asyncio.run(within(Cuts(request), None, object())) == Sent(request)


def test_a_question_between_a_call_and_its_result_begins_no_turn() -> None:
    asked = Message("assistant", "", {"tool_calls": [call("x"), "of no form"]})
    late = Message("tool", "rain", {"tool_call_id": "x"})
    said = (Message("user", "weather?"), asked, Message("user", "hurry"), late, Message("assistant", "It rains."))
    request = Request((*said, Message("user", "And tomorrow?")))
    assert [cut.messages for cut in Cuts(request)] == [request.messages, (Message("user", "And tomorrow?"),)]


@pytest.mark.parametrize("roles", [[], ["system"], ["user"], ["assistant"], ["system", "user"], ["user", "user"]])
def test_a_conversation_of_one_turn_is_left_alone(roles: list[Role]) -> None:
    request = Request(tuple(Message(role, "x" * 1000) for role in roles))
    assert list(Cuts(request)) == [request]
    assert asyncio.run(within(Cuts(request), 16, object())).request is request


@pytest.mark.parametrize(("max_tokens", "room"), [(None, 250), (10, 10), (500, 500), (501, 500), (100_000, 500)])
def test_a_reply_is_left_what_was_asked_for_and_half_the_window_at_most(max_tokens: int | None, room: int) -> None:
    assert reply_tokens(Sampling(max_tokens=max_tokens), 1000) == room


def test_what_is_estimated_is_everything_that_is_read() -> None:
    plain = estimated_tokens(Request.of("x" * 300))
    assert plain == 108
    assert estimated_tokens(Request.of("日" * 100)) == plain  # three bytes each, and a token
    assert estimated_tokens(replace(Request.of("x" * 300), prefix="y" * 30)) == plain + 10
    picture = Message("user", ({"type": "text", "text": "x" * 300}, {"type": "image_url", "image_url": {}}))
    assert estimated_tokens(Request((picture,))) > plain + 500
    tools = Sampling(extra={"tools": [{"name": "look", "description": "z" * 300}]})
    assert estimated_tokens(Request.of("x" * 300, tools)) > plain + 100
    called = Message("assistant", "", {"tool_calls": [call("x" * 300)]})
    assert estimated_tokens(Request((called,))) > 100


def test_tokens_are_guessed_alike_everywhere() -> None:
    assert BYTES_A_TOKEN == CHARACTERS_A_TOKEN  # one byte a character, as far as English goes


# ---- a model that counts ----------------------------------------------------------------------


@dataclass
class Counting:
    """A model that takes a word for a token."""

    window: int

    async def first_fitting(self, requests: Sequence[Request], texts: Sequence[str] = ()) -> int:
        after = max((len(text.split()) for text in texts), default=1)
        words = [sum(len(m.text.split()) for m in request.messages) for request in requests]
        return next((place for place, n in enumerate(words) if n + after <= self.window), len(requests) - 1)


def test_a_model_that_counts_its_tokens_is_asked_and_not_estimated() -> None:
    said = [Message(role, "word " * 50) for _ in range(4) for role in ("user", "assistant")]
    request = Request((*said, Message("user", "one more")))

    async def left_out(window: int, texts: Sequence[str] = ()) -> int:
        return (await within(Cuts(request), 10, Counting(window), texts)).left_out

    assert [asyncio.run(left_out(window)) for window in (403, 402, 203, 3, 1)] == [0, 1, 2, 4, 4]
    assert asyncio.run(left_out(403, ("a b",))) == 1


# ---- in a run ---------------------------------------------------------------------------------

LONG = "a long answer, " * 10
"""50 tokens by the estimate, and 8 for its message."""


def history(turns: int) -> tuple[Message, ...]:
    said = [Message("system", "Be brief.")]
    for number in range(turns):
        said += [Message("user", f"question {number}"), Message("assistant", f"{LONG}{number}")]
    return (*said, Message("user", "the last question"))


def numbers(request: Request) -> list[str]:
    """The questions that a member was sent."""
    return [message.text for message in request.messages if message.role == "user"]


async def asked(method: Method, members: Sequence[Any], turns: int) -> tuple[Answer, Trace, dict[str, list[Request]]]:
    traces: list[Trace] = []
    async with Committee(members, {"default": method}) as committee:
        seats = await committee.aopen()
        answer = await committee.aask(history(turns), seed=1, on_trace=traces.append)
        models = {name: seat.model for name, seat in seats.items()}
    sent = {name: model.requests for name, model in models.items() if isinstance(model, ScriptedModel)}
    return answer, traces[0], sent


def test_each_member_is_sent_its_own_cut_and_the_trace_says_what() -> None:
    members = [
        ScriptedMember("small", ("s",), context_tokens=256),
        ScriptedMember("larger", ("l",), context_tokens=512),
        ScriptedMember("unknown", ("u",)),
    ]

    async def main() -> None:
        method = RankAndFuse(("small", "larger", "unknown"), judge=Length(), rule="mean", top_k=1)
        _, trace, sent = await asked(method, members, 8)
        assert numbers(sent["small"][0]) == ["question 6", "question 7", "the last question"]
        assert numbers(sent["larger"][0]) == [*(f"question {n}" for n in range(3, 8)), "the last question"]
        assert sent["unknown"][0].messages == history(8)
        assert all(requests[0].messages[0] == Message("system", "Be brief.") for requests in sent.values())
        calls = {call.member: call.request for call in trace.of(CallStarted)}
        assert calls == {"small": sent["small"][0], "larger": sent["larger"][0], "unknown": None}
        assert [event.text for event in trace.of(Noted)] == [
            "small read the conversation without its 6 oldest turns: more does not fit into its window",
            "larger read the conversation without its 3 oldest turns: more does not fit into its window",
        ]

    asyncio.run(main())


def test_a_conversation_that_fits_is_the_runs_own_request() -> None:
    async def main() -> None:
        method = RankAndFuse(("a", "b"), judge=Length(), rule="mean", top_k=1)
        members = [ScriptedMember(name, (name,), context_tokens=4096) for name in "ab"]
        _, trace, _ = await asked(method, members, 3)
        assert [call.request for call in trace.of(CallStarted)] == [None, None]
        assert not list(trace.of(Noted))

    asyncio.run(main())


def test_reviewers_read_as_much_as_they_can_too_and_nothing_is_said_twice() -> None:
    likely = {"a": -1.0, "b": -2.0, "c": -3.0}
    members = [ScriptedMember(name, (name,), likelihoods=likely, context_tokens=256) for name in likely]

    async def main() -> None:
        answer, trace, sent = await asked(PeerBlend(("a", "b", "c"), final="select", early_stop=False), members, 8)
        assert all(judgement.about for judgement in answer.judgements)
        assert all(len(numbers(request)) <= 4 for requests in sent.values() for request in requests)
        told = [event.text for event in trace.of(Noted)]
        assert len(told) == len(set(told))

    asyncio.run(main())


@pytest.mark.parametrize("turns", [0, 8])
def test_a_run_whose_members_read_a_part_replays_to_the_same_answer(turns: int) -> None:
    likely = {"a": -1.0, "b": -2.0, "c": -3.0}
    members = [
        ScriptedMember(name, (name,), likelihoods=likely, context_tokens=window)
        for name, window in (("a", 256), ("b", 512), ("c", None))
    ]

    async def main() -> None:
        answer, trace, _ = await asked(PeerBlend(("a", "b", "c"), final="select"), members, turns)
        again = await areplay(trace)
        assert (again.text, again.failures, again.notes) == (answer.text, (), answer.notes)
        assert again.ranking == answer.ranking

    asyncio.run(main())


@dataclass(frozen=True)
class Odd(ScriptedMember):
    """A member whose model goes wrong where it is asked what it can read."""

    goes_wrong: Exception | None = None

    async def open(self, house: House) -> ScriptedModel:
        wrong = self.goes_wrong

        class Model(ScriptedModel):
            async def first_fitting(self, requests: Sequence[Request], texts: Sequence[str] = ()) -> int:
                if wrong is None:
                    await asyncio.Event().wait()
                    raise AssertionError
                raise wrong

        return Model(self)


@pytest.mark.parametrize(
    "wrong", [MemberError("the template refuses it", FailureKind.UNAVAILABLE), ZeroDivisionError("a defect")]
)
def test_a_member_that_cannot_say_what_it_reads_is_sent_everything(
    wrong: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        members = [Odd("a", ("a",), context_tokens=64, goes_wrong=wrong), ScriptedMember("b", ("bb",))]
        method = RankAndFuse(("a", "b"), judge=Length(), rule="mean", top_k=1)
        answer, _, sent = await asked(method, members, 8)
        assert sent["a"][0].messages == history(8)
        assert answer.text == "bb"

    asyncio.run(main())
    assert ("a defect" in caplog.text) == isinstance(wrong, ZeroDivisionError)


def test_a_member_that_never_says_what_it_reads_costs_its_answer_and_not_the_deadline() -> None:
    async def main() -> Answer:
        members = [Odd("a", ("a",), context_tokens=64), ScriptedMember("b", (Reply("bb", latency_s=0.05),))]
        method = RankAndFuse(("a", "b"), judge=Length(), rule="mean", top_k=1)
        async with Committee(members, {"default": method}, Limits(deadline_s=0.4)) as committee:
            return await committee.aask(history(8))

    answer = asyncio.run(main())
    assert answer.text == "bb"
    assert [(failure.member, failure.kind) for failure in answer.failures] == [("a", FailureKind.DEADLINE)]
