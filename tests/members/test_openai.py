"""The `openai` engine against a real server on loopback: what it sends, what it takes in, when it tries again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from email.utils import formatdate
from typing import Any, TypeVar

import pytest

from coterie import Answer, Committee, NoAnswer
from coterie.errors import ConfigError, MemberError
from coterie.house import House
from coterie.members.body import ANSWER_BYTES
from coterie.members.openai import LONGEST_ERROR, OpenAIMember, OpenAIModel
from coterie.members.prompting import FewShot
from coterie.methods.route import Route
from coterie.routers.always import Always
from coterie.run import LiveRun
from coterie.trace import CallRetried
from coterie.types import (
    BallotMode,
    Capability,
    Completion,
    Failure,
    FailureKind,
    Message,
    Price,
    Request,
    Sampling,
    Secret,
    TokenLogprob,
    Usage,
)
from http_faults import FAULTS, Body, FaultServer, Json, Reply, Script

T = TypeVar("T")

QUESTION = "What is the capital of France?"
KEY = "sk-very-secret-0123456789"


def member(server: FaultServer, model: str = "mini", **settings: Any) -> OpenAIMember:
    return OpenAIMember("m", settings.pop("base_url", server.base_url), model, **settings)


def with_model(spec: OpenAIMember, work: Callable[[OpenAIModel], Coroutine[Any, Any, T]]) -> T:
    """What `work` makes of the open member."""

    async def go() -> T:
        async with House() as house:
            return await work(await spec.open(house))

    return asyncio.run(go())


def say(spec: OpenAIMember, request: Request | None = None, pieces: list[str] | None = None) -> Completion:
    """What the member answers."""
    asked = Request.of(QUESTION) if request is None else request
    return with_model(spec, lambda model: model.generate(asked, None if pieces is None else pieces.append))


def failure(spec: OpenAIMember, request: Request | None = None) -> MemberError:
    with pytest.raises(MemberError) as caught:
        say(spec, request)
    return caught.value


def sent(request: Request | None = None, pieces: list[str] | None = None, **settings: Any) -> Body:
    """The body of the one request that the member sends."""
    with FaultServer({"mini": Reply()}) as server:
        say(member(server, **settings), request, pieces)
        [seen] = server.requests
        return seen.body


# ---- what it sends ----------------------------------------------------------------------------


def test_a_plain_question_is_a_model_and_messages_and_nothing_else() -> None:
    assert sent() == {"model": "mini", "messages": [{"role": "user", "content": QUESTION}]}


def test_the_path_and_the_headers() -> None:
    with FaultServer({"mini": Reply()}) as server:
        spec = member(server, api_key=Secret(KEY), headers={"X-Title": "tests"}, base_url=f"{server.base_url}/")
        say(spec)
        say(member(server))
        with_key, without = server.requests
    assert with_key.path == "/v1/chat/completions"
    assert with_key.headers["authorization"] == f"Bearer {KEY}"
    assert with_key.headers["content-type"] == "application/json"
    assert with_key.headers["x-title"] == "tests"
    assert "authorization" not in without.headers


def test_sampling_of_the_request_wins_over_the_members() -> None:
    own: dict[str, Any] = {"temperature": 0.7, "max_tokens": 99}
    assert (sent(**own)["temperature"], sent(**own)["max_tokens"]) == (0.7, 99)
    given = Sampling(temperature=0.0, top_p=0.5, max_tokens=7, seed=3, stop=("\n", "END"))
    body = sent(Request.of(QUESTION, given), **own)
    assert {key: body[key] for key in ("temperature", "top_p", "max_tokens", "seed", "stop")} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 7,
        "seed": 3,
        "stop": ["\n", "END"],
    }


@pytest.mark.parametrize(("top", "wanted"), [(None, {}), (0, {"logprobs": True, "top_logprobs": 0})])
def test_logprobs_are_asked_for_only_where_wanted(top: int | None, wanted: Body) -> None:
    body = sent(Request.of(QUESTION, Sampling(top_logprobs=top)))
    assert {key: body[key] for key in ("logprobs", "top_logprobs") if key in body} == wanted


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def test_tools_and_unknown_parameters_are_passed_through() -> None:
    extra = {"tools": TOOLS, "tool_choice": "auto", "reasoning": {"effort": "low"}, "x_vendor": [1, None]}
    body = sent(Request.of(QUESTION, Sampling(extra=extra)))
    assert {key: body[key] for key in extra} == extra


def test_the_requests_parameters_win_over_the_members() -> None:
    body = sent(Request.of(QUESTION, Sampling(extra={"top_k": 1})), extra={"top_k": 40, "min_p": 0.1})
    assert (body["top_k"], body["min_p"]) == (1, 0.1)


def test_turns_are_passed_through_with_all_they_carry() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    turns = (
        Message("developer", "Be brief."),
        Message("user", ({"type": "text", "text": "And here?"}, image), {"name": "eve"}),
        Message("assistant", "", {"tool_calls": [call]}),
        Message("tool", "rain", {"tool_call_id": "call_1"}),
    )
    assert sent(Request(turns), system="never used")["messages"] == [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "And here?"}, image], "name": "eve"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    ]


def test_the_members_system_message_stands_first() -> None:
    messages = sent(system="Answer in French.")["messages"]
    assert messages[0] == {"role": "system", "content": "Answer in French."}
    assert [message["role"] for message in messages] == ["system", "user"]


def test_a_prefix_is_a_begun_assistant_turn() -> None:
    body = sent(Request((Message("user", QUESTION),), prefix="The capital is"))
    assert body["messages"][-1] == {"role": "assistant", "content": "The capital is"}


def test_a_schema_is_a_response_format_where_the_endpoint_takes_one() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    asked = Request((Message("user", QUESTION),), schema=schema)
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    assert sent(asked)["response_format"] == wanted
    assert "response_format" not in sent(asked, structured=False)


def test_any_text_can_be_asked() -> None:
    text = 'é 😀 \x00 \u202e "quoted" \\ <|im_end|> \ud800'
    with FaultServer({"mini": Reply()}) as server:
        say(member(server), Request.of(text))
        assert server.requests[0].body["messages"][0]["content"] == text


@pytest.mark.parametrize(
    ("stream", "listens", "streamed"),
    [
        ("auto", False, False),
        ("auto", True, True),
        ("always", False, True),
        ("always", True, True),
        ("never", False, False),
        ("never", True, False),
    ],
)
def test_it_streams_when_somebody_listens_or_as_told(stream: str, listens: bool, streamed: bool) -> None:
    body = sent(None, [] if listens else None, stream=stream)
    assert body.get("stream", False) is streamed
    assert body.get("stream_options") == ({"include_usage": True} if streamed else None)


# ---- plain completions ------------------------------------------------------------------------


def test_plain_completions_are_prompted_with_examples() -> None:
    shots = (("1 + 1?", "2"), ("2 + 2?", "4"))
    with FaultServer({"mini": Reply(" It is Paris. ")}) as server:
        spec = member(server, api="completions", shots=shots, system="Be right.")
        made = say(spec, Request.of(QUESTION, Sampling(stop=("END",), top_logprobs=5)))
        [seen] = server.requests
    assert made.text == "It is Paris."
    assert seen.path == "/v1/completions"
    assert "messages" not in seen.body
    assert seen.body["prompt"] == FewShot(shots).prompt(Request.of(QUESTION), "Be right.").text
    assert seen.body["prompt"].index("1 + 1?") < seen.body["prompt"].index(QUESTION)
    assert seen.body["stop"] == ["END", "Question:", "\n\n"]
    assert seen.body["logprobs"] == 5


def test_plain_completions_go_on_from_a_prefix() -> None:
    with FaultServer({"mini": Reply(" Paris.")}) as server:
        made = say(member(server, api="completions"), Request((Message("user", QUESTION),), prefix="It is"))
        assert server.requests[0].body["prompt"].endswith("Answer: It is")
    assert made.text == " Paris."


def test_plain_completions_stream() -> None:
    pieces: list[str] = []
    with FaultServer({"mini": Reply(" It is Paris.", pieces=4)}) as server:
        made = say(member(server, api="completions"), pieces=pieces)
    assert made.text == "It is Paris."
    assert "".join(pieces).strip() == made.text


# ---- what it takes in -------------------------------------------------------------------------


def test_streamed_pieces_come_in_order_as_they_are_written() -> None:
    text, times, pieces = "".join(chr(97 + n) for n in range(20)), [], []

    def emit(piece: str) -> None:
        pieces.append(piece)
        times.append(time.monotonic())

    with FaultServer({"mini": Reply(text, pieces=10, piece_delay_s=0.02)}) as server:
        made = with_model(member(server), lambda model: model.generate(Request.of(QUESTION), emit))
    assert made.text == "".join(pieces) == text
    assert len(pieces) == 10
    assert times[-1] - times[0] > 0.1, "the pieces came all at once"
    assert made.first_piece_s is not None
    assert 0.0 < made.first_piece_s < 0.15


@pytest.mark.parametrize("split", [1, 3, 7])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_stream_is_read_however_its_bytes_are_cut(split: int, newline: str) -> None:
    text = "é😀 data: [DONE] \n\ndata: x"
    reply = Reply(text, pieces=3, split_bytes=split, newline=newline, comments=True)
    with FaultServer({"mini": reply}) as server:
        assert say(member(server, stream="always")).text == text


@pytest.mark.parametrize("place", ["own", "last", "every"])
def test_usage_may_come_on_any_chunk(place: Any) -> None:
    with FaultServer({"mini": Reply(pieces=3, usage_place=place)}) as server:
        assert say(member(server, stream="always")).usage == Usage(1, 11, 7, None)


def test_whole_and_streamed_answers_are_the_same() -> None:
    with FaultServer({"mini": Reply("It is Paris.", pieces=4, finish_reason="length")}) as server:
        whole, streamed = say(member(server, stream="never")), say(member(server, stream="always"))
    assert (whole.text, whole.usage, whole.finish_reason) == (streamed.text, streamed.usage, streamed.finish_reason)
    assert whole.finish_reason == "length"
    assert whole.first_piece_s is None


@pytest.mark.parametrize("stream", ["never", "always"])
def test_logprobs_as_the_endpoint_gives_them(stream: str) -> None:
    logprobs = {"content": [{"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "5", "logprob": -2.5}]}]}
    with FaultServer({"mini": Reply("4", logprobs=logprobs)}) as server:
        made = say(member(server, stream=stream), Request.of(QUESTION, Sampling(top_logprobs=1)))
    assert made.logprobs == (TokenLogprob("4", -0.1, (("5", -2.5),)),)


@pytest.mark.parametrize("stream", ["never", "always"])
def test_tool_calls_are_an_answer_without_text(stream: str) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    reply = Reply(content_null=True, message={"tool_calls": [call]}, finish_reason="tool_calls")
    with FaultServer({"mini": reply}) as server:
        made = say(member(server, stream=stream))
    assert made.text == ""
    assert [(c["id"], c["function"]) for c in made.tool_calls] == [("call_1", call["function"])]


def test_a_whole_answer_to_who_asked_for_a_stream_is_taken() -> None:
    body = json.dumps({"choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}]}).encode()
    with FaultServer({"mini": Reply(body=body, headers={"Content-Type": "application/json"})}) as server:
        assert say(member(server, stream="always")).text == "Paris"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_the_conversation_nowhere(status: int) -> None:
    with FaultServer({"mini": Reply()}) as elsewhere:
        away = Reply(status=status, headers={"Location": f"{elsewhere.base_url}/chat/completions"})
        with FaultServer({"mini": away}) as server:
            error = failure(member(server, headers={"x-api-key": "sk-secret-2"}))
        assert elsewhere.requests == []
    assert (error.kind, error.status, error.retryable) == (FailureKind.HTTP, status, False)
    assert "not followed" in str(error)


def test_who_is_asked_alone_and_refuses_is_heard() -> None:
    said = {"content": None, "refusal": "I cannot help with that."}
    body = json.dumps({"choices": [{"message": said, "finish_reason": "stop"}]}).encode()
    with FaultServer({"mini": Reply(body=body, headers={"Content-Type": "application/json"})}) as server:
        answer = Committee([member(server)], {"default": Route(Always("m"), ("m",))}).ask(QUESTION)
    assert (answer.text, answer.refusal, str(answer)) == ("", said["refusal"], said["refusal"])


def test_one_bound_is_sent_by_one_name() -> None:
    newer = Request((Message("user", "?"),), Sampling(max_tokens=50, extra={"max_completion_tokens": 50}))
    assert sent(newer, max_tokens=100).keys() & {"max_tokens", "max_completion_tokens"} == {"max_completion_tokens"}
    assert sent(newer, max_tokens=100)["max_completion_tokens"] == 50
    assert sent(max_tokens=100, extra={"max_completion_tokens": 70})["max_completion_tokens"] == 70


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("says", [True, False], ids=["said before", "not said"])
def test_an_answer_without_an_end_is_none(kind: str, says: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind.encode() + b"\r\n"
    head += b"Content-Length: %d\r\n\r\n" % 10**12 if says else b"\r\n"
    with FaultServer({"mini": Reply(raw=head + b" " * (ANSWER_BYTES + 1))}) as server:
        error = failure(member(server))
    assert (error.kind, error.retryable) == (FailureKind.MALFORMED, False)
    assert "more than 64 MiB" in str(error)


def test_a_large_request_is_sent_whole() -> None:
    text = "0123456789abcdef" * 2**17  # 2 MiB
    with FaultServer({"mini": Reply()}) as server:
        say(member(server), Request.of(text))
        assert server.requests[0].body["messages"][0]["content"] == text


# ---- money ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["never", "always"])
def test_the_cost_is_by_the_members_price(stream: str) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 80}, "cost": 9}
    with FaultServer({"mini": Reply(usage=usage)}) as server:
        plain = say(member(server, stream=stream, price=Price(1.0, 2.0))).usage
        cached = say(member(server, stream=stream, price=Price(1.0, 2.0, cached_input_usd=0.1))).usage
    assert plain.cost_usd == pytest.approx((100 * 1.0 + 10 * 2.0) / 1e6)
    assert cached.cost_usd == pytest.approx((20 * 1.0 + 80 * 0.1 + 10 * 2.0) / 1e6)
    assert cached.cached_tokens == 80


def test_an_unknown_price_is_an_unknown_cost_unless_the_endpoint_tells() -> None:
    with FaultServer({"mini": Reply(), "tells": Reply(usage={"prompt_tokens": 1, "cost": 0.25})}) as server:
        assert say(member(server)).usage.cost_usd is None
        assert say(member(server, "tells")).usage.cost_usd == 0.25


@pytest.mark.parametrize("cost", [-1.0, True, "free", None, float("inf")])
def test_a_cost_that_cannot_be_is_unknown(cost: Any) -> None:
    with FaultServer({"tells": Reply(usage={"prompt_tokens": 1, "completion_tokens": 1, "cost": cost})}) as server:
        assert say(member(server, "tells")).usage.cost_usd is None


def test_a_price_without_counts_is_an_unknown_cost() -> None:
    with FaultServer({"mini": Reply(usage=None)}) as server:
        assert say(member(server, price=Price(1.0, 2.0))).usage == Usage(1, None, None, None)
        assert say(member(server, price=Price(0.0, 0.0))).usage.cost_usd == 0.0


# ---- connections ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["never", "always"])
def test_one_connection_serves_request_after_request(stream: Any) -> None:
    with FaultServer({"mini": Reply(pieces=3)}) as server:

        async def four(model: OpenAIModel) -> None:
            for _ in range(4):
                await model.generate(Request.of(QUESTION), None)

        with_model(member(server, stream=stream), four)
        assert (len(server.requests), server.connections) == (4, 1)


def test_members_of_a_committee_share_the_pool() -> None:
    with FaultServer({"mini": Reply()}) as server:

        async def go() -> None:
            async with House() as house:
                for name in ("a", "b", "c"):
                    model = await OpenAIMember(name, server.base_url, "mini").open(house)
                    await model.generate(Request.of(QUESTION), None)

        asyncio.run(go())
        assert server.connections == 1


def test_a_stream_that_stays_open_after_done_does_not_hold_the_answer_up() -> None:
    with FaultServer({"mini": Reply("It is Paris.", pieces=2, hang_after_pieces=3)}) as server:
        began = time.monotonic()
        assert say(member(server, stream="always")).text == "It is Paris."
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("death", ["reset", "close"])
def test_a_connection_that_breaks_after_done_takes_no_answer_away(death: Any) -> None:
    with FaultServer({"mini": Reply("It is Paris.", pieces=2, die_after_pieces=3, death=death)}) as server:
        assert say(member(server, stream="always")).text == "It is Paris."


@pytest.mark.parametrize("fault", ["hang", "hang_midway"])
@pytest.mark.parametrize("stream", ["never", "always"])
def test_cancelling_closes_the_request(fault: str, stream: Any) -> None:
    with FaultServer({"mini": FAULTS[fault]}) as server:

        async def cancelled(model: OpenAIModel) -> None:
            task = asyncio.ensure_future(model.generate(Request.of(QUESTION), lambda _piece: None))
            assert await asyncio.to_thread(server.busy_within, 5)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.idle_within, 1)

        with_model(member(server, stream=stream), cancelled)
        assert server.requests[0].disconnected


# ---- secrets ----------------------------------------------------------------------------------

ECHOES: dict[str, Script] = {
    "refused": Reply(status=401, error={"message": f"Incorrect API key provided: {KEY}. Find yours at example.com."}),
    "page": Reply(status=403, body=f"<p>{KEY} may not enter</p>".encode(), headers={"Content-Type": "text/html"}),
    "html": Reply(body=f"<p>Hello {KEY}</p>".encode(), headers={"Content-Type": "text/html"}),
    "broken": Reply(body=f'{{"you sent": "{KEY}"'.encode()),
    "no choices": Reply(body=json.dumps({"key": KEY}).encode()),
    "error with 200": Reply(error={"message": f"bad key {KEY}"}),
    "odd choice": Reply(body=json.dumps({"choices": [{"message": KEY}]}).encode()),
    "odd content": Reply(body=json.dumps({"choices": [{"message": {"content": {"key": KEY}}}]}).encode()),
    "cut": Reply(status=400, error={"message": "x" * (LONGEST_ERROR - 25) + KEY}),
    "cut later": Reply(status=400, error={"message": "x" * (LONGEST_ERROR - 12) + KEY * 100}),
}


@pytest.mark.parametrize("stream", ["never", "always"])
@pytest.mark.parametrize("echo", ECHOES)
def test_the_key_is_in_no_error_even_when_the_server_repeats_it(echo: str, stream: str) -> None:
    with FaultServer({"mini": ECHOES[echo]}) as server:
        error = failure(member(server, api_key=Secret(KEY), stream=stream))
    for start in range(len(KEY) - 8):
        assert KEY[start : start + 8] not in str(error)
    assert len(str(error)) < LONGEST_ERROR + 100


@pytest.mark.parametrize("length", range(LONGEST_ERROR - 60, LONGEST_ERROR + 10, 7))
def test_no_half_of_a_key_is_left_where_an_error_is_cut(length: int) -> None:
    with FaultServer({"mini": Reply(status=400, error={"message": "x" * length + KEY})}) as server:
        assert "sk-" not in str(failure(member(server, api_key=Secret(KEY))))


def test_secret_headers_are_in_no_error() -> None:
    with FaultServer({"mini": Reply(status=401, error={"message": "bad token tok-123456"})}) as server:
        error = failure(member(server, headers={"X-Token": "tok-123456"}))
    assert str(error) == "HTTP 401: bad token ***"


def test_secrets_are_not_printed() -> None:
    spec = OpenAIMember(
        "m", "http://x/v1", "mini", Secret(KEY), headers={"X-Token": "tok-123456"}, proxy="http://u:pw-123@proxy"
    )
    for printed in (repr(spec), str(spec), repr(spec.card), f"{spec.api_key}"):
        assert KEY not in printed
        assert "tok-123456" not in printed
        assert "pw-123" not in printed


# ---- specification ----------------------------------------------------------------------------


@pytest.mark.parametrize("base_url", ["127.0.0.1:8000/v1", "ftp://x/v1", "", "/v1"])
def test_a_base_url_must_be_one(base_url: str) -> None:
    with pytest.raises(ConfigError, match="must begin with http"):
        OpenAIMember("m", base_url, "mini")


def test_the_card_says_what_it_can_do() -> None:
    spec = OpenAIMember("m", "http://x/v1", "mini", price=Price(1, 2), context_tokens=8192, max_concurrency=3)
    card = spec.card
    assert (card.name, card.model, card.price, card.context_tokens) == ("m", "mini", Price(1, 2), 8192)
    assert (card.ballot, card.max_concurrency, card.timeout_s) == (BallotMode.TEXT, 3, 60.0)
    assert card.capabilities == {Capability.LOGPROBS, Capability.REVIEW, Capability.SCHEMA}
    bare = OpenAIMember("m", "http://x/v1", "mini", structured=False, ballot=BallotMode.SCORE_LOGPROB).card
    assert (bare.ballot, Capability.SCHEMA in bare.capabilities) == (BallotMode.SCORE_LOGPROB, False)


# ---- what may be tried again ------------------------------------------------------------------


def status(code: int, **headers: str) -> Reply:
    return Reply(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("codes", "retryable"),
    [((400, 401, 403, 404, 422, 501), False), ((408, 409, 425, 429, 500, 502, 503, 504), True)],
    ids=["hopeless", "worth another try"],
)
def test_which_statuses_may_be_tried_again(codes: tuple[int, ...], retryable: bool) -> None:
    with FaultServer({str(code): Reply(status=code, error={"message": "no"}) for code in codes}) as server:
        for code in codes:
            error = failure(member(server, str(code)))
            assert (error.kind, error.retryable) == (FailureKind.HTTP, retryable)
            assert str(error) == f"HTTP {code}: no"


@pytest.mark.parametrize(("code", "advice", "retryable"), [(400, "true", True), (500, "false", False), (500, "", True)])
def test_the_endpoints_own_advice_wins(code: int, advice: str, retryable: bool) -> None:
    with FaultServer({"mini": status(code, x_should_retry=advice)}) as server:
        assert failure(member(server)).retryable is retryable


def retry_after(**headers: str) -> float | None:
    with FaultServer({"mini": status(429, **headers)}) as server:
        return failure(member(server)).retry_after_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry_After": "3"}, 3.0),
        ({"Retry_After": "0.25"}, 0.25),
        ({"Retry_After": "0"}, 0.0),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after_ms": "250", "Retry_After": "9"}, 0.25),
        ({"Retry_After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": ""}, None),
        ({"retry_after_ms": "soon"}, None),
    ],
)
def test_how_long_the_endpoint_wants_to_be_left_alone(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(**headers) == seconds


def test_a_date_to_come_back_at() -> None:
    seconds = retry_after(Retry_After=formatdate(time.time() + 30, usegmt=True))
    assert seconds is not None
    assert 27 < seconds <= 30


def test_what_was_refused_costs_nothing() -> None:
    with FaultServer({"mini": status(429)}) as server:
        assert failure(member(server)).usage == Usage(calls=1)


@pytest.mark.parametrize("stream", ["never", "always"])
@pytest.mark.parametrize("fault", ["dies", "closes"])
def test_an_answer_that_broke_off_is_not_asked_for_again(fault: str, stream: str) -> None:
    with FaultServer({"mini": FAULTS[fault]}) as server:
        error = failure(member(server, stream=stream))
    assert (error.kind, error.retryable) == (FailureKind.TRUNCATED, False)


def test_nobody_at_the_other_end_may_be_tried_again() -> None:
    with FaultServer({"mini": Reply()}) as server:
        spec = member(server)
    error = failure(spec)  # it has stopped
    assert (error.kind, error.retryable, error.usage) == (FailureKind.CONNECTION, True, Usage(calls=1))


# ---- tries in time ----------------------------------------------------------------------------


def asked(server: FaultServer, deadline_s: float = 20, **settings: Any) -> tuple[str | None, tuple[Failure, ...]]:
    """The answer of one member's committee and the failures, through the run, which keeps time."""
    one = {"engine": "openai", "base_url": server.base_url, "model": "mini", **settings}
    methods = {"default": {"kind": "vote", "members": ["m"]}}
    made: Json = {"members": {"m": one}, "methods": methods, "limits": {"deadline_s": deadline_s}}

    async def go() -> tuple[str | None, tuple[Failure, ...]]:
        async with Committee.from_config(made) as committee:
            try:
                answer = await committee.aask(QUESTION)
            except NoAnswer as error:
                return None, error.failures
            return answer.text, answer.failures

    return asyncio.run(go())


