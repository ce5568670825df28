"""Windows of local models, which count their own tokens: what is sent and what is refused cannot differ."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from coterie import Committee, LlamaCppMember, PeerBlend, Sampling, Vote, weights
from coterie.members.llama_cpp import LlamaCppModel
from coterie.run.window import Cuts
from coterie.trace import CallStarted, Noted, Trace
from coterie.types import FailureKind, Message, Request

SMOL = "smollm2-135m-instruct"
WINDOW = 256
REPLY = 16

pytestmark = pytest.mark.local_model


def member(name: str, **how: object) -> LlamaCppMember:
    return LlamaCppMember(name, SMOL, context_tokens=WINDOW, max_tokens=REPLY, **how)  # type: ignore[arg-type]


def history(turns: int, last: str = "What did I say first?") -> tuple[Message, ...]:
    """A Japanese character is three bytes and may be three tokens, so an estimate is far off."""
    said = [Message("system", "Be brief.")]
    for number in range(turns):
        said += [Message("user", f"{number}: 日本語で話しましょう。"), Message("assistant", f"はい、{number}。")]
    return (*said, Message("user", last))


@pytest.fixture(scope="module", autouse=True)
def _pulled() -> None:
    pytest.importorskip("xllamacpp")
    weights.pull(SMOL, consent=False)


def test_as_much_is_sent_as_the_members_own_tokens_leave_room_for() -> None:
    async def main() -> None:
        members = [member("chat"), member("few-shot", prompting="few_shot")]
        traces: list[Trace] = []
        async with Committee(members, {"default": Vote(("chat", "few-shot"))}) as committee:
            answer = await committee.aask(history(40), on_trace=traces.append)
            assert answer.failures == ()
            assert sum("oldest turns" in event.text for event in traces[0].of(Noted)) == 2
            every = Cuts(Request(history(40)))
            seats = await committee.aopen()
            for call in traces[0].of(CallStarted):
                model = seats[call.member].model
                assert isinstance(model, LlamaCppModel)
                assert call.request is not None
                place = every.index(call.request)
                assert len((await model.prompt(call.request)).tokens) <= WINDOW - REPLY
                read_longer = partial(model.form.prompt, every[place - 1], model.engine.vocabulary)
                assert len((await model.engine.prepare(read_longer)).tokens) > WINDOW - REPLY

    asyncio.run(main())


def test_what_the_request_wants_written_is_left_room_for() -> None:
    async def main() -> None:
        async with Committee([member("chat")], {"default": Vote(("chat",))}) as committee:
            seats = await committee.aopen()
            model = seats["chat"].model
            assert isinstance(model, LlamaCppModel)
            few = await model.first_fitting(Cuts(Request(history(40), Sampling(max_tokens=100))))
            many = await model.first_fitting(Cuts(Request(history(40), Sampling(max_tokens=100_000))))
            own = await model.first_fitting(Cuts(Request(history(40))))
            assert own < few < many < 40
            scored = await model.first_fitting(Cuts(Request(history(40))), ("word " * 100,))
            assert own < scored < 40

    asyncio.run(main())


def test_a_last_question_that_is_too_long_is_refused_by_the_member_itself() -> None:
    async def main() -> None:
        async with Committee([member("chat"), member("other")], {"default": Vote(("chat", "other"))}) as committee:
            with pytest.raises(Exception, match="none of 2 members answered") as caught:
                await committee.aask(history(5, "word " * 1000))
            failures = caught.value.failures  # type: ignore[attr-defined]
            assert {failure.kind for failure in failures} == {FailureKind.HTTP}
            assert all("shorten the conversation" in failure.error for failure in failures)

    asyncio.run(main())


def test_a_committee_of_local_models_reviews_in_a_conversation_longer_than_its_windows() -> None:
    async def main() -> None:
        names = ("chat", "few-shot", "other")
        members = [member("chat"), member("few-shot", prompting="few_shot"), member("other", system="You are a poet.")]
        method = PeerBlend(names, final="select", early_stop=False)
        async with Committee(members, {"default": method}) as committee:
            answer = await committee.aask(history(40))
        assert answer.failures == ()
        assert all(judgement.about for judgement in answer.judgements)

    asyncio.run(main())
