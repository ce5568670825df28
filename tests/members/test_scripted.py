"""The shipped test double: it says what it is told to, when it is told to."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any

import pytest

from coterie import Committee
from coterie.errors import ConfigError, MemberError
from coterie.house import House
from coterie.members.scripted import Reply, ScriptedMember, ScriptedModel
from coterie.protocols import Scorer, TokenModel
from coterie.types import (
    BallotMode,
    Capability,
    Completion,
    FailureKind,
    Message,
    Price,
    Request,
    TextScore,
    TokenLogprob,
    Usage,
)

QUESTION = Request.of("What is the capital of France?")


def opened(member: ScriptedMember) -> ScriptedModel:
    async def go() -> ScriptedModel:
        async with House() as house:
            return await member.open(house)

    return asyncio.run(go())


def say(model: ScriptedModel, pieces: list[str] | None = None, request: Request = QUESTION) -> Completion:
    return asyncio.run(model.generate(request, None if pieces is None else pieces.append))


# ---- what it says -----------------------------------------------------------------------------


def test_replies_come_in_turn_and_the_last_is_repeated() -> None:
    model = opened(ScriptedMember("a", ("one", Reply("two"), "three")))
    assert [say(model).text for _ in range(5)] == ["one", "two", "three", "three", "three"]


def test_a_script_sees_the_request_and_the_number_of_the_call() -> None:
    def script(request: Request, number: int) -> Reply | str:
        return f"{number}: {request.question}"

    model = opened(ScriptedMember("a", script=script))
    assert [say(model).text for _ in range(2)] == [f"{n}: What is the capital of France?" for n in (0, 1)]


def test_a_script_is_used_instead_of_replies() -> None:
    assert say(opened(ScriptedMember("a", ("reply",), script=lambda _request, _number: "script"))).text == "script"


def test_it_remembers_what_it_was_asked() -> None:
    model = opened(ScriptedMember("a", ("x",)))
    other = Request.of("Another question")
    say(model)
    say(model, request=other)
    assert model.requests == [QUESTION, other]


def test_neither_replies_nor_a_script_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="'a' has neither replies nor a script"):
        ScriptedMember("a")


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 100])
def test_pieces_in_order_make_the_text(pieces: int) -> None:
    heard: list[str] = []
    made = say(opened(ScriptedMember("a", (Reply("It is Paris.", pieces=pieces),))), heard)
    assert "".join(heard) == made.text == "It is Paris."
    assert len(heard) <= pieces
    assert len(heard) == pieces or pieces > 4


def test_usage_is_counted_in_words_and_priced() -> None:
    member = ScriptedMember("a", ("It is Paris.",), price=Price(1.0, 2.0))
    assert say(opened(member)).usage == Usage(1, 6, 3, 12 / 1e6)
    assert say(opened(ScriptedMember("a", (Reply("x y", output_tokens=50),)))).usage == Usage(1, 6, 50, None)


def test_finish_reason_and_logprobs_as_told() -> None:
    logprobs = (TokenLogprob("4", -0.1, (("4", -0.1), ("5", -2.0))),)
    made = say(opened(ScriptedMember("a", (Reply("4", logprobs=logprobs, finish_reason="length"),))))
    assert (made.logprobs, made.finish_reason) == (logprobs, "length")


def test_latency_is_the_members_and_the_replys() -> None:
    model = opened(ScriptedMember("a", (Reply("ab", latency_s=0.05, pieces=2, piece_s=0.05),), latency_s=0.05))
    began = time.monotonic()
    say(model)
    assert 0.2 <= time.monotonic() - began < 0.6


# ---- what goes wrong --------------------------------------------------------------------------


def test_a_failure_comes_after_the_text_was_streamed() -> None:
    heard: list[str] = []
    model = opened(ScriptedMember("a", (Reply("It is Par", pieces=3, fail=FailureKind.TRUNCATED, error="gone"),)))
    with pytest.raises(MemberError, match=r"^gone$") as caught:
        say(model, heard)
    assert "".join(heard) == "It is Par"
    assert (caught.value.kind, caught.value.retryable) == (FailureKind.TRUNCATED, False)


def test_a_failure_may_be_retried_after_a_while() -> None:
    model = opened(ScriptedMember("a", (Reply(fail=FailureKind.HTTP, retry_after_s=0.5),)))
    with pytest.raises(MemberError) as caught:
        say(model)
    assert (caught.value.retryable, caught.value.retry_after_s) == (True, 0.5)


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_text_is_empty(text: str) -> None:
    with pytest.raises(MemberError) as caught:
        say(opened(ScriptedMember("a", (text,))))
    assert caught.value.kind is FailureKind.EMPTY


def test_a_hanging_reply_ends_when_it_is_cancelled() -> None:
    model = opened(ScriptedMember("a", (Reply("It is", pieces=2, hang=True),)))
    heard: list[str] = []

    async def go() -> None:
        task = asyncio.ensure_future(model.generate(QUESTION, heard.append))
        await asyncio.sleep(0.05)
        assert model.active == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert model.active == 0

    asyncio.run(go())
    assert "".join(heard) == "It is"


# ---- what it can do ---------------------------------------------------------------------------


def test_its_card_says_what_it_can_do() -> None:
    plain = ScriptedMember("a", ("x",)).card
    assert plain.ballot is BallotMode.TEXT
    assert Capability.LIKELIHOOD not in plain.capabilities
    scoring = ScriptedMember("a", ("x",), likelihoods={"Paris": -0.4}).card
    assert scoring.ballot is BallotMode.LIKELIHOOD
    assert Capability.LIKELIHOOD in scoring.capabilities
    chosen = ScriptedMember("a", ("x",), likelihoods={}, ballot=BallotMode.SCORE_LOGPROB)
    assert chosen.card.ballot is BallotMode.SCORE_LOGPROB
    assert Capability.TOKENS in ScriptedMember("a", ("x",), distributions=lambda _text: {}).card.capabilities


def test_likelihoods_of_given_texts() -> None:
    model = opened(ScriptedMember("a", ("x",), likelihoods={"It is Paris.": -0.5}, price=Price(1.0, 1.0)))
    assert isinstance(model, Scorer)
    given = asyncio.run(model.score(QUESTION, [" It is Paris. ", "bananas"]))
    assert given.scores == (TextScore(-1.5, 3), TextScore(-10.0, 1))
    assert [score.mean for score in given.scores] == [-0.5, -10.0]
    assert given.usage == Usage(1, 4, 0, 4 / 1e6)


def test_without_likelihoods_it_scores_nothing() -> None:
    with pytest.raises(MemberError) as caught:
        asyncio.run(opened(ScriptedMember("a", ("x",))).score(QUESTION, ["x"]))
    assert caught.value.kind is FailureKind.UNAVAILABLE


VOCABULARY = ("Pa", "ris", "Par", "is", "i", "s", "<end>")


def after(text: str) -> Mapping[str, float]:
    return {"": {"Pa": 0.75, "Par": 0.25}, "Pa": {"ris": 1.0}, "Par": {"is": 0.5, "i": 0.5}}.get(text, {"<end>": 1.0})


def test_a_token_session_feeds_rolls_back_and_scores() -> None:
    model = opened(ScriptedMember("a", ("x",), distributions=after, vocabulary=VOCABULARY))
    assert isinstance(model, TokenModel)

    async def go() -> None:
        async with model.session(QUESTION) as session:
            assert list(await session.next()) == [
                pytest.approx(math.log(0.75)),
                -math.inf,
                pytest.approx(math.log(0.25)),
                *[-math.inf] * 4,
            ]
            assert session.encode("Paris") == [2, 3]  # the longest token first
            assert session.decode([0, 1]) == b"Paris"
            scored = await session.score("Paris")
            assert scored.tokens == 2
            assert scored.logprob == pytest.approx(math.log(0.25) + math.log(0.5))
            assert session.tokens == [], "scoring left something behind"
            await session.feed([0])
            assert (await session.next())[1] == 0.0
            await session.feed([1])
            await session.rollback(1)
            assert session.tokens == [0]
            for length in (-1, 2):
                with pytest.raises(ValueError, match="cannot roll back"):
                    await session.rollback(length)
            with pytest.raises(MemberError, match="cannot spell 'xyz'"):
                session.encode("Paxyz")

    asyncio.run(go())


def test_a_token_session_begins_with_the_prefix() -> None:
    model = opened(ScriptedMember("a", ("x",), distributions=after, vocabulary=VOCABULARY))

    async def go() -> None:
        async with model.session(Request((Message("user", "?"),), prefix="Par")) as session:
            assert session.decode(session.tokens) == b"Par"
            assert (await session.next())[3] == pytest.approx(math.log(0.5))

    asyncio.run(go())


def test_without_distributions_there_is_no_session() -> None:
    async def go() -> None:
        with pytest.raises(MemberError) as caught:
            async with opened_model.session(QUESTION):
                pass
        assert caught.value.kind is FailureKind.UNAVAILABLE

    opened_model = opened(ScriptedMember("a", ("x",)))
    asyncio.run(go())


# ---- from a configuration ---------------------------------------------------------------------


def test_replies_of_a_configuration_may_be_texts_or_mappings() -> None:
    made: dict[str, Any] = {
        "members": {
            "a": {"engine": "scripted", "replies": ["Paris", {"text": "Rome", "latency_s": 0.01}]},
            "b": {"engine": "scripted", "replies": [{"text": "Par", "fail": "truncated", "error": "broke off"}]},
        },
        "methods": {"default": {"kind": "vote", "members": ["a", "b"]}},
    }
    with Committee.from_config(made) as committee:
        first, second = committee.ask("?"), committee.ask("?")
    assert (first.text, second.text) == ("Paris", "Rome")
    assert [(f.member, f.kind, f.error) for f in first.failures] == [("b", FailureKind.TRUNCATED, "broke off")]


def test_a_function_cannot_stand_in_a_configuration() -> None:
    made = {"members": {"a": {"engine": "scripted", "script": "print"}}}
    with pytest.raises(ConfigError, match="script"):
        Committee.from_config(made)
