"""The Responses API through the official client: whole answers, streams, tools, and what goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from coterie.config import Config
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.route import Route
from coterie.methods.vote import Vote
from coterie.protocols import Method
from coterie.routers.random import Random
from coterie.types import Price
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Body, Script
from http_replies import Reply as Http

FUNCTION = {"name": "weather", "arguments": '{"city": "Paris"}'}
CALLS = [{"index": 0, "id": "call_1", "type": "function", "function": FUNCTION}]
CALLS += [{"index": 1, "type": "function", "function": {"name": "weather", "arguments": ""}}]
TOOLS: Any = [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}]
NO = "I cannot help with that."
TOKENS = {
    "content": [{"token": "Paris", "logprob": -0.5, "top_logprobs": [{"token": "Paris", "logprob": -0.5, "bytes": []}]}]
}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 8},
}


def forecast(body: Body, _: int) -> Http:
    """Calls the tool, and answers with what the tool said."""
    told = [message["content"] for message in body["messages"] if message["role"] == "tool"]
    if told:
        return Http(f"It is {told[-1]}.")
    return Http("", content_null=True, message={"tool_calls": CALLS[:1]}, finish_reason="tool_calls")


HTTP: dict[str, Script] = {
    "plain": Http("Paris"),
    "pieces": Http("Où? À Paris 🗼", pieces=5),
    "calls": Http("Let me see.", pieces=2, message={"tool_calls": CALLS}, finish_reason="tool_calls"),
    "silent_calls": Http("", content_null=True, message={"tool_calls": CALLS}, finish_reason="tool_calls"),
    "forecast": forecast,
    "json": Http('{"city": "Paris"}', pieces=2),
    "long": Http("It is Par", pieces=2, finish_reason="length"),
    "filtered": Http("It is", finish_reason="content_filter"),
    "refuses": Http("", content_null=True, message={"refusal": NO}),
    "says_and_refuses": Http("Well.", pieces=2, message={"refusal": NO}),
    "nothing": Http("", finish_reason="content_filter"),
    "counted": Http("Paris", usage=USAGE),
    "uncounted": Http("Paris", usage=None),
    "likely": Http("Paris", logprobs=TOKENS),
    "429": Http(status=429, headers={"Retry-After": "7"}),
    "400": Http(status=400, error={"message": "context length exceeded"}),
    "500": Http(status=500),
    "spaced": Http("Où? À Paris", pieces=3, piece_delay_s=0.02),
    "midway": Http("It is Paris, on the Seine.", pieces=4, piece_delay_s=0.01, die_after_pieces=2),
}
CHEAP = Price(1.0, 2.0)


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer(HTTP) as server:
        yield server


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    http = {name: OpenAIMember(name, upstream.base_url, name, price=CHEAP, retries=0) for name in HTTP}
    scripted = {name: ScriptedMember(name, ("Paris it is",), price=CHEAP) for name in "abc"}
    scripted["writes"] = ScriptedMember("writes", (Reply("Paris is it", pieces=3),), price=CHEAP)
    scripted["half"] = ScriptedMember("half", (Reply("x \ud83d\ude00 \ud83d", pieces=6),))
    scripted["city"] = ScriptedMember("city", ('{"city": "Paris"}',))
    methods: dict[str, Method] = {
        "default": Vote(("a", "b")),
        "blend": PeerBlend(("a", "b", "c"), aggregator="writes"),
        "select": PeerBlend(("silent_calls", "plain"), final="select"),
        "cities": Vote(("city", "json")),
        "route": Route(Random(), ("pieces",)),
    }
    with GatewayServer(Config({**http, **scripted}, methods)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: GatewayServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="anything", max_retries=0, timeout=10) as made:
        yield made


@pytest.fixture(scope="module")
def wire(server: GatewayServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.base_url, timeout=10) as made:
        yield made


def ask(client: openai.OpenAI, model: str, **how: Any) -> Any:
    return client.responses.create(**{"model": model, "input": "What is the capital of France?", **how})


def document(client: openai.OpenAI, model: str, **how: Any) -> dict[str, Any]:
    """As it came over the wire, which OpenAI's own types hold."""
    raw = client.responses.with_raw_response.create(model=model, input="What is the capital of France?", **how)
    made: dict[str, Any] = json.loads(raw.content)
    Response.model_validate(made)
    return made


EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def events(wire: httpx2.Client, model: str, **how: Any) -> list[dict[str, Any]]:
    """As they came over the wire; names and numbers are as they have to be, and OpenAI's own types hold them."""
    body = {"model": model, "input": "What is the capital of France?", "stream": True, **how}
    received = wire.post("/responses", json=body).text
    blocks = [block for block in received.split("\n\n") if block and not block.startswith(":")]
    seen = []
    for n, block in enumerate(blocks):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == n
        EVENT.validate_python(event)
        seen.append(event)
    return seen


def kinds(seen: Sequence[dict[str, Any]]) -> list[str]:
    """Deltas in a row are one: how many pieces arrive together is the network's affair."""
    return [kind for kind, _ in groupby(event["type"].removeprefix("response.") for event in seen)]


# ---- whole answers ----------------------------------------------------------------------------


def test_a_text_is_answered(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(
        model="plain", input="x", instructions="Be brief.", metadata={"a": "b"}, max_output_tokens=9
    )
    answer = raw.parse()
    assert answer.output_text == "Paris"
    assert (answer.status, answer.object, answer.model, answer.error) == ("completed", "response", "plain", None)
    assert (answer.instructions, answer.metadata, answer.max_output_tokens) == ("Be brief.", {"a": "b"}, 9)
    assert raw.headers["x-coterie-run-id"] == answer.id.replace("resp_", "run-")
    assert answer.output[0].id == answer.id.replace("resp_", "msg_")
    assert "x-coterie-warnings" not in raw.headers
    assert answer.model_extra is not None
    assert answer.model_extra["store"] is False


def test_a_blends_usage_and_cost_are_those_of_all_its_calls(client: openai.OpenAI) -> None:
    answer = document(client, "coterie/blend")
    usage, account = answer["usage"], answer["coterie"]
    assert set(account["members"]) == {"a", "b", "c", "writes"}
    assert account["calls"] == sum(member["calls"] for member in account["members"].values()) == 7
    assert usage["input_tokens"] == sum(member["prompt_tokens"] for member in account["members"].values()) > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert account["cost_usd"] == pytest.approx((usage["input_tokens"] + 2 * usage["output_tokens"]) / 1e6)
    assert answer["output"][0]["content"][0]["text"] == "Paris is it"


def test_cached_and_reasoning_tokens_are_told(client: openai.OpenAI) -> None:
    usage = ask(client, "counted").usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (100, 20, 120)
    assert usage.input_tokens_details.cached_tokens == 64
    assert usage.output_tokens_details.reasoning_tokens == 8


def test_tokens_that_nobody_counted_are_not_made_up(client: openai.OpenAI) -> None:
    answer = document(client, "uncounted")
    assert answer["usage"] is None
    assert answer["coterie"]["cost_usd"] is None


def test_what_is_asked_reaches_the_endpoint(client: openai.OpenAI, upstream: FaultServer) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}
    how: dict[str, Any] = {"reasoning": {"effort": "low"}, "max_output_tokens": 9, "extra_body": {"top_k": 3}}
    ask(client, "plain", input=[{"role": "user", "content": [picture]}], instructions="Be brief.", **how)
    sent = upstream.of("plain")[-1].body
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    url = {"url": "data:image/png;base64,AA", "detail": "auto"}
    assert sent["messages"][1]["content"] == [{"type": "image_url", "image_url": url}]
    assert (sent["max_tokens"], sent["reasoning_effort"], sent["top_k"]) == (9, "low", 3)
    assert not {"input", "instructions", "reasoning", "max_output_tokens", "coterie", "store"} & set(sent)


