"""Anthropic's Messages through the official client: what is answered, what it cost, what is refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from coterie.config import ApiKey, Config, GatewaySettings
from coterie.gateway import keys, messages
from coterie.gateway.messages.chat import as_chat
from coterie.gateway.messages.request import read
from coterie.gateway.refusal import Refusal
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.vote import Vote
from coterie.types import Price
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Body, Script
from http_replies import Reply as Http

QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}


def called(arguments: str, finish_reason: str = "tool_calls", text: str = "") -> Http:
    call = {**CALL, "function": {"name": "weather", "arguments": arguments}}
    return Http(text, content_null=not text, message={"tool_calls": [call]}, finish_reason=finish_reason)


def agent(body: Body, nth: int) -> Http:
    """Calls a tool, and then says what came of it."""
    last = body["messages"][-1]
    return Http(f"It is: {last['content']}") if last["role"] == "tool" else called('{"city": "Zürich"}')


HTTP: dict[str, Script] = {
    "agent": agent,
    "plain": Http("Paris"),
    "written": Http("Zürich, 東京 and 🗼", pieces=7, piece_delay_s=0.005),
    "calls": called('{"city": "Zürich"}'),
    "says_and_calls": called('{"city": "Zürich"}', "stop", "Let me see."),
    "calls_nothing": called(""),
    "calls_a_list": called("[1]"),
    "calls_nonsense": called('{"city": NaN}'),
    "calls_half": called('{"city": "Zü', "length"),
    "cut": Http("It is Par", finish_reason="length"),
    "filtered": Http("No.", finish_reason="content_filter"),
    "refuses": Http("", content_null=True, message={"refusal": "I cannot help with that."}),
    "nothing": Http("", finish_reason="content_filter"),
    "calls_custom": Http(
        "", content_null=True, message={"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sh"}}]}
    ),
    "json": Http('{"city": "Paris"}'),
    "cached": Http(
        usage={
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 8},
        }
    ),
    "silent": Http(usage=None),
    "500": Http(status=500),
    "429": Http(status=429, headers={"Retry-After": "7"}),
    "400": Http(status=400, error={"message": "context length exceeded"}),
    "hang": Http(hang=True),
    "midway": Http("It is Paris, on the Seine.", pieces=10, piece_delay_s=0.01, die_after_pieces=5),
}
CHEAP = Price(1.0, 2.0)
KEY = "ck-" + "k" * 43


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer(HTTP) as server:
        yield server


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    http = {
        name: OpenAIMember(
            name, upstream.base_url, name, price=CHEAP, retries=0, timeout_s=0.3 if name == "hang" else 5
        )
        for name in HTTP
    }
    scripted = {
        "a": ScriptedMember("a", ("Paris",), price=CHEAP),
        "b": ScriptedMember("b", ("Paris",), price=CHEAP),
        "slow": ScriptedMember("slow", (Reply("Paris is slow", pieces=3, piece_s=0.01),), price=CHEAP),
    }
    methods: Any = {
        "default": Vote(("a", "b")),
        "written": PeerBlend(("a", "b"), aggregator="slow"),
        "fused": PeerBlend(("a", "b")),
        "blend": PeerBlend(("calls", "plain"), final="select"),
    }
    known = ApiKey("tests", keys.hashed(KEY))
    narrow = ApiKey("narrow", keys.hashed("ck-narrow"), models=("plain",))
    with GatewayServer(Config({**http, **scripted}, methods, gateway=GatewaySettings((known, narrow)))) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: GatewayServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key=KEY, max_retries=0, timeout=10) as made:
        yield made


def ask(client: anthropic.Anthropic, model: str, **how: Any) -> Any:
    return client.messages.create(**{"model": model, "max_tokens": 50, "messages": QUESTION, **how})


# ---- whole answers ----------------------------------------------------------------------------


def test_a_method_answers_with_the_sum_of_what_its_members_took(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(model="coterie/default", max_tokens=50, messages=QUESTION)
    answer = raw.parse()
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", "coterie/default")
    assert [block.to_dict() for block in answer.content] == [{"type": "text", "text": "Paris"}]
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    account: Any = answer.model_extra and answer.model_extra["coterie"]
    assert sorted(account["members"]) == ["a", "b"]
    assert answer.usage.input_tokens == sum(m["prompt_tokens"] for m in account["members"].values()) > 0
    assert answer.usage.output_tokens == sum(m["completion_tokens"] for m in account["members"].values()) > 0
    assert answer.id == "msg_" + account["run_id"].removeprefix("run-")
    assert raw.headers["request-id"] == raw.headers["x-request-id"]
    assert raw.headers["x-coterie-calls"] == "2"


def test_cached_tokens_are_counted_beside_the_others(client: anthropic.Anthropic) -> None:
    usage = ask(client, "cached").usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (36, 64, 0)
    assert (usage.output_tokens, usage.output_tokens_details.thinking_tokens) == (20, 8)


def test_tokens_that_nobody_counted_are_said_to_be_unknown(client: anthropic.Anthropic) -> None:
    answer = ask(client, "silent")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (0, 0)
    assert answer.coterie["tokens_known"] is False


@pytest.mark.parametrize(("model", "reason"), [("cut", "max_tokens"), ("filtered", "refusal"), ("plain", "end_turn")])
def test_it_says_why_it_stopped(client: anthropic.Anthropic, model: str, reason: str) -> None:
    assert ask(client, model).stop_reason == reason


def test_everything_a_chat_can_be_asked_reaches_the_endpoint(
    client: anthropic.Anthropic, upstream: FaultServer
) -> None:
    conversation: Any = [
        {"role": "user", "content": [{"type": "text", "text": "One 🗼"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]},
        {"role": "user", "content": "And?"},
    ]
    system: Any = [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be kind."},
    ]
    raw = client.messages.with_raw_response.create(
        model="plain",
        max_tokens=9,
        system=system,
        messages=conversation,
        stop_sequences=["\n", "END"],
        metadata={"user_id": "u-1"},
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 4, "min_p": 0.1},
    )
    assert "x-coterie-warnings" not in raw.headers
    sent = upstream.of("plain")[-1].body
    assert sent == {
        "model": "plain",
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "seed": 4,
        "min_p": 0.1,
        "stop": ["\n", "END"],
        "messages": [
            {"role": "system", "content": "Be brief.\nBe kind."},
            {"role": "user", "content": "One 🗼\ntwo"},
            {"role": "assistant", "content": "Yes"},
            {"role": "user", "content": "And?"},
        ],
    }


def test_pictures_reach_an_endpoint_in_their_place(client: anthropic.Anthropic, upstream: FaultServer) -> None:
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "text", "text": "or"},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/cat.jpg"}},
    ]
    ask(client, "plain", messages=[{"role": "user", "content": content}])
    assert upstream.of("plain")[-1].body["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "or"},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.jpg"}},
    ]


def test_a_schema_reaches_an_endpoint(client: anthropic.Anthropic, upstream: FaultServer) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    answer = ask(client, "json", output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(answer.content[0].text) == {"city": "Paris"}
    assert upstream.of("json")[-1].body["response_format"]["json_schema"]["schema"] == schema


class City(BaseModel):
    city: str


def test_parse_gives_the_object_that_the_schema_describes(client: anthropic.Anthropic) -> None:
    answer = client.messages.parse(model="json", max_tokens=50, messages=QUESTION, output_format=City)
    assert answer.parsed_output == City(city="Paris")


def test_a_wish_is_granted(client: anthropic.Anthropic) -> None:
    answer = ask(client, "coterie/fused", extra_body={"coterie": {"method": {"final": "select"}}})
    assert answer.coterie["how"] == "ranked"


# ---- tools ------------------------------------------------------------------------------------


def test_a_tool_goes_around(client: anthropic.Anthropic, upstream: FaultServer) -> None:
    first = ask(
        client,
        "calls",
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    )
    assert first.stop_reason == "tool_use"
    [used] = first.content
    assert (used.type, used.id, used.name, used.input) == ("tool_use", "call_1", "weather", {"city": "Zürich"})
    sent = upstream.of("calls")[-1].body
    function = {"name": "weather", "description": "The weather in a city", "parameters": WEATHER["input_schema"]}
    assert sent["tools"] == [{"type": "function", "function": function}]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert sent["parallel_tool_calls"] is False

    result = {"type": "tool_result", "tool_use_id": used.id, "content": [{"type": "text", "text": "rain"}]}
    turns = [*QUESTION, first.to_param(), {"role": "user", "content": [result, {"type": "text", "text": "So?"}]}]
    ask(client, "plain", tools=[WEATHER], messages=turns)
    sent = upstream.of("plain")[-1].body
    assert sent["messages"][1]["role"] == "assistant"
    assert sent["messages"][1]["tool_calls"] == [CALL]
    assert sent["messages"][2:] == [
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "user", "content": "So?"},
    ]


def test_the_clients_own_loop_of_tools_ends_in_an_answer(client: anthropic.Anthropic) -> None:
    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    loop = client.beta.messages.tool_runner(model="agent", max_tokens=50, messages=QUESTION, tools=[weather])
    [block] = loop.until_done().content
    assert block.type == "text"
    assert block.text == "It is: rain in Zürich"


@pytest.mark.parametrize(("choice", "wanted"), [("auto", "auto"), ("any", "required"), ("none", "none")])
def test_who_decides_about_tools(choice: str, wanted: str) -> None:
    asked = {"model": "m", "max_tokens": 1, "messages": QUESTION, "tools": [WEATHER], "tool_choice": {"type": choice}}
    assert as_chat(read(json.dumps(asked).encode())).tool_choice == wanted


def test_a_tool_that_failed_is_told_of(client: anthropic.Anthropic, upstream: FaultServer) -> None:
    used = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    failed = {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "no such city"}
    empty = {"type": "tool_result", "tool_use_id": "t2"}
    turns = [*QUESTION, {"role": "assistant", "content": [used, {**used, "id": "t2"}]}]
    ask(client, "plain", tools=[WEATHER], messages=[*turns, {"role": "user", "content": [failed, empty]}])
    sent = upstream.of("plain")[-1].body["messages"][-2:]
    assert [message["content"] for message in sent] == ["Error: no such city", ""]


def test_a_tool_that_is_called_ends_the_turn_whatever_its_endpoint_says(client: anthropic.Anthropic) -> None:
    answer = ask(client, "says_and_calls", tools=[WEATHER])
    assert answer.stop_reason == "tool_use"
    assert [block.type for block in answer.content] == ["text", "tool_use"]


def test_a_tool_without_arguments_is_called_with_an_empty_object(client: anthropic.Anthropic) -> None:
    assert ask(client, "calls_nothing", tools=[WEATHER]).content[0].input == {}


@pytest.mark.parametrize("model", ["calls_a_list", "calls_nonsense", "calls_custom"])
def test_a_tool_called_with_what_is_no_object_is_an_error(client: anthropic.Anthropic, model: str) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client, model, tools=[WEATHER])
    assert (caught.value.status_code, caught.value.type) == (502, "api_error")
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model=model, max_tokens=50, messages=QUESTION, tools=[WEATHER]) as stream,
    ):
        stream.until_done()


def test_half_a_call_is_no_call(client: anthropic.Anthropic) -> None:
    answer = ask(client, "calls_half", tools=[WEATHER])
    assert (answer.content, answer.stop_reason) == ([], "max_tokens")


def test_a_blend_that_selects_calls_tools(client: anthropic.Anthropic) -> None:
    assert ask(client, "coterie/blend", tools=[WEATHER]).content[0].name == "weather"


@pytest.mark.parametrize(("model", "texts"), [("refuses", ["I cannot help with that."]), ("nothing", [])])
def test_a_refusal_is_told_as_one(client: anthropic.Anthropic, model: str, texts: list[str]) -> None:
    answer = ask(client, model)
    assert ([block.text for block in answer.content], answer.stop_reason) == (texts, "refusal")
    with client.messages.stream(model=model, max_tokens=50, messages=QUESTION) as stream:
        assert list(stream.text_stream) == texts
        assert stream.get_final_message().stop_reason == "refusal"


# ---- streams ----------------------------------------------------------------------------------


def test_text_is_streamed(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="written", max_tokens=50, messages=QUESTION) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert len(pieces) == 7
    assert "".join(pieces) == answer.content[0].text == "Zürich, 東京 and 🗼"  # type: ignore[union-attr]
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 11, 7)


def test_events_come_in_their_order(client: anthropic.Anthropic) -> None:
    events = list(ask(client, "says_and_calls", tools=[WEATHER], stream=True))
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert [event.type for event in events] == ["message_start", *block, *block, "message_delta", "message_stop"]
    assert [event.index for event in events[1:7]] == [0, 0, 0, 1, 1, 1]
    begun, ended = events[0].message, events[-2]
    assert begun.content == []
    assert begun.stop_reason is None
    assert begun.id == "msg_" + ended.coterie["run_id"].removeprefix("run-")
    assert ended.delta.stop_reason == "tool_use"
    assert ended.usage.output_tokens == 7


def test_called_tools_are_streamed(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="calls", max_tokens=50, messages=QUESTION, tools=[WEATHER]) as stream:
        answer = stream.get_final_message()
    [used] = answer.content
    assert used.type == "tool_use"
    assert (used.id, used.name, used.input) == ("call_1", "weather", {"city": "Zürich"})
    assert answer.stop_reason == "tool_use"


def test_a_fused_answer_is_streamed_with_the_usage_of_all(client: anthropic.Anthropic) -> None:
    events = list(ask(client, "coterie/written", stream=True))
    said = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert len(said) > 1
    assert "".join(said) == "Paris is slow"
    ended = events[-2]
    assert set(ended.coterie["members"]) == {"a", "b", "slow"}
    assert ended.usage.input_tokens == sum(m["prompt_tokens"] for m in ended.coterie["members"].values())


@pytest.mark.parametrize(("model", "said"), [("midway", "withdrawn"), ("500", "HTTP 500")])
def test_a_stream_that_breaks_raises(client: anthropic.Anthropic, model: str, said: str) -> None:
    with pytest.raises(anthropic.APIStatusError, match=said) as caught:
        list(ask(client, model, stream=True))
    assert caught.value.type == "api_error"
    assert caught.value.request_id


def test_the_wire_has_what_other_clients_go_by(client: anthropic.Anthropic) -> None:
    streamed = client.messages.with_streaming_response
    with streamed.create(model="plain", max_tokens=5, messages=QUESTION, stream=True) as response:
        text = response.read().decode()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert text.startswith(": ping\n\nevent: message_start\ndata: {")
    assert text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')


# ---- refusals ---------------------------------------------------------------------------------

PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}}

CANNOT: list[tuple[str, dict[str, Any], str]] = [
    ("plain", {"max_tokens": 0}, "max_tokens"),
    ("plain", {"messages": []}, "messages"),
    ("plain", {"messages": [{"role": "user", "content": "  "}]}, "messages are empty"),
    ("plain", {"messages": [{"role": "king", "content": "x"}]}, r"messages\[0\].*'king'"),
    ("plain", {"messages": [{"role": "user", "content": 5}]}, r"messages\[0\]\.content"),
    ("plain", {"messages": [{"role": "user", "content": [PDF]}]}, r"messages\[0\]\.content\[0\]: 'document' is not"),
    (
        "plain",
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]},
        r"messages\[0\]\.content\[0\]\.source: 'file'",
    ),
    ("plain", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, r"content\[0\]\.text: Field required"),
    (
        "plain",
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [PDF]}]}]},
        r"messages\[0\]\.content\[0\]\.content\[0\]",
    ),
    (
        "plain",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "t"}],
                }
            ]
        },
        "results of tools come first",
    ),
    ("plain", {"messages": [*QUESTION, {"role": "assistant", "content": "It is"}]}, "prefill"),
    ("plain", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, r"tools\[0\]\.type: 'web_search"),
    ("plain", {"tools": [{"name": "weather"}]}, r"tools\[0\]\.input_schema"),
    ("plain", {"tool_choice": {"type": "auto"}}, "tool_choice needs tools"),
    ("plain", {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
    ("plain", {"container": "c"}, "container cannot"),
    ("plain", {"extra_body": {"mcp_servers": []}}, "mcp_servers cannot"),
    ("plain", {"inference_geo": "eu"}, "inference_geo cannot"),
    ("plain", {"extra_body": {"n": 2}}, "n is no field of Messages"),
    ("plain", {"extra_body": {"temperature": 1.5}}, "temperature"),
    ("plain", {"extra_body": {"seed": "x"}}, "seed: Input should be a valid integer"),
    ("plain", {"extra_body": {"coterie": {"colour": 1}}}, "coterie.colour"),
    ("plain", {"thinking": {"type": "adaptive"}, "extra_body": {"coterie": {"strict": True}}}, "thinking"),
    ("coterie/default", {"tools": [WEATHER]}, "cannot take tools"),
    ("coterie/default", {"extra_body": {"top_k": 3, "coterie": {"strict": True}}}, "top_k"),
]


@pytest.mark.parametrize(("model", "how", "said"), CANNOT, ids=lambda value: str(value)[:30])
def test_what_cannot_be_done_is_refused_with_the_reason(
    client: anthropic.Anthropic, model: str, how: dict[str, Any], said: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=said) as caught:
        ask(client, model, **how)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_the_form_of_an_error(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="coterie/default") as caught:
        ask(client, "gpt-9")
    error = caught.value
    body: Any = error.body
    assert set(body) == {"type", "error", "request_id"}
    assert (body["type"], error.type, error.error_code) == ("error", "not_found_error", "model_not_found")
    assert body["request_id"] == error.request_id == error.response.headers["x-request-id"]


def test_what_is_left_out_is_said(client: anthropic.Anthropic, upstream: FaultServer) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    turns: Any = [
        *QUESTION,
        {"role": "assistant", "content": [thought]},
        *QUESTION,
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Paris"}]},
        *QUESTION,
    ]
    tools: Any = [{**WEATHER, "defer_loading": True}]
    raw = client.messages.with_raw_response.create(
        model="plain",
        max_tokens=50,
        messages=turns,
        thinking={"type": "enabled", "budget_tokens": 1024},
        output_config={"effort": "low"},
        tools=tools,
        service_tier="auto",
        cache_control={"type": "ephemeral"},
    )
    said = raw.headers["x-coterie-warnings"]
    for name in (
        "thinking",
        "output_config.effort",
        "tools.defer_loading",
        "service_tier",
        "messages.content.thinking",
    ):
        assert f"ignored: {name}" in said
    assert "cache_control" not in said
    sent = upstream.of("plain")[-1].body
    assert [message["role"] for message in sent["messages"]] == ["user", "user", "assistant", "user"]
    assert "thinking" not in json.dumps(sent)
    assert "service_tier" not in sent


def test_what_a_method_leaves_out_is_said(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        model="coterie/default", max_tokens=5, messages=QUESTION, extra_body={"top_k": 3}
    )
    assert "top_k" in raw.headers["x-coterie-warnings"]


FAULTS = [
    ("500", 502, "api_error", "false"),
    ("429", 429, "rate_limit_error", "true"),
    ("400", 400, "invalid_request_error", "false"),
    ("hang", 504, "timeout_error", "false"),
]


@pytest.mark.parametrize(("model", "status", "kind", "again"), FAULTS)
def test_every_fault_is_an_error_with_its_status(
    client: anthropic.Anthropic, model: str, status: int, kind: str, again: str
) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client, model)
    error = caught.value
    assert (error.status_code, error.type) == (status, kind)
    assert error.response.headers["x-should-retry"] == again
    assert error.response.headers.get("retry-after") == ("7" if model == "429" else None)


def test_keys_are_checked(server: GatewayServer, client: anthropic.Anthropic) -> None:
    with (
        anthropic.Anthropic(base_url=server.url, api_key="ck-wrong", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        ask(stranger, "plain")
    assert caught.value.type == "authentication_error"
    with anthropic.Anthropic(base_url=server.url, api_key="ck-narrow", max_retries=0) as narrow:
        assert ask(narrow, "plain").content[0].text == "Paris"
        with pytest.raises(anthropic.PermissionDeniedError) as denied:
            ask(narrow, "a")
    assert denied.value.type == "permission_error"


def test_a_body_that_is_too_large_is_refused(server: GatewayServer) -> None:
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received.startswith(b"HTTP/1.1 413")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["type"] == "request_too_large"


def test_tokens_cannot_be_counted_beforehand(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="count") as caught:
        client.messages.count_tokens(model="plain", messages=QUESTION)
    assert caught.value.type == "not_found_error"


def test_a_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(Refusal, match="no JSON"):
        messages.read(b"{")
    with pytest.raises(Refusal) as caught:
        messages.read(b"[]")
    assert caught.value.param is None
