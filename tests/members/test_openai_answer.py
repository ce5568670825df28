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
from coterie.types import Completion, FailureKind, Price, TokenLogprob, Usage

Json = Any
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = {
    "choices": ("message", "delta", "text", "logprobs", "finish_reason"),
    "message": ("content", "tool_calls", "index", "function", "custom", "name", "id", "arguments", "refusal"),
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


def read(raw: bytes, content_type: str = "application/json", price: Price | None = None) -> Completion:
    return whole(raw, content_type).completion("mini", price)


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


def test_half_a_character_is_told_in_bytes() -> None:
    half = {"token": "\\xf0\\x9f", "logprob": -0.5, "bytes": [240, 159]}
    whole_one = {"token": "a", "logprob": -1.0, "bytes": None}
    content = [
        {**half, "top_logprobs": [half, whole_one]},
        {**whole_one, "bytes": [1, 256], "top_logprobs": [whole_one]},
    ]
    made = read(body({**message("x"), "logprobs": {"content": content}}))
    assert made.logprobs is not None
    assert [(said.octets, said.top_octets) for said in made.logprobs] == [
        ((240, 159), ((240, 159), None)),
        (None, ()),
    ]


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


def piece(index: int | None, id_: str | None, name: str | None, arguments: str) -> Json:
    """One piece of a called function, as endpoints stream it; what is ``None`` is left out."""
    function = {"arguments": arguments, **({} if name is None else {"name": name})}
    more = {} if index is None else {"index": index}
    return {**more, **({} if id_ is None else {"id": id_}), "type": "function", "function": function}


def called(made: Completion) -> list[tuple[str | None, str, str]]:
    return [(c.get("id"), c["function"]["name"], c["function"]["arguments"]) for c in made.tool_calls]


P, Q = '{"c": "P"}', '{"c": "Q"}'


@pytest.mark.parametrize("index", [0, None])
def test_a_new_id_begins_a_new_call_whatever_its_index(index: int | None) -> None:
    pieces = [piece(index, "a", "w", P), piece(index, "b", "w", '{"c":'), piece(index, None, None, ' "Q"}')]
    assert called(streamed(*(delta(tool_calls=[p]) for p in pieces))) == [("a", "w", P), ("b", "w", Q)]
    assert called(streamed(delta(tool_calls=pieces[:2]), delta(tool_calls=pieces[2:])))[0] == ("a", "w", P)
    whole_calls = [piece(index, "a", "w", P), piece(index, "b", "w", Q)]
    made = read(body({"message": {"content": None, "tool_calls": whole_calls}}))
    assert called(made) == [("a", "w", P), ("b", "w", Q)]


@pytest.mark.parametrize("index", [0, None])
@pytest.mark.parametrize("id_", [None, ""])
def test_calls_without_ids_are_told_apart_by_what_is_whole(index: int | None, id_: str | None) -> None:
    pieces = [piece(index, id_, "w", P), piece(index, id_, "w", Q), piece(index, id_, "v", "{}")]
    made = streamed(*(delta(tool_calls=[p]) for p in pieces))
    assert called(made) == [(None, "w", P), (None, "w", Q), (None, "v", "{}")]
    same = read(body({"message": {"content": None, "tool_calls": pieces}}))
    assert called(same) == called(made)


@given(
    calls=st.lists(
        st.tuples(st.sampled_from("vw"), st.dictionaries(st.text(max_size=3), st.text(max_size=5))),
        min_size=1,
        max_size=4,
    ),
    numbering=st.sampled_from(["each", "zero", "none"]),
    ids=st.booleans(),
    repeats=st.booleans(),
    size=st.integers(1, 9),
)
def test_calls_in_pieces_are_what_they_were(
    calls: list[tuple[str, Json]], numbering: str, ids: bool, repeats: bool, size: int
) -> None:
    chunks: list[Json] = []
    wanted = [(f"call_{n}" if ids else None, name, json.dumps(given)) for n, (name, given) in enumerate(calls)]
    for n, (id_, name, arguments) in enumerate(wanted):
        index = {"each": n, "zero": 0, "none": None}[numbering]
        for start in range(0, len(arguments), size):
            told = name if start == 0 or repeats else None
            bit = piece(index, id_ if start == 0 else None, told, arguments[start : start + size])
            chunks.append(delta(tool_calls=[bit]))
    assert called(streamed(*chunks)) == wanted


@pytest.mark.parametrize("id_", ["a", None])
def test_a_name_that_is_repeated_is_taken_once(id_: str | None) -> None:
    pieces = [piece(0, id_, "w", ""), piece(0, id_, "w", '{"c":'), piece(0, id_, "w", ' "P"}'), piece(0, id_, "w", "")]
    made = streamed(*(delta(tool_calls=[p]) for p in pieces))
    assert called(made) == [(id_, "w", P)]


def test_a_custom_tool_is_called_with_words_bit_by_bit() -> None:
    first = {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    made = streamed(delta(tool_calls=[first]), delta(tool_calls=[{"index": 0, "custom": {"input": " -l"}}]))
    assert made.tool_calls == ({"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}},)
    entire = {"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}
    assert read(body({"message": {"content": None, "tool_calls": [entire]}})).tool_calls == made.tool_calls


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(0, "a", "w", P), piece(0, None, None, Q)],
        [piece(0, "a", "w", P), piece(0, "a", "w", Q)],
        [piece(0, "a", "w", ""), piece(0, "a", "v", P)],
        [piece(0, None, "w", ""), piece(0, None, "v", P)],
        [piece(0, "a", "w", '{"c":'), piece(0, "b", None, '"P"}')],
        [piece(0, "a", None, P)],
        [{"index": 0, "id": "a", "type": "custom", "custom": {"input": "ls"}}],
    ],
)
def test_calls_that_cannot_be_told_apart_are_malformed(pieces: list[Json]) -> None:
    with pytest.raises(MemberError) as caught:
        streamed(*(delta(tool_calls=[p]) for p in pieces), {"choices": [], "usage": {"prompt_tokens": 3}})
    assert caught.value.kind is FailureKind.MALFORMED
    assert caught.value.usage in (None, Usage(1, 3, None, None))


def test_a_function_of_the_old_form_is_a_call_too() -> None:
    call = {"name": "w", "arguments": P}
    made = read(body({"message": {"content": None, "function_call": call}, "finish_reason": "function_call"}))
    assert (made.tool_calls, made.finish_reason) == (({"type": "function", "function": call},), "function_call")
    bits = [{"name": "w", "arguments": ""}, {"arguments": '{"c":'}, {"arguments": ' "P"}'}]
    again = streamed(*(delta(function_call=bit) for bit in bits), delta(finish_reason="function_call"))
    assert (again.tool_calls, again.finish_reason) == (made.tool_calls, "function_call")


# ---- refusals, and why an answer ends ---------------------------------------------------------


def test_a_refusal_is_what_it_is() -> None:
    made = read(body(message(None, refusal="I cannot help with that.")))
    assert (made.text, made.refusal, made.finish_reason) == ("", "I cannot help with that.", "stop")
    assert made.declined
    bits = [delta(role="assistant", refusal=""), delta(refusal="I cannot "), delta(refusal="help with that.")]
    assert streamed(*bits, delta(finish_reason="stop")).refusal == made.refusal
    assert not read(body(message("Paris", refusal=None))).declined
    assert kind_of(body(message(None, refusal=""))) is FailureKind.EMPTY
    assert kind_of(body(message(None, refusal={"no": 1}))) is FailureKind.MALFORMED


def test_what_a_filter_left_nothing_of_is_no_answer_and_no_fault() -> None:
    made = read(body({"message": {"content": ""}, "finish_reason": "content_filter"}))
    assert (made.text, made.finish_reason, made.declined) == ("", "content_filter", True)
    assert not read(body({"message": {"content": "Par"}, "finish_reason": "content_filter"})).declined


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("LENGTH", "length"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("eos", "stop"),
        ("tool_use", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("content-filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("because", "because"),
        (7, "7"),
        (None, "stop"),
    ],
)
def test_why_it_ended_in_one_vocabulary(said: Json, meant: str) -> None:
    choice = {"message": {"content": "Paris", "tool_calls": [piece(0, "a", "w", P)]}, "finish_reason": said}
    assert read(body(choice)).finish_reason == meant


@pytest.mark.parametrize("reason", ["error", "ERROR", "abort", "stop"])
def test_half_an_answer_with_an_error_is_none(reason: str) -> None:
    error = {"error": {"message": "boom", "code": 502}} if reason in ("error", "stop") else {}
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    said = "boom" if error else reason
    choice = {"message": {"content": "half ans"}, "finish_reason": reason, **error}
    with pytest.raises(MemberError, match=said) as caught:
        read(body(choice, usage=usage), price=Price(1.0, 1.0))
    assert (caught.value.kind, caught.value.usage) == (FailureKind.HTTP, Usage(1, 1, 2, 0.000003))
    ending = delta(finish_reason=reason)
    ending["choices"][0] |= error
    with pytest.raises(MemberError, match=said) as caught:
        streamed(delta("half"), ending, {"choices": [], "usage": usage})
    assert caught.value.usage == Usage(1, 1, 2, None)


def test_an_error_of_the_other_form_is_one_too() -> None:
    error = {"object": "error", "message": "max len 10", "code": 400}
    assert kind_of(json.dumps(error).encode()) is FailureKind.HTTP
    with pytest.raises(MemberError, match="max len 10"):
        streamed(delta("Pa"), error)


def test_a_delta_may_be_null_and_a_body_may_begin_with_a_mark() -> None:
    last = {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}
    assert streamed(delta("Paris"), last).text == "Paris"
    assert read(b"\xef\xbb\xbf" + body(message("Paris"))).text == "Paris"


def test_an_absurd_count_is_an_unknown_one() -> None:
    for absurd in (10**400, 10**15, True, 1.5):
        usage = {"prompt_tokens": 5, "completion_tokens": absurd, "cost": 10**400}
        assert read(body(message("Paris"), usage=usage), price=Price(1.0, 1.0)).usage == Usage(1, 5, None, None)
        assert read(body(message("Paris"), usage=usage)).usage.cost_usd is None
    many = {"prompt_tokens": 5, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 50}}
    assert read(body(message("Paris"), usage=many), price=Price(1.0, 1.0, 0.1)).usage == Usage(1, 5, 0, 5e-7, 5)
    assert kind_of(body({**message("x"), "logprobs": {"content": [{"token": "x", "logprob": 10**400}]}})) is (
        FailureKind.MALFORMED
    )


def test_what_is_said_beside_the_text_is_kept() -> None:
    cites: Json = [{"type": "url_citation"}]
    made = read(body(message("4", reasoning_content="two and two", annotations=cites, audio=None)))
    assert made.beside == {"reasoning_content": "two and two", "annotations": cites}
    again = streamed(delta(reasoning_content="two "), delta(reasoning_content="and two"), delta("4", annotations=cites))
    assert again.beside == made.beside


# ---- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "", " \n\t", [], [{"type": "image"}]])
def test_no_text_is_empty(content: Json) -> None:
    assert kind_of(body(message(content))) is FailureKind.EMPTY


def test_absent_content_is_empty() -> None:
    assert kind_of(body({"message": {"role": "assistant"}})) is FailureKind.EMPTY
    assert kind_of(body({"finish_reason": "stop"})) is FailureKind.EMPTY


def test_an_empty_answer_says_why_and_what_it_cost() -> None:
    choice = {"message": {"content": None}, "finish_reason": "length"}
    with pytest.raises(MemberError, match="length") as caught:
        read(body(choice, usage={"prompt_tokens": 5, "completion_tokens": 700}), price=Price(1.0, 100.0))
    assert caught.value.usage == Usage(1, 5, 700, 0.070005)
    with pytest.raises(MemberError, match="half a character") as caught:
        read(body(message("\ud83d"), usage={"prompt_tokens": 5, "completion_tokens": 1}), price=Price(1.0, 100.0))
    assert caught.value.usage == Usage(1, 5, 1, 0.000105)


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
        assert made.text.strip() or made.tool_calls or made.declined or made.logprobs
        (made.text + made.refusal).encode()


@given(LIKE_AN_ANSWER)
def test_a_choice_of_any_shape_is_text_or_a_named_failure(choice: Json) -> None:
    test = {"choices": [choice]} if not isinstance(choice, Mapping) else {"choices": [{"message": choice, **choice}]}
    try:
        made = read(json.dumps(test).encode())
    except MemberError:
        return
    assert made.text.strip() or made.tool_calls or made.declined or made.logprobs


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