def busy(times: int, reply: Reply) -> Script:
    return lambda _body, nth: reply if nth <= times else Reply()


@pytest.mark.parametrize(
    ("reply", "least_s", "most_s"),
    [
        (status(429, Retry_After="0.3"), 0.3, 0.6),
        (status(503, retry_after_ms="300"), 0.3, 0.6),
        (status(500), 0.25, 0.8),
    ],
    ids=["seconds", "milliseconds", "backoff"],
)
def test_it_is_tried_again_after_the_right_time(reply: Reply, least_s: float, most_s: float) -> None:
    with FaultServer({"mini": busy(1, reply)}) as server:
        assert asked(server) == ("Paris", ())
        first, second = server.requests
    assert least_s <= second.at_s - first.at_s < most_s


def test_a_date_is_waited_for() -> None:
    def script(body: Body, nth: int) -> Reply:
        if nth > 1:
            return Reply()
        return status(429, Retry_After=formatdate(time.time() + 2, usegmt=True))

    with FaultServer({"mini": script}) as server:
        assert asked(server) == ("Paris", ())
        first, second = server.requests
    assert 0.9 <= second.at_s - first.at_s < 2.6


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_it_is_tried_again_only_so_often(retries: int) -> None:
    with FaultServer({"mini": status(429, Retry_After="0")}) as server:
        text, failures = asked(server, retries=retries)
        assert len(server.requests) == 1 + retries
    assert text is None
    [failed] = failures
    assert (failed.kind, failed.usage.calls) == (FailureKind.HTTP, 1 + retries)


