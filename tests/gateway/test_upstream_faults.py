"""What endpoints do wrong, and what a client is told: every fault has its status, and none is told as an answer."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from coterie.config import ApiKey, Config, GatewaySettings
from coterie.gateway.keys import create, hashed
from coterie.gateway.watching import logs
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.protocols import MemberSpec, Method
from coterie.types import Secret
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Reply, Script
from watched_gateway import soon

QUESTION = "What did Zanzibarquux say in confidence?"
SECRET = "sk-upstream-Wobblequux"
KEY, OTHER_KEY = create(), create()
TIMEOUT_S = 0.15
"""Of members that hang."""

HUNG_S = 0.4
"""Of the one whose time is measured."""


@dataclass(frozen=True)
class Fault:
    """What an endpoint does, and what becomes of it."""

    does: Script
    status: int
    """Told to the client who asks this member alone."""
    code: str
    kind: str
    """Of the failure that a blend names."""
    again: bool = False
    """Whether the client is told to try again."""
    retry_after: str | None = None
    says: str = ""
    """Stands in the message."""


WORDS = {"message": f"bad {SECRET} of {QUESTION}", "type": "any", "code": "any"}
"""What an endpoint should not say, and might."""


def refuses(status: int, **headers: str) -> Reply:
    return Reply(status=status, error=WORDS, headers={name.replace("_", "-"): value for name, value in headers.items()})


def body(raw: bytes, kind: str = "application/json") -> Reply:
    return Reply(body=raw, headers={"Content-Type": kind})


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
OPEN = b'{"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": '

FAULTS: dict[str, Fault] = {
    # Nobody answers.
    "breaks before the head": Fault(Reply(raw=b""), 502, "upstream_failed", "connection"),
    "closes before the head": Fault(Reply(raw=b"", death="close"), 502, "upstream_failed", "connection"),
    "breaks in the head": Fault(Reply(raw=HEAD[:30]), 502, "upstream_failed", "connection"),
    "breaks after the head": Fault(Reply(raw=HEAD), 502, "upstream_failed", "truncated"),
    "hangs before the head": Fault(Reply(hang=True), 504, "deadline_exceeded", "timeout"),
    "hangs in the head": Fault(Reply(header_delay_s=60), 504, "deadline_exceeded", "timeout"),
    "hangs in the body": Fault(Reply(hang_after_pieces=1), 504, "deadline_exceeded", "timeout"),
    "speaks another protocol": Fault(Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"), 502, "upstream_failed", "connection"),
    "floods with headers": Fault(
        Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), 502, "upstream_failed", "connection"
    ),
    # An error that says so.
    "400": Fault(refuses(400), 400, "upstream_refused", "http", says="bad *** of"),
    "401": Fault(refuses(401), 502, "upstream_failed", "http", says="HTTP 401"),
    "403": Fault(refuses(403), 502, "upstream_failed", "http", says="HTTP 403"),
    "404": Fault(refuses(404), 502, "upstream_failed", "http", says="HTTP 404"),
    "408": Fault(refuses(408), 502, "upstream_failed", "http", says="HTTP 408"),
    "413": Fault(refuses(413), 413, "upstream_refused", "http", says="bad *** of"),
    "422": Fault(refuses(422), 422, "upstream_refused", "http", says="bad *** of"),
    "429": Fault(refuses(429), 429, "upstream_busy", "http", again=True, retry_after="1"),
    "429 for a while": Fault(refuses(429, Retry_After="7"), 429, "upstream_busy", "http", again=True, retry_after="7"),
    "500": Fault(refuses(500), 502, "upstream_failed", "http", says="HTTP 500"),
    "503": Fault(refuses(503, Retry_After="7"), 502, "upstream_failed", "http", says="HTTP 503"),
    "half a character in an error": Fault(
        Reply(status=400, error={"message": "caf\ud83d"}), 400, "upstream_refused", "http", says="caf?"
    ),
    "an error without JSON": Fault(replace(body(b"<h1>Bad</h1>"), status=502), 502, "upstream_failed", "http"),
    # An error with status 200.
    "HTML": Fault(body(b"<!doctype html><title>Sign in</title>", "text/html"), 502, "upstream_failed", "malformed"),
    "an error object": Fault(Reply(error=WORDS), 502, "upstream_failed", "http"),
    "an empty body": Fault(body(b""), 502, "upstream_failed", "malformed"),
    "no JSON": Fault(body(b"Paris"), 502, "upstream_failed", "malformed"),
    "a list": Fault(body(b"[]"), 502, "upstream_failed", "malformed"),
    "invalid UTF-8": Fault(body(OPEN + b'"caf\xe9"}}]}'), 502, "upstream_failed", "malformed"),
    "JSON that is cut": Fault(body(OPEN + b'"Par'), 502, "upstream_failed", "malformed"),
    "JSON of a great depth": Fault(body(OPEN + b"[" * 100_000), 502, "upstream_failed", "malformed"),
    "no choices": Fault(Reply(choices="missing"), 502, "upstream_failed", "malformed"),
    "empty choices": Fault(Reply(choices="empty"), 502, "upstream_failed", "malformed"),
    "null content": Fault(Reply(content_null=True), 502, "upstream_failed", "empty"),
    "blank content": Fault(Reply(" \n\t"), 502, "upstream_failed", "empty"),
    "content that is no text": Fault(body(OPEN + b"5}}]}"), 502, "upstream_failed", "malformed"),
    "half a character": Fault(Reply("caf\ud83d"), 502, "upstream_failed", "malformed"),
    "less than it promised": Fault(Reply(missing_bytes=100), 502, "upstream_failed", "truncated"),
    "a stream nobody asked for, and empty": Fault(body(b"", "text/event-stream"), 502, "upstream_failed", "truncated"),
}
NOBODY: dict[str, Fault] = {
    "refuses connections": Fault(Reply(), 502, "upstream_failed", "connection"),
    "has a name that nobody knows": Fault(Reply(), 502, "upstream_failed", "connection"),
}
"""Faults before there is an endpoint."""

EVERY = {**FAULTS, **NOBODY}


# ---- the gateway before them ------------------------------------------------------------------


def chunk(text: str) -> bytes:
    return b'data: {"choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n' % text.encode()


WRITTEN = "It is Paris"  # in two pieces: "It is" and " Paris"
STREAMED: dict[str, tuple[Reply, str]] = {
    "breaks": (Reply(WRITTEN, pieces=2, die_after_pieces=1), "answer_withdrawn"),
    "just ends": (Reply(WRITTEN, finish_reason=None, done=False), "answer_withdrawn"),
    "just ends, and closes": (Reply(WRITTEN, finish_reason=None, done=False, chunked=False), "answer_withdrawn"),
    "says an error": (Reply(WRITTEN, pieces=2, error=WORDS, error_after_pieces=1), "answer_withdrawn"),
    "says nonsense": (Reply(body=chunk(WRITTEN) + b"data: {]\n\ndata: [DONE]\n\n"), "answer_withdrawn"),
    "hangs": (Reply(WRITTEN, pieces=2, hang_after_pieces=1), "answer_withdrawn"),
    "says nothing": (Reply("", done=False, finish_reason=None), "upstream_failed"),
    "says no word": (Reply(""), "upstream_failed"),
}
"""What goes wrong after the endpoint has begun to stream, and the code of the event that ends our stream."""

ANSWER = OPEN + b'"Paris"}, "finish_reason": "stop"}]}'
AHEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER.replace(b"Paris", b"Wrong")
"""An answer, and one to a question that nobody has asked yet."""

HEALTHY = {"a": "Paris, says a.", "b": "Paris, says b."}


def _config(upstream: FaultServer) -> Config:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    nowhere = {
        "refuses connections": f"http://127.0.0.1:{port}/v1",
        "has a name that nobody knows": "http://no.such.host.invalid/v1",
    }
    members: dict[str, MemberSpec] = {name: ScriptedMember(name, (says,)) for name, says in HEALTHY.items()}
    for name in (*EVERY, *STREAMED, "hangs for long", "long", "says too much"):
        members[name] = OpenAIMember(
            name,
            nowhere.get(name, upstream.base_url),
            name,
            Secret(SECRET),
            retries=2 if name == "hangs for long" else 0,
            timeout_s=HUNG_S if name == "hangs for long" else TIMEOUT_S if "hang" in name else 5.0,
        )
    methods: dict[str, Method] = {name: PeerBlend((name, "a", "b"), final="select") for name in EVERY}
    methods["hangs for long"] = PeerBlend(("hangs for long", "a", "b"))
    methods |= {f"{name}/at the end": PeerBlend(("a", "b"), aggregator=name) for name in STREAMED}
    keys = (ApiKey("one", hashed(KEY)), ApiKey("other", hashed(OTHER_KEY)))
    return Config(members, methods, gateway=GatewaySettings(keys, breaker=None))


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    scripts: dict[str, Script] = {name: fault.does for name, fault in FAULTS.items()}
    scripts |= {name: reply for name, (reply, _) in STREAMED.items()}
    scripts |= {"hangs for long": Reply(hang=True), "long": Reply("0123456789abcdef" * (10 << 16), pieces=16)}
    scripts["says too much"] = replace(body(ANSWER + AHEAD), headers={"Content-Length": str(len(ANSWER))})
    with FaultServer(scripts) as server:
        yield server


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    with GatewayServer(_config(upstream)) as running:
        yield running


@pytest.fixture(scope="module")
def http(server: GatewayServer) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx2.Client(base_url=server.base_url, headers=headers, timeout=10, verify=False) as client:
        yield client


TURNS: Any = [{"role": "user", "content": QUESTION}]
INTERFACES: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": TURNS},
    "/responses": {"input": QUESTION},
    "/messages": {"messages": TURNS, "max_tokens": 50},
}
"""A question in each of them."""


def ask(http: httpx2.Client, model: str, path: str = "/chat/completions", **more: Any) -> httpx2.Response:
    return http.post(path, json={"model": model, **INTERFACES[path], **more})


def told(response: httpx2.Response) -> tuple[str, str]:
    """The code of an error, and what it says."""
    error = response.json()["error"]
    return error["code"] if "code" in error else error["details"]["error_code"], error["message"]


def leaked(server: GatewayServer, upstream: FaultServer, seen: str) -> list[str]:
    """What no client may read of endpoints and other people."""
    private = (SECRET, OTHER_KEY, KEY, hashed(KEY), hashed(OTHER_KEY), f":{upstream.port}", "no.such.host", "Traceback")
    return [word for word in private if word in seen]


# ---- whole answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_a_fault_is_an_error_in_every_interface(
    server: GatewayServer, upstream: FaultServer, http: httpx2.Client, name: str
) -> None:
    fault = EVERY[name]
    for path in INTERFACES:
        response = ask(http, name, path)
        code, message = told(response)
        assert (response.status_code, code) == (fault.status, fault.code), message
        assert response.headers["x-should-retry"] == ("true" if fault.again else "false")
        assert response.headers.get("retry-after") == fault.retry_after
        assert fault.says in message
        if fault.code != "upstream_refused":
            assert "Zanzibarquux" not in response.text, "who speaks of itself is not quoted"
        assert not leaked(server, upstream, response.text + str(response.headers))


@pytest.mark.parametrize("name", EVERY)
def test_a_blend_answers_without_whoever_fails(http: httpx2.Client, name: str) -> None:
    response = ask(http, f"coterie/{name}")
    answer = response.json()
    assert response.status_code == 200, answer
    assert answer["coterie"]["failures"] == [{"member": name, "kind": EVERY[name].kind, "stage": "generate"}]
    assert answer["choices"][0]["message"]["content"] == HEALTHY[answer["coterie"]["author"]]


def test_bytes_beyond_an_answer_are_nobody_elses(http: httpx2.Client) -> None:
    for _ in range(10):
        assert ask(http, "says too much").json()["choices"][0]["message"]["content"] == "Paris"
        assert "Wrong" not in ask(http, "500").text, "on the same connections"


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_costs_its_timeout_once(http: httpx2.Client, stream: bool) -> None:
    began = time.monotonic()
    response = ask(http, "coterie/hangs for long", stream=stream)
    took_s = time.monotonic() - began
    assert response.status_code == 200
    assert "Paris, says" in response.text
    assert HUNG_S <= took_s < 1.9 * HUNG_S, "not again for each try, each stage and each interface"


@pytest.mark.parametrize("stream", [False, True])
def test_ten_mebibytes_come_whole(http: httpx2.Client, stream: bool) -> None:
    response = ask(http, "long", stream=stream)
    assert response.status_code == 200
    assert response.text.count("0123456789abcdef") >= (10 << 16) - 16  # a piece may end inside of one
    assert ("[DONE]" in response.text) == stream


# ---- streams ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clients(server: GatewayServer) -> Iterator[dict[str, Any]]:
    """How the official clients read a stream in each interface."""
    plain = openai.DefaultHttpxClient(verify=False)  # reading the machine's certificates takes longer than asking
    other = anthropic.DefaultHttpxClient(verify=False)
    with (
        openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0, http_client=plain) as ours,
        anthropic.Anthropic(base_url=server.url, api_key=KEY, max_retries=0, http_client=other) as theirs,
    ):
        made: Any = {
            "/chat/completions": ours.chat.completions.create,
            "/responses": ours.responses.create,
            "/messages": theirs.messages.create,
        }
        yield made


ENDS = ("[DONE]", "response.completed", "response.incomplete", "message_stop")
"""What stands at the end of a whole stream."""


@pytest.mark.parametrize("path", INTERFACES)
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_that_goes_wrong_is_noticed(
    server: GatewayServer, upstream: FaultServer, http: httpx2.Client, clients: dict[str, Any], name: str, path: str
) -> None:
    response = ask(http, name, path, stream=True)
    code = STREAMED[name][1]
    assert response.status_code == 200
    assert ("It is" in response.text) == (code == "answer_withdrawn"), "words went out before"
    assert code in response.text.rpartition("data: ")[2], "the last event is the error"
    assert not any(end in response.text for end in ENDS)
    assert not leaked(server, upstream, response.text)
    if "hang" not in name:  # the wire has shown that it ends in time
        with pytest.raises((openai.APIError, anthropic.APIError)):
            list(clients[path](model=name, stream=True, **INTERFACES[path]))


@pytest.mark.parametrize("name", STREAMED)
def test_an_aggregator_that_goes_wrong_is_noticed_and_a_settled_answer_does_without_it(
    http: httpx2.Client, name: str
) -> None:
    model, withdrawn = f"coterie/{name}/at the end", STREAMED[name][1] == "answer_withdrawn"
    live = ask(http, model, stream=True).text
    assert ("answer_withdrawn" in live) == ("[DONE]" not in live) == withdrawn
    settled = ask(http, model, stream=True, coterie={"stream": "settled"}).text
    assert "Paris, says a." in settled
    assert "It is" not in settled
    assert settled.endswith("data: [DONE]\n\n")


# ---- what is told elsewhere -------------------------------------------------------------------


def test_no_secret_stands_in_metrics_and_logs(
    server: GatewayServer, upstream: FaultServer, http: httpx2.Client
) -> None:
    written = io.StringIO()
    quick = [name for name in EVERY if "hang" not in name]
    with logs.started(written):
        for name in quick:
            ask(http, name)
        httpx2.post(f"{server.base_url}/chat/completions", headers={"authorization": "Bearer ck-guessed"}, json={})
        wanted = {name: EVERY[name].code for name in quick}
        soon(lambda: wanted.items() <= {line.get("model"): line.get("code") for line in _lines(written)}.items())
    page = http.get(f"{server.url}/metrics").text
    assert all(f'model="{name}"' in page for name in quick)
    for seen in (page, written.getvalue()):
        assert not leaked(server, upstream, seen)
        assert "Zanzibarquux" not in seen
        assert "ck-guessed" not in seen


def _lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]
