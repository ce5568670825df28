"""What finds a conversation again: equal for what means the same, different for what does not, stable for ever."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.store.keys import MOST_BEGINNINGS, Keys, beginnings, keys, repeated
from coterie.types import Json, Message

TEXTS = st.text(max_size=12)
"""Lone surrogates are no text that JSON over HTTP could bring, so hypothesis' own text is what comes."""

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C", "M")), min_size=1, max_size=8)
TEXT: Mapping[str, Json] = {"type": "text", "text": "a"}
IMAGE: Mapping[str, Json] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def tool_call(id_: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
    return {"id": id_, "type": "function", "function": {"name": "look", "arguments": json.dumps(arguments)}}


@st.composite
def exchanges(draw: st.DrawFn) -> list[Message]:
    """A question and its answer, perhaps by way of a tool."""
    turns = [Message("user", draw(WORDS))]
    if draw(st.booleans()):
        id_ = draw(st.uuids()).hex
        arguments = draw(st.dictionaries(WORDS, st.integers() | WORDS, max_size=3))
        turns += [
            Message("assistant", "", {"tool_calls": [tool_call(id_, arguments)]}),
            Message("tool", draw(WORDS), {"tool_call_id": id_}),
        ]
    return [*turns, Message("assistant", draw(WORDS))]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """A system prompt or none, and some exchanges; the last message is an answer."""
    system = draw(st.lists(WORDS.map(lambda text: Message("system", text)), max_size=1))
    return tuple(system) + tuple(m for turn in draw(st.lists(exchanges(), min_size=1, max_size=4)) for m in turn)


@settings(max_examples=60)
@given(conversations(), WORDS)
def test_the_next_request_finds_what_the_last_one_left(answered: tuple[Message, ...], question: str) -> None:
    sent = (*answered, Message("user", question))
    assert repeated(sent) == answered
    assert keys(repeated(sent), "") == keys(answered, "")


@settings(max_examples=60)
@given(conversations())
def test_beginnings_are_all_up_to_each_earlier_answer_longest_first(answered: tuple[Message, ...]) -> None:
    found = list(beginnings(answered))
    answers = [place for place, message in enumerate(answered) if message.role == "assistant"]
    assert [len(part) for part in found] == [place + 1 for place in reversed(answers[:-1])][:MOST_BEGINNINGS]
    assert all(part == answered[: len(part)] for part in found)


@settings(max_examples=60)
@given(conversations(), conversations())
def test_different_conversations_have_different_keys(a: tuple[Message, ...], b: tuple[Message, ...]) -> None:
    def plain(messages: tuple[Message, ...]) -> list[Any]:
        """Everything but the ids that tool calls go by."""
        return [
            (m.role, unicodedata.normalize("NFC", m.text), [c["function"] for c in m.extra.get("tool_calls", ())])
            for m in messages
        ]

    assert (keys(a, "").exact == keys(b, "").exact) == (plain(a) == plain(b))


@settings(max_examples=60)
@given(conversations(), st.data())
def test_what_the_user_said_cannot_be_changed_unnoticed(messages: tuple[Message, ...], data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([i for i, m in enumerate(messages) if m.role == "user"]))
    edited = (*messages[:place], Message("user", messages[place].text + "x"), *messages[place + 1 :])
    assert keys(edited, "").exact != keys(messages, "").exact
    assert keys(edited, "").words != keys(messages, "").words


@settings(max_examples=60)
@given(conversations(), TEXTS, st.data())
def test_an_answer_that_was_altered_leaves_the_words(
    messages: tuple[Message, ...], other: str, data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from([i for i, m in enumerate(messages) if m.role != "user"]))
    altered = (*messages[:place], Message(messages[place].role, other), *messages[place + 1 :])
    assert keys(altered, "").words == keys(messages, "").words
    without = tuple(m for m in messages if m.role == "user")
    assert keys(without, "").words == keys(messages, "").words


@settings(max_examples=60)
@given(conversations(), st.sampled_from(["\n", " ", "\r\n", "\t "]), st.integers(0, 3))
def test_white_space_around_a_message_means_nothing(messages: tuple[Message, ...], space: str, times: int) -> None:
    padded = tuple(replace(m, content=space * times + m.text + space) for m in messages)
    assert keys(padded, "") == keys(messages, "")


@settings(max_examples=60)
@given(conversations())
def test_text_as_content_parts_is_the_same_text(messages: tuple[Message, ...]) -> None:
    parts = tuple(
        replace(
            m,
            content=(
                {"type": "text", "text": m.text[:2]},
                {"type": "text", "text": m.text[2:], "cache_control": {"type": "ephemeral"}},
            ),
        )
        for m in messages
    )
    assert keys(parts, "") == keys(messages, "")


@settings(max_examples=60)
@given(conversations(), st.integers(1, 9))
def test_tool_calls_may_be_given_other_ids_and_other_spaces(messages: tuple[Message, ...], indent: int) -> None:
    def rewritten(message: Message) -> Message:
        extra = dict(message.extra)
        if "tool_calls" in extra:
            [call] = extra["tool_calls"]
            arguments = json.dumps(json.loads(call["function"]["arguments"]), indent=indent, ensure_ascii=False)
            function = {"arguments": arguments, "name": "look"}
            extra["tool_calls"] = [{"function": function, "id": f"call_{call['id']}", "index": 0, "type": "function"}]
        if "tool_call_id" in extra:
            extra["tool_call_id"] = f"call_{extra['tool_call_id']}"
        return replace(message, extra=extra)

    assert keys(tuple(map(rewritten, messages)), "") == keys(messages, "")


@settings(max_examples=60)
@given(conversations(), TEXTS, TEXTS)
def test_scopes_share_no_key(messages: tuple[Message, ...], a: str, b: str) -> None:
    one, other = keys(messages, a), keys(messages, b)
    assert (one.exact == other.exact) == (one.words == other.words) == (a == b)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Message("system", "Be brief."), Message("developer", "Be brief.")),
        (Message("user", "caf\u00e9"), Message("user", "cafe\u0301")),
        (Message("user", "a\r\nb\rc"), Message("user", "a\nb\nc")),
        (Message("user", (IMAGE,)), Message("user", ({"type": "text", "text": " "}, IMAGE))),
        (Message("assistant", "yes", {"refusal": None, "annotations": []}), Message("assistant", "yes")),
        (Message("assistant", "yes", {"reasoning_content": "hm"}), Message("assistant", "yes", {"tool_calls": None})),
    ],
)
def test_what_means_the_same_has_the_same_keys(one: Message, other: Message) -> None:
    assert keys([one], "") == keys([other], "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([Message("user", "a"), Message("user", "b")], [Message("user", "ab")]),
        ([Message("user", "a b")], [Message("user", "ab")]),
        ([Message("user", "a")], [Message("assistant", "a")]),
        ([Message("user", "a")], [Message("system", "a")]),
        ([Message("user", "a")], [Message("user", "a"), Message("user", "")]),
        ([Message("user", "a", {"name": "ann"})], [Message("user", "a", {"name": "bob"})]),
        ([Message("user", (IMAGE,))], [Message("user", "")]),
        ([Message("user", (TEXT, IMAGE))], [Message("user", (IMAGE, TEXT))]),
        ([Message("user", "a  b")], [Message("user", "a b")]),
    ],
)
def test_what_does_not_mean_the_same_has_another_key(one: list[Message], other: list[Message]) -> None:
    assert keys(one, "").exact != keys(other, "").exact


