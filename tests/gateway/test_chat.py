"""Chat completions through the official client: what is answered, what it cost, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from coterie.config import Config
from coterie.gateway.app import application
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.best_of import BestOf
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.route import Route
from coterie.methods.vote import Vote
from coterie.protocols import Method
from coterie.routers.random import Random
from coterie.types import FailureKind, Price
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Reply as Http
from http_replies import Script, busy_once

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
TWO = [{**CALL, "index": 0}, {**CALL, "index": 0, "id": "call_2"}]
CUSTOM = {"id": "call_1", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}
HALF = {"token": "\\xf0\\x9f", "logprob": -0.5, "bytes": [240, 159]}
NO = "I cannot help with that."
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]

HTTP: dict[str, Script] = {
    "plain": Http("Paris"),
    "written": Http("Paris", pieces=3, piece_delay_s=0.02),
    "calls": Http("", content_null=True, message={"tool_calls": [{"index": 0, **CALL}]}, finish_reason="tool_calls"),
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
    "busy_once": busy_once(lambda: "0.05"),
    "400": Http(status=400, error={"message": "context length exceeded"}),
    "401": Http(status=401, error={"message": "bad key sk-upstream-secret"}),
    "html": Http(body=b"<!doctype html>", headers={"Content-Type": "text/html"}),
    "hang": Http(hang=True),
    "error_200": Http(error={"message": "upstream is overloaded", "code": 502}),
    "midway": Http("It is Paris, on the Seine.", pieces=10, piece_delay_s=0.01, die_after_pieces=5),
    "breaks_off": Http("half ans", pieces=2, finish_reason="error"),
    "too_long": Http("It is Par", finish_reason="MAX_TOKENS"),
    "bored": Http("Paris", finish_reason="bored"),
    "thought_only": Http("", finish_reason="length", usage={"prompt_tokens": 10, "completion_tokens": 700}),
    "refuses": Http("", content_null=True, message={"refusal": NO}),
    "filtered": Http("", finish_reason="content_filter"),
    "two_calls": Http("", content_null=True, message={"tool_calls": TWO}, finish_reason="tool_calls"),
    "custom": Http("", content_null=True, message={"tool_calls": [CUSTOM]}, finish_reason="tool_calls"),
    "function": Http("", content_null=True, message={"function_call": CALL["function"]}, finish_reason="function_call"),
    "thinks": Http("4", message={"reasoning_content": "two and two", "annotations": [{"type": "url_citation"}]}),
    "likely": Http("\U0001f600", logprobs={"content": [{**HALF, "top_logprobs": [HALF]}]}),
    "absurd": Http(usage={"prompt_tokens": 5, "completion_tokens": 10**400}),
}
CHEAP = Price(1.0, 2.0)


def _config(upstream: str) -> Config:
    http = {
        name: OpenAIMember(name, upstream, name, price=CHEAP, retries=0, timeout_s=0.3 if name == "hang" else 5.0)
        for name in HTTP
    }
    scripted = {
        "a": ScriptedMember("a", ("Paris",), price=CHEAP),
        "b": ScriptedMember("b", ("Paris",), price=CHEAP),
        "c": ScriptedMember("c", ("Lyon",)),
        "broken": ScriptedMember("broken", (Reply(fail=FailureKind.CONNECTION, error="to 10.0.0.7 with sk-x"),)),
        "slow": ScriptedMember("slow", (Reply("Paris is slow", pieces=3, piece_s=0.02, latency_s=0.1),)),
        "half": ScriptedMember("half", (Reply("It is Par", pieces=3, fail=FailureKind.TRUNCATED),)),
    }
    methods: dict[str, Method] = {
        "default": Vote(("a", "b")),
        "mixed": Vote(("a", "b", "c", "broken")),
        "blend": PeerBlend(("calls", "plain"), final="select"),
        "fused": PeerBlend(("a", "b")),
        "written": PeerBlend(("a", "b"), aggregator="slow"),
        "best": BestOf(("a", "c")),
        "route": Route(Random(), ("plain",)),
        "falls": Route(Random(), ("half", "a")),
        "down": Vote(("500", "html")),
        "thrifty": Vote(("thought_only", "a")),
        "firm": Route(Random(), ("refuses",)),
        "willing": Vote(("refuses", "filtered", "a")),
        "unwilling": Vote(("refuses", "filtered")),
    }
    return Config({**http, **scripted}, methods)


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer(HTTP) as server:
        yield server


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    with GatewayServer(_config(upstream.base_url)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: GatewayServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="anything", max_retries=0, timeout=10) as made:
        yield made


def ask(client: openai.OpenAI, model: str, **how: Any) -> Any:
    question: Any = [{"role": "user", "content": "What is the capital of France?"}]
    return client.chat.completions.create(**{"model": model, "messages": question, **how})


# ---- whole answers ----------------------------------------------------------------------------


def test_a_method_answers_with_the_sum_of_what_its_members_took(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="coterie/default", messages=[{"role": "user", "content": "What is the capital of France?"}]
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "Paris"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.usage is not None
    account: Any = answer.model_extra and answer.model_extra["coterie"]
    assert sorted(account["members"]) == ["a", "b"]
    assert answer.usage.prompt_tokens == sum(m["prompt_tokens"] for m in account["members"].values()) > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert account["cost_usd"] == pytest.approx(
        (answer.usage.prompt_tokens * 1.0 + answer.usage.completion_tokens * 2.0) / 1e6
    )
    assert float(raw.headers["x-coterie-cost-usd"]) == pytest.approx(account["cost_usd"], abs=1e-8)
    assert raw.headers["x-coterie-calls"] == "2"
    assert raw.headers["x-coterie-run-id"] == account["run_id"]
    assert answer.id == "chatcmpl-" + account["run_id"].removeprefix("run-")
    assert float(raw.headers["x-coterie-overhead-ms"]) >= 0
    assert raw.headers["x-request-id"]


def test_an_unknown_price_is_null_and_its_known_part_stands_beside_it(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="coterie/mixed", messages=[{"role": "user", "content": "What is the capital of France?"}]
    )
    account = json.loads(raw.content)["coterie"]
    assert account["cost_usd"] is None
    assert account["known_cost_usd"] > 0
    assert "x-coterie-cost-usd" not in raw.headers
    assert account["failures"] == [{"member": "broken", "kind": "connection", "stage": "generate"}]


def test_a_member_is_a_model_and_gets_what_it_is_sent(client: openai.OpenAI, upstream: FaultServer) -> None:
    answer = ask(
        client,
        "plain",
        temperature=0.5,
        max_completion_tokens=9,
        stop=["\n"],
        seed=4,
        user="u-1",
        extra_body={"top_k": 3},
    )
    assert answer.choices[0].message.content == "Paris"
    assert answer.usage.prompt_tokens == 11
    sent = upstream.of("plain")[-1].body
    wanted = {"temperature": 0.5, "max_completion_tokens": 9, "stop": ["\n"], "seed": 4, "user": "u-1", "top_k": 3}
    assert {key: sent[key] for key in wanted} == wanted
    assert "coterie" not in sent


def test_cached_and_reasoning_tokens_are_told(client: openai.OpenAI) -> None:
    usage = ask(client, "cached").usage
    assert usage.prompt_tokens_details.cached_tokens == 64
    assert usage.completion_tokens_details.reasoning_tokens == 8


@pytest.mark.parametrize("model", ["calls", "coterie/route"])
def test_tools_pass_through_members_and_routes(client: openai.OpenAI, upstream: FaultServer, model: str) -> None:
    answer = ask(client, model, tools=TOOLS, tool_choice="auto")
    sent = upstream.requests[-1].body
    assert sent["tools"] == TOOLS
    assert sent["tool_choice"] == "auto"
    if model == "calls":
        choice = answer.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        assert choice.message.tool_calls[0].id == "call_1"
        assert json.loads(choice.message.tool_calls[0].function.arguments) == {"city": "Paris"}


def test_a_blend_that_selects_gives_called_tools_as_they_stand(client: openai.OpenAI, upstream: FaultServer) -> None:
    before = len(upstream.requests)
    answer = ask(client, "coterie/blend", tools=TOOLS)
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"  # no ballot could be read, so the first
    sent = upstream.requests[before:]
    assert sum("tools" in seen.body for seen in sent) == 2  # who writes, and nobody who reviews
    assert len(sent) > 2


def test_tokens_that_nobody_counted_are_not_made_up(client: openai.OpenAI) -> None:
    answer = ask(client, "silent")
    assert answer.usage is None
    assert answer.coterie["tokens_known"] is False
    assert answer.coterie["cost_usd"] is None


def test_a_conversation_with_called_tools_arrives_as_it_was_sent(client: openai.OpenAI, upstream: FaultServer) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "And there?"}]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    ask(client, "plain", messages=messages)
    sent = upstream.of("plain")[-1].body["messages"]
    assert sent[0] == messages[0]
    assert sent[1]["tool_calls"] == [CALL]
    assert sent[2] == messages[2]


def test_pictures_reach_a_member(client: openai.OpenAI, upstream: FaultServer) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    ask(client, "plain", messages=[{"role": "user", "content": parts}])
    assert upstream.of("plain")[-1].body["messages"][0]["content"] == parts


class City(BaseModel):
    city: str


def test_parse_gives_the_object_that_the_schema_describes(client: openai.OpenAI, upstream: FaultServer) -> None:
    messages: Any = [{"role": "user", "content": "Which city?"}]
    answer = client.chat.completions.parse(model="json", messages=messages, response_format=City)
    assert answer.choices[0].message.parsed == City(city="Paris")
    assert upstream.of("json")[-1].body["response_format"]["json_schema"]["name"] == "City"


def test_an_answer_that_was_to_be_json_and_is_none_is_an_error(client: openai.OpenAI) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "coterie/default", response_format=wanted)
    assert caught.value.status_code == 502
    assert "malformed" in caught.value.message


def test_several_choices_are_several_runs(client: openai.OpenAI) -> None:
    answer = ask(client, "plain", n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.prompt_tokens == 33
    assert len(set(answer.coterie["run_ids"])) == 3


def test_a_request_sets_what_its_method_lets_it(client: openai.OpenAI, server: GatewayServer) -> None:
    answer = ask(client, "coterie/fused", extra_body={"coterie": {"method": {"final": "select"}}})
    assert answer.coterie["how"] == "ranked"
    schema: Any = client.models.retrieve("coterie/fused").model_extra
    assert {"final", "top_k"} <= set(schema["coterie"]["schema"]["properties"]["method"]["properties"])


# ---- what is said instead of an answer, and beside it -----------------------------------------


@pytest.mark.parametrize("model", ["refuses", "coterie/firm"])
def test_a_refusal_is_told_as_one(client: openai.OpenAI, model: str) -> None:
    choice = ask(client, model).choices[0]
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == (None, NO, "stop")
    messages: Any = [{"role": "user", "content": "Which city?"}]
    parsed = client.chat.completions.parse(model=model, messages=messages, response_format=City).choices[0].message
    assert (parsed.parsed, parsed.refusal) == (None, NO)
    with client.chat.completions.stream(model=model, messages=messages, response_format=City) as stream:
        said = [event.delta for event in stream if event.type == "refusal.delta"]
        last = stream.get_final_completion().choices[0].message
    assert ("".join(said), last.refusal, last.parsed) == (NO, NO, None)


def test_what_a_filter_left_nothing_of_says_so(client: openai.OpenAI) -> None:
    choice = ask(client, "filtered").choices[0]
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == ("", None, "content_filter")
    chunks = list(ask(client, "filtered", stream=True))
    assert chunks[-1].choices[0].finish_reason == "content_filter"


def test_a_refusal_is_no_candidate_where_others_answer(client: openai.OpenAI) -> None:
    answer = ask(client, "coterie/willing")
    assert (answer.choices[0].message.content, answer.choices[0].message.refusal) == ("Paris", None)
    failures = answer.coterie["failures"]
    assert {(failure["member"], failure["kind"]) for failure in failures} == {
        ("refuses", "empty"),
        ("filtered", "empty"),
    }
    assert answer.coterie["members"]["refuses"]["completion_tokens"] == 7


def test_a_refusal_can_be_sent_back(client: openai.OpenAI, upstream: FaultServer) -> None:
    question = {"role": "user", "content": "And now?"}
    ask(client, "plain", messages=[question, {"role": "assistant", "content": None, "refusal": NO}, question])
    assert upstream.of("plain")[-1].body["messages"][1]["refusal"] == NO


def test_an_answer_that_failed_costs_what_it_took(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="thought_only: empty"):
        ask(client, "thought_only")
    answer = ask(client, "coterie/thrifty")
    assert answer.coterie["failures"] == [{"member": "thought_only", "kind": "empty", "stage": "generate"}]
    assert answer.coterie["members"]["thought_only"]["cost_usd"] == pytest.approx(1410 / 1e6)


def test_why_it_ended_is_told_in_the_interfaces_words(client: openai.OpenAI) -> None:
    known = ask(client, "too_long")
    assert known.choices[0].finish_reason == "length"
    assert "finish_reasons" not in known.coterie
    unknown = ask(client, "bored")
    assert unknown.choices[0].finish_reason == "stop"
    assert unknown.coterie["finish_reasons"] == ["bored"]


def test_half_an_answer_with_an_error_ends_its_stream(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="withdrawn"):
        list(ask(client, "breaks_off", stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_calls_that_share_an_index_stay_apart(client: openai.OpenAI, stream: bool) -> None:
    if stream:
        chunks = list(ask(client, "two_calls", stream=True, tools=TOOLS))
        calls = [call for c in chunks for call in c.choices[0].delta.tool_calls or ()]
        assert [call.index for call in calls] == [0, 1]
    else:
        calls = ask(client, "two_calls", tools=TOOLS).choices[0].message.tool_calls
    assert [(call.id, call.function.arguments) for call in calls] == [
        ("call_1", '{"city": "Paris"}'),
        ("call_2", '{"city": "Paris"}'),
    ]


def test_a_custom_tool_is_called_by_its_own_words_alone(client: openai.OpenAI) -> None:
    custom: Any = [{"type": "custom", "custom": {"name": "sh"}}]
    (call,) = ask(client, "custom", tools=custom).choices[0].message.tool_calls
    assert call.model_dump(exclude_unset=True) == CUSTOM


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_of_the_old_form_is_called_in_it(client: openai.OpenAI, stream: bool) -> None:
    functions: Any = [TOOLS[0]["function"]]
    if stream:
        chunks = list(ask(client, "function", functions=functions, stream=True))
        (call,) = [c.choices[0].delta.function_call for c in chunks if c.choices[0].delta.function_call]
        assert chunks[-1].choices[0].finish_reason == "function_call"
    else:
        choice = ask(client, "function", functions=functions).choices[0]
        call = choice.message.function_call
        assert (choice.finish_reason, choice.message.tool_calls) == ("function_call", None)
    assert call.model_dump() == CALL["function"]


def test_who_sent_tools_is_not_answered_in_the_old_form(client: openai.OpenAI) -> None:
    choice = ask(client, "function", tools=TOOLS).choices[0]
    assert (choice.finish_reason, choice.message.function_call) == ("tool_calls", None)
    assert choice.message.tool_calls[0].function.model_dump() == CALL["function"]


def test_what_is_said_beside_the_text_passes_through(client: openai.OpenAI) -> None:
    message = ask(client, "thinks").choices[0].message
    assert message.reasoning_content == "two and two"
    assert message.to_dict()["annotations"] == [{"type": "url_citation"}]
    deltas = [c.choices[0].delta for c in ask(client, "thinks", stream=True)]
    assert [d.reasoning_content for d in deltas if getattr(d, "reasoning_content", None)] == ["two and two"]
    assert "".join(d.content or "" for d in deltas) == "4"


def test_the_bytes_of_a_token_are_the_endpoints(client: openai.OpenAI) -> None:
    (token,) = ask(client, "likely", logprobs=True, top_logprobs=1).choices[0].logprobs.content
    assert (token.bytes, token.top_logprobs[0].bytes) == ([240, 159], [240, 159])


def test_an_absurd_count_is_an_unknown_one(client: openai.OpenAI) -> None:
    answer = ask(client, "absurd")
    assert answer.coterie["members"]["absurd"]["completion_tokens"] is None
    assert answer.coterie["cost_usd"] is None


# ---- streams ----------------------------------------------------------------------------------


def test_a_streamed_answer_ends_with_its_usage(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "written", stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Paris"
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) == 3
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.prompt_tokens == 11
    assert chunks[-1].coterie["calls"] == 1
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


def test_without_include_usage_no_chunk_has_any(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "coterie/default", stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Paris"


def test_called_tools_are_streamed(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "calls", stream=True, tools=TOOLS))
    calls = [call for c in chunks for call in c.choices[0].delta.tool_calls or ()]
    assert [(call.index, call.id, call.function.name) for call in calls] == [(0, "call_1", "weather")]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_fused_answer_is_streamed_while_it_is_written(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "coterie/written", stream=True, stream_options={"include_usage": True}))
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(texts) > 1
    assert "".join(texts) == "Paris is slow"
    assert chunks[-1].coterie["how"] == "fused"
    assert set(chunks[-1].coterie["members"]) == {"a", "b", "slow"}


def test_several_choices_are_streamed_side_by_side(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "written", n=3, stream=True, stream_options={"include_usage": True}))
    texts = ["", "", ""]
    ends: list[tuple[int, str]] = []
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        texts[choice.index] += choice.delta.content or ""
        ends += [(choice.index, choice.finish_reason)] if choice.finish_reason else []
    assert texts == ["Paris"] * 3
    assert sorted(ends) == [(0, "stop"), (1, "stop"), (2, "stop")]
    assert chunks[-1].usage.prompt_tokens == 33
    assert len(set(chunks[-1].coterie["run_ids"])) == 3
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


def test_one_of_several_streams_that_breaks_ends_them_all(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="withdrawn"):
        list(ask(client, "midway", n=3, stream=True))


def test_a_stream_that_breaks_half_way_ends_in_an_error(client: openai.OpenAI) -> None:
    seen = []
    with pytest.raises(openai.APIError) as caught:
        seen.extend(ask(client, "midway", stream=True))
    assert "withdrawn" in str(caught.value)
    assert "".join(c.choices[0].delta.content or "" for c in seen).startswith("It is")


def test_a_stream_that_nobody_answers_ends_in_an_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="500: HTTP 500"):
        list(ask(client, "500", stream=True))


def test_a_settled_stream_withdraws_nothing(client: openai.OpenAI) -> None:
    for _ in range(4):  # whoever is drawn first
        chunks = list(ask(client, "coterie/falls", stream=True, extra_body={"coterie": {"stream": "settled"}}))
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Paris"


# ---- refusals ---------------------------------------------------------------------------------

CANNOT: list[tuple[str, dict[str, Any], str]] = [
    ("coterie/fused", {"tools": TOOLS}, "tools"),
    ("coterie/default", {"tools": TOOLS}, "tools"),
    ("a", {"tools": TOOLS}, "tools"),
    ("coterie/default", {"n": 2}, "n"),
    ("coterie/default", {"logprobs": True}, "logprobs"),
    ("coterie/default", {"response_format": {"type": "json_object"}}, "response_format"),
    ("plain", {"temperature": 9}, "temperature"),
    ("plain", {"temperature": "hot"}, "temperature"),
    ("plain", {"top_logprobs": 3}, "top_logprobs"),
    ("plain", {"messages": []}, "messages"),
    ("plain", {"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
    ("plain", {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content[0]"),
    ("plain", {"messages": [{"role": "user", "content": "  "}]}, "messages"),
    ("plain", {"stream_options": {"include_usage": True}}, "stream_options"),
    ("coterie/fused", {"extra_body": {"coterie": {"method": {"review": "x"}}}}, "coterie.method.review"),
    ("coterie/fused", {"extra_body": {"coterie": {"method": {"aggregator": "c"}}}}, "coterie.method"),
    ("coterie/fused", {"extra_body": {"coterie": {"limits": {"deadline_s": -1}}}}, "coterie.limits"),
    ("coterie/fused", {"extra_body": {"coterie": {"colour": 1}}}, "coterie.colour"),
    ("coterie/default", {"frequency_penalty": 1, "extra_body": {"coterie": {"strict": True}}}, "frequency_penalty"),
]


@pytest.mark.parametrize(("model", "how", "param"), CANNOT, ids=lambda value: str(value)[:40])
def test_what_cannot_be_done_is_refused_with_the_reason(
    client: openai.OpenAI, model: str, how: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, model, **how)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_what_a_method_leaves_out_is_said(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="coterie/default",
        messages=[{"role": "user", "content": "x"}],
        frequency_penalty=1,
        extra_body={"top_k": 3, "ключ\r\n": 1},
    )
    said = raw.headers["x-coterie-warnings"]
    assert "frequency_penalty" in said
    assert "top_k" in said


def test_an_unknown_model_is_told_which_there_are(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="coterie/default") as caught:
        ask(client, "gpt-9")
    assert caught.value.code == "model_not_found"


FAULTS = [
    ("500", 502, "false"),
    ("429", 429, "true"),
    ("400", 400, "false"),
    ("401", 502, "false"),
    ("html", 502, "false"),
    ("hang", 504, "false"),
    ("error_200", 502, "false"),
    ("broken", 502, "false"),
    ("breaks_off", 502, "false"),
    ("coterie/down", 502, "false"),
    ("coterie/unwilling", 502, "false"),
]


@pytest.mark.parametrize(("model", "status", "again"), FAULTS)
def test_every_fault_is_an_error_with_its_status(client: openai.OpenAI, model: str, status: int, again: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, model)
    error = caught.value
    assert error.status_code == status
    assert error.response.headers["x-should-retry"] == again
    assert set(error.response.json()["error"]) == {"message", "type", "param", "code"}
    assert "sk-" not in error.message
    assert "10.0.0.7" not in error.message
    assert "capital" not in error.message
    if model == "429":
        assert error.response.headers["retry-after"] == "7"
    if model == "400":
        assert "context length exceeded" in error.message


def test_the_official_client_asks_again_where_that_helps(server: GatewayServer, upstream: FaultServer) -> None:
    before = upstream.count("busy_once")
    with openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=1) as client:
        assert ask(client, "busy_once").choices[0].message.content == "Paris"
    assert upstream.count("busy_once") == before + 2
    with openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=2) as client:
        before = upstream.count("error_200")
        with pytest.raises(openai.APIStatusError):
            ask(client, "error_200")
    assert upstream.count("error_200") == before + 1


# ---- models -----------------------------------------------------------------------------------


def test_methods_and_members_are_listed(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert ids[0] == "coterie/default"
    assert {"plain", "a", "coterie/route"} <= set(ids)
    assert client.models.retrieve("plain").owned_by == "coterie"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_routellms_names_are_routes_at_that_threshold(client: openai.OpenAI) -> None:
    answer = ask(client, "router-random-0.3")
    assert answer.model == "router-random-0.3"
    assert answer.choices[0].message.content
    with pytest.raises(openai.NotFoundError, match="'mf'"):
        ask(client, "router-mf-0.3")
    with pytest.raises(openai.BadRequestError, match="threshold"):
        ask(client, "router-random-3")


def test_an_application_can_be_made_of_a_configuration(upstream: FaultServer) -> None:
    assert callable(application(_config(upstream.base_url)))