def test_a_conversation_goes_on_with_what_was_answered(client: openai.OpenAI, upstream: FaultServer) -> None:
    turns: list[Any] = [{"role": "user", "content": "Where?"}]
    turns += ask(client, "plain", input=turns).output
    turns.append({"role": "user", "content": "And now?"})
    assert ask(client, "plain", input=turns).output_text == "Paris"
    assert upstream.of("plain")[-1].body["messages"] == [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "Paris"},
        {"role": "user", "content": "And now?"},
    ]


def test_a_called_function_is_answered_and_the_answer_used(client: openai.OpenAI, upstream: FaultServer) -> None:
    turns: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    first = ask(client, "forecast", input=turns, tools=TOOLS)
    (called,) = first.output
    assert (called.type, called.name, called.call_id, called.status) == (
        "function_call",
        "weather",
        "call_1",
        "completed",
    )
    assert first.status == "completed"
    assert first.output_text == ""
    turns += first.output
    turns.append({"type": "function_call_output", "call_id": called.call_id, "output": "raining"})
    assert ask(client, "forecast", input=turns, tools=TOOLS).output_text == "It is raining."
    sent = upstream.of("forecast")[-1].body
    assert sent["tools"][0]["function"] == {"name": "weather", "parameters": {"type": "object"}, "strict": False}
    assert sent["messages"][1]["tool_calls"] == [{"id": "call_1", "type": "function", "function": FUNCTION}]


@pytest.mark.parametrize(("model", "words"), [("calls", True), ("silent_calls", False), ("coterie/select", False)])
def test_called_functions_stand_after_the_words(client: openai.OpenAI, model: str, words: bool) -> None:
    output = document(client, model, tools=TOOLS)["output"]
    assert [item["type"] for item in output] == ["message"] * words + ["function_call"] * 2
    assert len({item["id"] for item in output}) == len(output)
    assert all(item["call_id"] for item in output[words:])


class City(BaseModel):
    city: str