@pytest.mark.parametrize("limit", [{"timeout_s": 1.0}, {"deadline_s": 1.0}], ids=["timeout", "deadline"])
@pytest.mark.parametrize("wait", ["3600", "inf-date"])
def test_a_wait_longer_than_the_time_left_fails_at_once(limit: dict[str, float], wait: str) -> None:
    header = formatdate(time.time() + 3600, usegmt=True) if wait == "inf-date" else wait
    with FaultServer({"mini": status(429, Retry_After=header)}) as server:
        began = time.monotonic()
        text, failures = asked(server, **limit)
        assert time.monotonic() - began < 0.8
        assert len(server.requests) == 1
    assert text is None
    assert failures[0].kind is FailureKind.HTTP
    assert "would come too late" in failures[0].error


def waits(reply: Reply) -> set[float]:
    """How long twenty members wait after their first try, side by side."""
    names = [f"m{n}" for n in range(20)]
    with FaultServer(dict.fromkeys(names, busy(1, reply))) as server:
        members = {name: {"engine": "openai", "base_url": server.base_url, "model": name} for name in names}
        made = {"members": members, "methods": {"default": {"kind": "vote", "members": names}}}

        async def go() -> Answer:
            async with Committee.from_config(made) as committee:
                return await committee.aask(QUESTION)

        answer = asyncio.run(go())
    assert answer.failures == ()
    return {retried.wait_s for retried in answer.trace.of(CallRetried)}