def test_white_space_between_words_is_none_of_the_words() -> None:
    assert keys([Message("user", "a  b\n\tc ")], "").words == keys([Message("user", "a b c")], "").words


def test_who_answers_whom_is_part_of_the_key() -> None:
    def asked(*order: str) -> list[Message]:
        calls = [tool_call("x", {"n": 1}), tool_call("y", {"n": 2})]
        answers = [Message("tool", "seen", {"tool_call_id": id_}) for id_ in order]
        return [Message("assistant", "", {"tool_calls": calls}), *answers]

    assert keys(asked("x", "y"), "").exact != keys(asked("y", "x"), "").exact


@pytest.mark.parametrize("arguments", ["{", "not JSON", '{"a": NaN}', "[" * 100_000, "1" * 10_000, None, {"a": 1}])
def test_arguments_that_are_no_json_are_hashed_as_they_are(arguments: Json) -> None:
    def called(given: Json) -> list[Message]:
        return [Message("assistant", "", {"tool_calls": [{"id": "x", "function": {"name": "f", "arguments": given}}]})]

    assert keys(called(arguments), "") == keys(called(arguments), "")
    assert keys(called(arguments), "").exact != keys(called("{}"), "").exact


@pytest.mark.parametrize("calls", ["x", 3, {"id": "x"}, ["x", None], [{"type": "custom", "custom": {"input": "a"}}]])
def test_tool_calls_of_any_shape_are_no_error(calls: Json) -> None:
    message = Message("assistant", "", {"tool_calls": calls})
    assert keys([message], "") == keys([message], "")


@pytest.mark.parametrize(
    ("roles", "length"),
    [
        ("", 0),
        ("u", 0),
        ("su", 0),
        ("ua", 0),
        ("uau", 2),
        ("suauau", 5),
        ("uaua", 2),
        ("uat", 2),
        ("uatau", 4),
        ("a", 0),
    ],
)
def test_what_an_earlier_turn_may_have_left(roles: str, length: int) -> None:
    role: Mapping[str, Any] = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    messages = tuple(Message(role[letter], str(i)) for i, letter in enumerate(roles))
    assert repeated(messages) == messages[:length]


def test_without_a_user_there_are_no_words() -> None:
    assert keys([Message("system", "a"), Message("assistant", "b")], "").words is None
    assert keys([], "").words is None


GOLDEN = (
    Message("system", "Be brief."),
    Message("user", ({"type": "text", "text": "Wie heißt das? 日本"}, IMAGE)),
    Message("assistant", "", {"tool_calls": [tool_call("call_1", {"b": 1.5, "a": [True, None]})]}),
    Message("tool", "Ein Bild.\r\n", {"tool_call_id": "call_1"}),
    Message("assistant", "A picture. \ud83d"),
)


def test_the_keys_are_the_same_in_every_process_and_every_version() -> None:
    """What was written under these must be found: a change of the form takes a new `FORMAT`, and both looked up."""
    found = keys(GOLDEN, "key-1")
    assert found == Keys(
        "bd9a2cd0a5dc3713fa9dfac24630a60274cd10dcbe05528c5f4166f0c25f5620",
        "8b987c7a1b2caed94c5f0dd24c18c8170d81ad471db429257c7bd2147abc54b5",
    )
    code = "from test_keys import GOLDEN; from coterie.store.keys import keys; print(keys(GOLDEN, 'key-1').exact)"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert done.stdout.strip() == found.exact