@pytest.mark.parametrize("model", ["json", "coterie/cities"])
def test_parse_gives_the_object_that_the_schema_describes(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.parse(model=model, input="Which city?", text_format=City)
    assert answer.output_parsed == City(city="Paris")
    assert answer.text is not None
    assert answer.text.format is not None
    assert answer.text.format.type == "json_schema"


def test_a_tool_of_pydantic_is_parsed(client: openai.OpenAI) -> None:
    tool = openai.pydantic_function_tool(City, name="weather")["function"]
    flat: Any = {"type": "function", **tool}
    (called,) = client.responses.parse(model="forecast", input="The weather?", tools=[flat]).output
    assert called.type == "function_call"
    assert called.parsed_arguments == {"city": "Paris"}


@pytest.mark.parametrize(("model", "why"), [("long", "max_output_tokens"), ("filtered", "content_filter")])
def test_an_answer_that_was_cut_short_says_so(client: openai.OpenAI, model: str, why: str) -> None:
    answer = ask(client, model)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", why)
    assert answer.output[0].status == "incomplete"
    assert answer.output_text


def test_log_probabilities_stand_with_the_text(client: openai.OpenAI) -> None:
    answer = ask(client, "likely", include=["message.output_text.logprobs"], top_logprobs=1)
    (said,) = answer.output[0].content[0].logprobs
    assert (said.token, said.logprob, said.top_logprobs[0].token) == ("Paris", -0.5, "Paris")
    assert answer.top_logprobs == 1


def test_a_refusal_is_told_as_one(client: openai.OpenAI) -> None:
    (item,) = ask(client, "refuses").output
    assert [(part.type, part.refusal) for part in item.content] == [("refusal", NO)]
    assert client.responses.parse(model="refuses", input="x", text_format=City).output_parsed is None
    with client.responses.stream(model="refuses", input="Which city?", text_format=City) as stream:
        said = [event.delta for event in stream if event.type == "response.refusal.delta"]
        (last,) = stream.get_final_response().output
    assert said == [NO]
    assert last.type == "message"
    assert [part.type for part in last.content] == ["refusal"]


# ---- streams ----------------------------------------------------------------------------------

OPENED = ["created", "in_progress"]
SPOKEN = ["output_item.added", "content_part.added", "output_text.delta"]
SPOKEN += ["output_text.done", "content_part.done", "output_item.done"]
CALLED = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
REFUSED = ["content_part.added", "refusal.delta", "refusal.done", "content_part.done", "output_item.done"]
UNNAMED = ["output_item.added", "function_call_arguments.done", "output_item.done"]


STREAMED = [
    ("pieces", {}, [*OPENED, *SPOKEN, "completed"]),
    ("coterie/blend", {}, [*OPENED, *SPOKEN, "completed"]),
    ("coterie/route", {"coterie": {"stream": "settled"}}, [*OPENED, *SPOKEN, "completed"]),
    ("long", {}, [*OPENED, *SPOKEN, "incomplete"]),
    ("refuses", {}, [*OPENED, "output_item.added", *REFUSED, "completed"]),
    ("says_and_refuses", {}, [*OPENED, *SPOKEN[:-1], *REFUSED, "completed"]),
    ("nothing", {}, [*OPENED, *(kind for kind in SPOKEN if "delta" not in kind), "incomplete"]),
    ("calls", {"tools": TOOLS}, [*OPENED, *SPOKEN, *CALLED, *UNNAMED, "completed"]),
    ("silent_calls", {"tools": TOOLS}, [*OPENED, *CALLED, *UNNAMED, "completed"]),
    ("likely", {"include": ["message.output_text.logprobs"]}, [*OPENED, *SPOKEN, "completed"]),
    ("json", {"text": {"format": {"type": "json_object"}}}, [*OPENED, *SPOKEN, "completed"]),
]


@pytest.mark.parametrize(("model", "how", "wanted"), STREAMED, ids=lambda value: value if type(value) is str else "")
def test_a_stream_ends_with_the_document_of_the_same_answer(
    client: openai.OpenAI, wire: httpx2.Client, model: str, how: dict[str, Any], wanted: list[str]
) -> None:
    seen = events(wire, model, **how)
    assert kinds(seen) == wanted
    begun, ended = seen[0]["response"], seen[-1]["response"]
    assert (begun["status"], begun["output"], begun["usage"]) == ("in_progress", [], None)
    assert (begun["id"], begun["created_at"]) == (ended["id"], ended["created_at"])
    whole = document(client, model, extra_body=how)
    assert unnamed(ended) == unnamed(whole)
    done = [event["item"] for event in seen if event["type"] == "response.output_item.done"]
    assert done == ended["output"]
    places = [event["output_index"] for event in seen if event["type"] == "response.output_item.added"]
    assert places == list(range(len(done)))
    said = [part for item in ended["output"] for part in item.get("content", ())]
    parts = [part for part in said if part["type"] == "output_text"]
    texts = [event["delta"] for event in seen if event["type"] == "response.output_text.delta"]
    assert "".join(texts) == "".join(part["text"] for part in parts)
    assert [event["logprobs"] for event in seen if event["type"] == "response.output_text.done"] == [
        part["logprobs"] for part in parts
    ]


def unnamed(value: dict[str, Any]) -> Any:
    """Without times and what names this run."""
    bare = {name: part for name, part in value.items() if name not in ("created_at", "completed_at")}
    return json.loads(re.sub(r"(run-|resp_|msg_|fc_|call_)[0-9a-f]{24,}", r"\1", json.dumps(bare)))


def test_the_official_client_puts_a_stream_together(client: openai.OpenAI) -> None:
    with client.responses.stream(model="json", input="Which city?", text_format=City) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        answer = stream.get_final_response()
    assert snapshots[-1] == answer.output_text == '{"city": "Paris"}'
    assert answer.output_parsed == City(city="Paris")
    with client.responses.stream(model="calls", input="x", tools=TOOLS) as stream:
        output = stream.get_final_response().output
    assert [item.type for item in output] == ["message", "function_call", "function_call"]


def test_a_text_is_streamed_while_it_is_written(wire: httpx2.Client) -> None:
    texts = [event["delta"] for event in events(wire, "spaced") if event["type"] == "response.output_text.delta"]
    assert len(texts) == 3
    assert "".join(texts) == "Où? À Paris"


FAILED = [("midway", "server_error", "answer_withdrawn"), ("500", "server_error", "upstream_failed")]
FAILED += [("429", "rate_limit_exceeded", "upstream_busy"), ("400", "invalid_prompt", "upstream_refused")]


@pytest.mark.parametrize(("model", "code", "ours"), FAILED)
def test_a_stream_that_fails_says_so_to_everybody(
    client: openai.OpenAI, wire: httpx2.Client, model: str, code: str, ours: str
) -> None:
    seen = events(wire, model)
    failed, error = seen[-2:]
    assert failed["type"] == "response.failed"
    assert (failed["response"]["status"], failed["response"]["id"]) == ("failed", seen[0]["response"]["id"])
    assert failed["response"]["error"]["code"] == code
    assert (error["type"], error["code"], error["error"]["code"]) == ("error", ours, ours)
    assert error["message"] == failed["response"]["error"]["message"]
    told: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        told.extend(ask(client, model, stream=True))
    assert told[-1].type == "response.failed"
    assert caught.value.code == ours
    assert ("response.output_text.delta" in [event.type for event in told]) == (model == "midway")


def test_half_a_character_is_replaced_and_its_halves_are_joined(wire: httpx2.Client, client: openai.OpenAI) -> None:
    seen = events(wire, "half")
    assert "".join(event["delta"] for event in seen if event["type"].endswith("text.delta")) == "x 😀 \ufffd"
    assert seen[-1]["response"]["output"][0]["content"][0]["text"] == "x 😀 \ufffd"
    assert ask(client, "half").output_text == "x 😀 \ufffd"


# ---- refusals ---------------------------------------------------------------------------------

STRICT = {"coterie": {"strict": True}}

CANNOT: list[tuple[str, dict[str, Any], str]] = [
    ("coterie/blend", {"tools": TOOLS}, "tools"),
    ("coterie/blend", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input"),
    ("coterie/default", {"include": ["message.output_text.logprobs"]}, "include"),
    ("coterie/default", {"text": {"format": {"type": "json_object"}}}, "text.format"),
    ("coterie/default", {"reasoning": {"effort": "low"}, "extra_body": STRICT}, "reasoning.effort"),
    ("coterie/blend", {"extra_body": {"coterie": {"method": {"review": "x"}}}}, "coterie.method.review"),
    ("plain", {"input": ""}, "input"),
    ("plain", {"input": [{"role": "user", "content": []}]}, "input"),
    ("plain", {"previous_response_id": "resp_1"}, "previous_response_id"),
    ("plain", {"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ("plain", {"input": "x", "temperature": 9}, "temperature"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "how", "param"), CANNOT, ids=lambda value: str(value)[:40])
def test_what_cannot_be_done_is_refused_before_the_stream(
    client: openai.OpenAI, model: str, how: dict[str, Any], param: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, model, stream=stream, **how)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_what_is_left_out_is_said(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(
        model="coterie/default", input="x", store=True, reasoning={"effort": "low", "summary": "auto"}
    )
    said = raw.headers["x-coterie-warnings"]
    assert said == "ignored: reasoning_effort; ignored: reasoning.summary; ignored: store"
    assert json.loads(raw.content)["store"] is False


def test_an_answer_that_was_to_be_json_and_is_none_is_an_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "plain", text={"format": {"type": "json_object"}})
    assert (caught.value.status_code, caught.value.code) == (502, "invalid_answer")


def test_no_response_is_kept(client: openai.OpenAI) -> None:
    made = ask(client, "plain").id
    for look in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match="not stored"):
            look(made)
    with pytest.raises(openai.NotFoundError, match="not stored"):
        client.responses.input_items.list(made)


def test_deep_json_is_refused_in_openais_form(wire: httpx2.Client) -> None:
    body = b'{"model": "plain", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = wire.post("/responses", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
