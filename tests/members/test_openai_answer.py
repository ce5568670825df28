"""Reading what an OpenAI-compatible endpoint answered: what is text, and what is a failure with a name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import MemberError
from coterie.members.openai_answer import LOWEST_LOGPROB, Gathered, error_message, parsed, whole
from coterie.types import Completion, FailureKind, TokenLogprob, Usage

Json = Any
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = {
    "choices": ("message", "delta", "text", "logprobs", "finish_reason"),
    "message": ("content", "tool_calls", "index", "function"),
    "usage": ("prompt_tokens", "prompt_tokens_details", "cost"),
    "logprobs": ("content", "tokens", "token_logprobs", "top_logprobs", "token"),
    "error": (),
}
KEYS = st.sampled_from(sorted({*PLACES, *(key for keys in PLACES.values() for key in keys)}))
LIKE_AN_ANSWER = st.recursive(
    ANY_JSON, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
"""JSON that has the right words in the wrong places."""


def body(choice: Json, **more: Json) -> bytes:
    return json.dumps({"choices": [choice], **more}).encode()


def message(content: Json, **more: Json) -> Json:
    return {"message": {"role": "assistant", "content": content, **more}, "finish_reason": "stop"}


def read(raw: bytes, content_type: str = "application/json") -> Completion:
    return whole(raw, content_type).completion("mini")


def streamed(*chunks: Json) -> Completion:
    gathered = Gathered()
    for chunk in chunks:
        gathered.add_chunk(json.dumps(chunk).encode())
    return gathered.completion("mini")


def delta(content: Json = None, finish_reason: str | None = None, **more: Json) -> Json:
    return {"choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish_reason}]}


def kind_of(raw: bytes, content_type: str = "application/json") -> FailureKind:
    with pytest.raises(MemberError) as caught:
        read(raw, content_type)
    return caught.value.kind


# ---- text -------------------------------------------------------------------------------------


def test_a_chat_answer() -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    made = read(body(message("Paris"), usage=usage))
    assert (made.member, made.text, made.finish_reason) == ("mini", "Paris", "stop")
    assert made.usage == Usage(1, 11, 7, None)


def test_a_plain_completion() -> None:
    assert read(body({"text": " Paris", "finish_reason": "length"})).text == " Paris"
    assert read(body({"text": " Paris", "finish_reason": "length"})).finish_reason == "length"


def test_content_may_be_parts() -> None:
    parts = [{"type": "text", "text": "Pa"}, {"type": "image", "url": "x"}, {"type": "text", "text": "ris"}]
    assert read(body(message(parts))).text == "Paris"


def test_text_is_kept_to_the_letter() -> None:
    text = '  \n{"scores": {"A": 5}}\t<|im_end|> \u202e\x00\x1b[31m é 😀 '
    assert read(body(message(text))).text == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(1, 5))
def test_a_streamed_text_is_the_sum_of_its_pieces(text: str, size: int) -> None:
    pieces = [text[n : n + size] for n in range(0, len(text), size)]
    chunks = [delta("", role="assistant"), *(delta(piece) for piece in pieces), delta(finish_reason="stop")]
    if not text.strip():
        with pytest.raises(MemberError, match="an empty answer"):
            streamed(*chunks)
        return
    assert streamed(*chunks).text == text


def test_a_character_cut_between_two_chunks_is_whole_again() -> None:
    def halves(*escapes: str) -> str:
        gathered = Gathered()
        for escape in escapes:
            gathered.add_chunk(f'{{"choices": [{{"delta": {{"content": "{escape}"}}}}]}}'.encode())
        return gathered.completion("mini").text

    assert halves("so \\ud83d", "\\ude00 so") == "so 😀 so"
    with pytest.raises(MemberError, match="half a character"):
        halves("so \\ud83d", " so")
    with pytest.raises(MemberError, match="half a character"):
        halves("\\ude00", "\\ud83d")


# ---- what surrounds the text ------------------------------------------------------------------


@pytest.mark.parametrize("place", ["own", "last", "every"])
def test_usage_may_stand_on_any_chunk(place: str) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    chunks: list[Json] = [delta("Pa"), delta("ris"), delta(finish_reason="stop")]
    if place == "own":
        chunks.append({"choices": [], "usage": usage})
    elif place == "last":
        chunks[-1]["usage"] = usage
    else:
        chunks = [{**chunk, "usage": {**usage, "completion_tokens": n}} for n, chunk in enumerate(chunks)]
    assert streamed(*chunks).usage == Usage(1, 3, 2, None)


def test_a_null_usage_does_not_wipe_out_an_earlier_one() -> None:
    made = streamed(
        {**delta("Paris"), "usage": {"prompt_tokens": 3, "completion_tokens": 2}}, {**delta(), "usage": None}
    )
    assert made.usage.input_tokens == 3


def test_usage_in_detail() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 30},
        "cost": 0.25,
    }
    assert read(body(message("Paris"), usage=usage)).usage == Usage(1, 100, 50, 0.25, 80, 30)


@pytest.mark.parametrize("usage", [None, {}, [], "many", 7, {"prompt_tokens": "11"}, {"prompt_tokens": -1}])
def test_what_is_not_reported_is_unknown(usage: Json) -> None:
    assert read(body(message("Paris"), usage=usage)).usage == Usage(1, None, None, None)


@pytest.mark.parametrize("odd", [5, [1], "x", True])
def test_odd_details_of_usage_lose_no_answer(odd: Json) -> None:
    usage = {"prompt_tokens": 1, "prompt_tokens_details": odd, "completion_tokens_details": odd}
    made = read(body(message("Paris"), usage=usage))
    assert (made.text, made.usage.input_tokens, made.usage.cached_tokens) == ("Paris", 1, 0)


def test_logprobs_of_a_chat() -> None:
    content = [
        {
            "token": "4",
            "logprob": -0.1,
            "top_logprobs": [{"token": "4", "logprob": -0.1}, {"token": "5", "logprob": -3}],
        },
        {"token": ".", "logprob": -9999.0, "top_logprobs": []},
        {"token": "!", "logprob": None},
    ]
    made = read(body({**message("4.!"), "logprobs": {"content": content}}))
    assert made.logprobs == (
        TokenLogprob("4", -0.1, (("4", -0.1), ("5", -3.0))),
        TokenLogprob(".", -9999.0),
        TokenLogprob("!", LOWEST_LOGPROB),
    )


def test_logprobs_of_a_plain_completion() -> None:
    lists = {"tokens": [" Pa", "ris"], "token_logprobs": [None, -0.5], "top_logprobs": [None, {"ris": -0.5, "tis": -2}]}
    made = read(body({"text": " Paris", "logprobs": lists}))
    assert made.logprobs == (
        TokenLogprob(" Pa", LOWEST_LOGPROB),
        TokenLogprob("ris", -0.5, (("ris", -0.5), ("tis", -2.0))),
    )


def test_logprobs_are_finite_numbers() -> None:
    raw = b'{"choices": [{"message": {"content": "ab"}, "logprobs": {"content": ['
    raw += b'{"token": "a", "logprob": -Infinity}, {"token": "b", "logprob": NaN}]}}]}'
    logprobs = read(raw).logprobs
    assert logprobs is not None
    assert all(math.isfinite(token.logprob) for token in logprobs)


def test_streamed_logprobs_are_joined() -> None:
    def chunk(token: str) -> Json:
        made = delta(token)
        made["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": -1.0}]}
        return made

    logprobs = streamed(chunk("Pa"), chunk("ris")).logprobs
    assert [token.token for token in logprobs or ()] == ["Pa", "ris"]


def test_tool_calls_without_text_are_an_answer() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    made = read(body({"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}))
    assert (made.text, made.tool_calls, made.finish_reason) == ("", (call,), "tool_calls")


def test_streamed_tool_calls_are_put_together_by_index() -> None:
    def piece(index: int, arguments: str, **more: Json) -> Json:
        function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
        return {"index": index, "function": function, **more}

    made = streamed(
        delta(tool_calls=[piece(0, "", id="a", name="weather"), piece(1, "", id="b", name="time")]),
        delta(tool_calls=[piece(1, '{"zone"')]),
        delta(tool_calls=[piece(0, '{"city": "Paris"}'), piece(1, ': "CET"}')]),
        delta(finish_reason="tool_calls"),
    )
    assert [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in made.tool_calls] == [
        ("a", "weather", '{"city": "Paris"}'),
        ("b", "time", '{"zone": "CET"}'),
    ]


def test_tool_calls_without_a_usable_index_keep_their_order() -> None:
    calls = [{"index": index, "function": {"name": name}} for index, name in ((None, "a"), ("1", "b"), (2, "c"))]
    made = read(body({"message": {"content": None, "tool_calls": calls}}))
    assert [call["function"]["name"] for call in made.tool_calls] == ["a", "b", "c"]


# ---- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "", " \n\t", [], [{"type": "image"}]])
def test_no_text_is_empty(content: Json) -> None:
    assert kind_of(body(message(content))) is FailureKind.EMPTY


def test_absent_content_is_empty() -> None:
    assert kind_of(body({"message": {"role": "assistant"}})) is FailureKind.EMPTY
    assert kind_of(body({"finish_reason": "stop"})) is FailureKind.EMPTY


def test_an_empty_answer_says_why_and_what_it_cost() -> None:
    choice = {"message": {"content": None}, "finish_reason": "content_filter"}
    with pytest.raises(MemberError, match="content_filter") as caught:
        read(body(choice, usage={"prompt_tokens": 5, "completion_tokens": 0}))
    assert caught.value.usage == Usage(1, 5, 0, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"Paris"',
        b"Paris",
        b"{",
        b'{"choices": [{"message": {"content": "It is Par',
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": {}}',
        b'{"choices": {"0": {"text": "Paris"}}}',
        b'{"choices": "Paris"}',
        b'{"choices": [null]}',
        b'{"choices": ["Paris"]}',
        b'{"choices": [{"message": "Paris"}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"content": {"text": "Paris"}}}]}',
        b'{"choices": [{"message": {"content": ["Paris"]}}]}',
        b'{"choices": [{"message": {"content": "a\\ud800b"}}]}',
        b'{"choices": [{"message": {"content": "caf\xe9"}}]}',
        b'{"choices": [{"text": "x", "logprobs": {"tokens": ["x"], "token_logprobs": []}}]}',
        b'{"choices": [{"text": "x", "logprobs": {"content": [{"logprob": 1}]}}]}',
        b'{"choices": [{"message": {"content": "x", "tool_calls": [5]}}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_malformed(raw: bytes) -> None:
    assert kind_of(raw) is FailureKind.MALFORMED


def test_html_is_malformed_whatever_it_says() -> None:
    assert kind_of(body(message("Paris")), "text/html") is FailureKind.MALFORMED


@pytest.mark.parametrize("error", [{"message": "overloaded", "code": 502}, "overloaded", {"detail": "overloaded"}])
def test_an_error_object_is_an_error_whatever_the_status(error: Json) -> None:
    with pytest.raises(MemberError, match="overloaded") as caught:
        read(body(message("Paris"), error=error))
    assert caught.value.kind is FailureKind.HTTP
    with pytest.raises(MemberError, match="overloaded"):
        streamed(delta("Pa"), {**delta("ris"), "error": error})


@pytest.mark.parametrize("choices", [{"0": {}}, 5, "x", [None], [5], [[]]])
def test_a_chunk_of_an_unknown_shape_is_malformed(choices: Json) -> None:
    with pytest.raises(MemberError) as caught:
        streamed(delta("Pa"), {"choices": choices})
    assert caught.value.kind is FailureKind.MALFORMED


@given(LIKE_AN_ANSWER)
def test_whatever_it_answers_is_text_or_a_named_failure(value: Json) -> None:
    raw = json.dumps(value).encode()
    for read_as in (_whole, _chunk):
        try:
            made = read_as(raw).completion("mini")
        except MemberError:
            continue
        assert made.text.strip() or made.tool_calls
        made.text.encode()


@given(LIKE_AN_ANSWER)
def test_a_choice_of_any_shape_is_text_or_a_named_failure(choice: Json) -> None:
    test = {"choices": [choice]} if not isinstance(choice, Mapping) else {"choices": [{"message": choice, **choice}]}
    try:
        made = read(json.dumps(test).encode())
    except MemberError:
        return
    assert made.text.strip() or made.tool_calls


def _whole(raw: bytes) -> Gathered:
    return whole(raw, "application/json")


def _chunk(raw: bytes) -> Gathered:
    gathered = Gathered()
    gathered.add_chunk(raw)
    return gathered


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(raw: bytes) -> None:
    try:
        made = parsed(raw)
    except MemberError:
        return
    assert isinstance(made, Mapping)


# ---- messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"error": {"message": "no\\n  such   model"}}', "no such model"),
        (b'{"error": "busy"}', "busy"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b"<html>Bad gateway</html>", "Bad gateway"),
        (b"\xff\xfe", "\ufffd"),
        (b"[1]", "1"),
    ],
)
def test_what_an_error_says_in_one_line(raw: bytes, said: str) -> None:
    assert said in error_message(raw)
    assert "\n" not in error_message(raw)


def test_an_error_does_not_quote_a_page() -> None:
    for raw in (b"x" * 10**6, json.dumps({"error": {"message": "x" * 10**6}}).encode()):
        assert len(error_message(raw)) < 3000
    with pytest.raises(MemberError) as caught:
        read(b"x" * 10**6)
    assert len(str(caught.value)) < 3000
