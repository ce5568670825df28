"""What a Responses request comes to as a chat completion, and what is refused before anybody is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coterie.gateway import responses
from coterie.gateway.chat.request import ChatRequest
from coterie.gateway.refusal import Refusal
from coterie.gateway.responses import request as responses_request

FLAT = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
MORE = {**CALL, "call_id": "c2", "id": "fc_2", "status": "completed"}


def read(**fields: Any) -> ChatRequest:
    return responses_request.read(json.dumps({"model": "m", "input": "Hi", **fields}).encode())[1]


def said(*items: Any, **fields: Any) -> Any:
    """The messages that the items come to."""
    return read(input=list(items), **fields).messages


def call(id_: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "weather", "arguments": "{}"}}


# ---- the conversation -------------------------------------------------------------------------


def test_a_text_is_a_users_turn_after_the_instructions() -> None:
    messages: Any = read(input="Où?", instructions="Be brief.").messages
    assert messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Où?"}]
    assert said({"role": "developer", "content": "x"}) == [{"role": "developer", "content": "x"}]


def test_what_an_answer_said_can_be_sent_back_as_it_came() -> None:
    part = {"type": "output_text", "text": "Paris", "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part, part]}
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert said(item, refusal) == [
        {"role": "assistant", "content": "ParisParis"},
        {"role": "assistant", "content": "No."},
    ]


def test_one_text_is_plain_and_several_parts_stay_parts() -> None:
    text = {"type": "input_text", "text": "What is this?"}
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}
    bare = {"type": "input_image", "image_url": "https://example.com/x.png", "file_id": None, "detail": None}
    assert said({"role": "user", "content": [text]}) == [{"role": "user", "content": "What is this?"}]
    (turn,) = said({"type": "message", "role": "user", "content": [text, picture, bare]})
    assert turn["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
    ]
    (marked,) = said({"role": "user", "content": [{**text, "cache": True}]})
    assert marked["content"] == [{"type": "text", "text": "What is this?", "cache": True}]
    assert said({"role": "user", "content": "x"}, {"role": "user", "content": []})[1]["content"] == ""


def test_calls_in_a_row_are_one_turn_of_the_assistant() -> None:
    words = {"role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]}
    first = {"type": "function_call_output", "call_id": "c1", "output": "rain"}
    second = {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "sun"}]}
    assert said({"role": "user", "content": "x"}, words, CALL, MORE, first, second)[1:] == [
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("c1"), call("c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "sun"},
    ]
    assert [turn["role"] for turn in said(CALL, first, MORE, second)] == ["assistant", "tool", "assistant", "tool"]


def test_anothers_reasoning_is_left_out_and_named() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"}
    body = json.dumps({"model": "m", "input": [{"role": "user", "content": "Hi"}, item]}).encode()
    asked, chat = responses_request.read(body)
    assert len(chat.messages) == 1
    assert asked.warnings == ("input items of the type reasoning",)


# ---- the other fields -------------------------------------------------------------------------


def test_tools_are_nested() -> None:
    asked = read(tools=[FLAT], tool_choice={"type": "function", "name": "weather"}, parallel_tool_calls=False)
    function = {"name": "weather", "parameters": {"type": "object"}, "strict": True}
    assert asked.tools == [{"type": "function", "function": function}]
    assert asked.tool_choice == {"type": "function", "function": {"name": "weather"}}
    assert asked.parallel_tool_calls is False


def test_without_tools_nothing_is_said_of_them() -> None:
    asked = read(tools=[], tool_choice="auto", parallel_tool_calls=True)
    assert asked.model_fields_set == {"model", "messages"}


FORMATS: list[tuple[Any, Any]] = [
    ({"type": "text"}, None),
    ({"type": "json_object"}, {"type": "json_object"}),
    (
        {"type": "json_schema", "name": "City", "schema": {"type": "object"}, "strict": True},
        {"type": "json_schema", "json_schema": {"name": "City", "schema": {"type": "object"}, "strict": True}},
    ),
]


@pytest.mark.parametrize(("given", "wanted"), FORMATS)
def test_a_format_is_nested(given: Any, wanted: Any) -> None:
    assert read(text={"format": given}).response_format == wanted


def test_fields_go_by_the_names_that_endpoints_know() -> None:
    asked = read(
        max_output_tokens=9,
        temperature=0,
        top_p=0.5,
        reasoning={"effort": "low"},
        text={"verbosity": "low"},
        include=["message.output_text.logprobs"],
        top_logprobs=3,
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        prompt_cache_key="k",
        seed=4,
        stop=["\n"],
        top_k=7,
        store=False,
        background=False,
        previous_response_id=None,
        coterie={"conversation": "c"},
    )
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.seed, asked.stop) == (9, 0, 0.5, 4, ["\n"])
    assert (asked.logprobs, asked.top_logprobs, asked.user) == (True, 3, "u")
    assert asked.wishes.conversation == "c"
    assert asked.metadata is None  # it is the response's, and endpoints want it of conversations that they store
    more = {"reasoning_effort": "low", "verbosity": "low", "service_tier": "flex", "prompt_cache_key": "k", "top_k": 7}
    assert asked.model_extra == more


def test_what_changes_nothing_is_named() -> None:
    fields = {
        "model": "m",
        "input": "x",
        "stream": True,
        "store": True,
        "reasoning": {"effort": "low", "summary": "auto", "context": None},
        "include": ["reasoning.encrypted_content"],
        "stream_options": {"include_obfuscation": True},
    }
    asked, _ = responses_request.read(json.dumps(fields).encode())
    assert asked.warnings == (
        "reasoning.summary",
        "store",
        "include: reasoning.encrypted_content",
        "stream_options.include_obfuscation",
    )
    quiet, _ = responses_request.read(b'{"model": "m", "input": "x", "store": false, "include": [], "tools": null}')
    assert quiet.warnings == ()


# ---- refusals ---------------------------------------------------------------------------------

PART = {"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "x"}
SCHEMA = {"type": "json_schema", "name": "x"}

CANNOT: list[tuple[dict[str, Any], str]] = [
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"conversation": {"id": "conv_1"}}, "conversation"),
    ({"background": True}, "background"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"context_management": [{"type": "compaction"}]}, "context_management"),
    ({"moderation": {"model": "x"}}, "moderation"),
    ({"n": 2}, "n"),
    ({"messages": []}, "input"),
    ({"max_tokens": 3}, "max_output_tokens"),
    ({"response_format": {"type": "text"}}, "text.format"),
    ({"truncation": "auto"}, "truncation"),
    ({"include": ["file_search_call.results"]}, "include"),
    ({"include": "message.output_text.logprobs"}, "include"),
    ({"include": [7]}, "include[0]"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"top_logprobs": 21, "include": ["message.output_text.logprobs"]}, "top_logprobs"),
    ({"stream_options": {"include_obfuscation": False}}, "stream_options"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [FLAT, {"type": "file_search", "vector_store_ids": []}]}, "tools[1].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{"name": "weather"}]}, "tools[0].type"),
    ({"tools": "weather"}, "tools"),
    ({"tools": [FLAT], "tool_choice": "weather"}, "tool_choice"),
    ({"tools": [FLAT], "tool_choice": {"type": "web_search"}}, "tool_choice"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": ["auto"]}, "tool_choice"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": SCHEMA}}, "text.format.schema"),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
    ({"text": "plain"}, "text"),
    ({"reasoning": {"effort": 3}}, "reasoning.effort"),
    ({"temperature": 9}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"stream": "yes"}, "stream"),
    ({"seed": "x"}, "seed"),
    ({"stop": 5}, "stop"),
    ({"frequency_penalty": 9}, "frequency_penalty"),
    ({"coterie": {"colour": 1}}, "coterie.colour"),
    ({"coterie": {"strict": True}, "store": True}, "store"),
    ({"coterie": {"strict": True}, "include": ["reasoning.encrypted_content"]}, "include"),
    ({"model": ""}, "model"),
    ({"input": []}, "input"),
    ({"input": None}, "input"),
    ({"input": 3}, "input"),
    ({"input": ["x"]}, "input[0]"),
    ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
    ({"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]}, "input[0].content[0].type"),
    ({"input": [{"role": "assistant", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type"),
    ({"input": [PART]}, "input[0].content[0].type"),
    ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0].file_id",
    ),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"),
    ({"input": [{"type": 7}]}, "input[0].type"),
    ({"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]}, "input[0].call_id"),
    ({"input": [OUTPUT]}, "input[0].call_id"),
    ({"input": [CALL, {**OUTPUT, "output": {"a": 1}}]}, "input[1].output"),
    ({"input": [CALL, {**OUTPUT, "output": [{"type": "input_image", "image_url": "x"}]}]}, "input[1].output[0].type"),
    ({"input": [{"role": "user", "content": "x"}] * 10_001}, "input"),
]


@pytest.mark.parametrize(("fields", "param"), CANNOT, ids=lambda value: str(value)[:60])
def test_what_is_not_served_is_refused_and_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(**fields)
    assert caught.value.status == 400
    assert caught.value.param == param
    assert caught.value.message


RUBBISH = [b"", b"[1]", b"no json", b'"x"', b'{"model": "m"}', b'{"model": "m", "input": "\xff"}']
RUBBISH += [b'{"model": "m", "input": "\\ud800"}', b'{"model": "m", "input": "x", "top_k": NaN}']
RUBBISH += [b'{"model": "m", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"]


@pytest.mark.parametrize("body", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        responses_request.read(body)
    assert caught.value.status == 400


def test_a_failure_before_anybody_was_asked_is_a_response_too() -> None:
    writer = responses.read(b'{"model": "m", "input": "Hi", "stream": true}').writers()[0]
    blocks = b"".join(writer.failing(Refusal(503, "nobody is there", code="unavailable"))).decode().split("\n\n")[:-1]
    seen = [json.loads(block.partition("\ndata: ")[2]) for block in blocks]
    kinds = ["response.created", "response.in_progress", "response.failed", "error"]
    assert [event["type"] for event in seen] == kinds
    assert [event["sequence_number"] for event in seen] == [0, 1, 2, 3]
    assert len({event["response"]["id"] for event in seen[:-1]}) == 1