def test_waits_are_jittered_within_bounds() -> None:
    told, own = waits(status(429, Retry_After="0.2")), waits(status(500))
    assert len(told) > 15, "members march in step"
    assert all(0.2 <= wait <= 0.22 for wait in told), "it came back before it was asked to"
    assert len(own) > 15, "members march in step"
    assert all(0.25 <= wait <= 0.5 for wait in own)


def test_max_concurrency_bounds_the_requests_at_once() -> None:
    most = 0

    with FaultServer({"mini": Reply(delay_s=0.05)}) as server:

        async def go() -> None:
            nonlocal most
            members = {"m": {"engine": "openai", "base_url": server.base_url, "model": "mini", "max_concurrency": 2}}
            made = {"members": members, "methods": {"default": {"kind": "vote", "members": ["m"]}}}
            async with Committee.from_config(made) as committee:
                asks = [asyncio.ensure_future(committee.aask(f"{QUESTION} {n}")) for n in range(6)]
                while not all(task.done() for task in asks):
                    most = max(most, server.active)
                    await asyncio.sleep(0.005)

        asyncio.run(go())
        assert len(server.requests) == 6
    assert most == 2


def test_an_endpoint_that_refuses_a_schema_is_asked_without_one_from_then_on() -> None:
    def script(body: dict[str, Any], nth: int) -> Reply:
        return (
            Reply(status=400, error={"message": "response_format is not supported"})
            if ("response_format" in body)
            else Reply('{"scores": {}}')
        )

    async def main(spec: OpenAIMember) -> tuple[list[str], int]:
        request = Request((Message("user", "Judge."),), schema={"type": "object"})
        async with Committee([spec], {}) as committee:
            seat = (await committee.aopen())[spec.name]
            run = LiveRun(request, {spec.name: seat})
            texts = []
            for _ in range(2):
                outcome = await run.ask(spec.name, request)
                assert isinstance(outcome, Completion)
                texts.append(outcome.text)
            return texts, run.ledger.usage.calls

    with FaultServer({"mini": script}) as server:
        texts, calls = asyncio.run(main(OpenAIMember("m", server.base_url, "mini")))
        refused = [seen for seen in server.of("mini") if "response_format" in seen.body]
    assert texts == ['{"scores": {}}'] * 2
    assert calls == 3  # the refused one counts
    assert len(refused) == 1
