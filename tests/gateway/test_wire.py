"""What comes over the wire that no client library sends: floods, rubbish, clients that leave."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from coterie.config import Config
from coterie.gateway.event_stream import PING, EventStream
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.vote import Vote
from coterie.protocols import MemberSpec
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Reply as Http

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer({"hang": Http(hang=True), "long": Http("a b c d e f", pieces=40, piece_delay_s=0.02)}) as server:
        yield server


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    http = {name: OpenAIMember(name, upstream.base_url, name) for name in ("hang", "long")}
    slow = ScriptedMember("slow", (Reply("Paris", latency_s=0.25),))
    cut = ScriptedMember("cut", (Reply("x \ud83d", pieces=1),))
    members: dict[str, MemberSpec] = {**http, "slow": slow, "cut": cut, "a": ScriptedMember("a", ("Paris",))}
    with GatewayServer(Config(members, {"default": Vote(("a",)), "both": Vote(("hang", "long"))})) as running:
        yield running


def send(server: GatewayServer, data: bytes, timeout_s: float = 5.0) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s)
    connection.sendall(data)
    return connection


def post(body: bytes | dict[str, Any], *headers: str, length: int | None = None) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: x",
        f"Content-Length: {len(raw) if length is None else length}",
    ]
    lines += headers or ["Content-Type: application/json"]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + raw


def answer(server: GatewayServer, data: bytes) -> tuple[int, bytes]:
    """The status and all of the body."""
    with send(server, data) as connection:
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


DEEP = b'{"model": "a", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"

RUBBISH = {
    "no_json": (post(b"not json"), 400),
    "empty": (post(b""), 400),
    "deep": (post(DEEP), 400),
    "invalid_utf8": (post(b'{"model": "a", "messages": [{"role": "user", "content": "\xff\xfe"}]}'), 400),
    "half_a_character": (post(b'{"model": "a", "messages": [{"role": "user", "content": "\\ud800"}]}'), 400),
    "no_object": (post(b"[1]"), 400),
    "not_a_number": (post(b'{"model": "a", "messages": [], "temperature": NaN}'), 400),
    "too_large": (post(b"{", "Content-Type: application/json", length=10**9), 413),
    "a_form": (post(b"model=a", "Content-Type: application/x-www-form-urlencoded"), 415),
    "from_a_page": (post(b"{}", "Content-Type: application/json", "Origin: https://evil.example"), 403),
    "many_headers": (post(b"{}", *(f"X-{n}: y" for n in range(1000))), 431),
    "a_long_header": (post(b"{}", f"X-Long: {'y' * 100_000}"), 431),
    "an_endless_head": (b"GET / HTTP/1.1\r\nX: " + b"y" * 600_000, 400),
    "another_method": (b"GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    "no_such_path": (b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    "not_built": (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_refused_in_openais_form(server: GatewayServer, name: str) -> None:
    data, wanted = RUBBISH[name]
    status, body = answer(server, data)
    assert status == wanted, body
    if name != "an_endless_head":
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


def test_ten_mebibytes_are_answered(server: GatewayServer) -> None:
    body = {"model": "a", "messages": [{"role": "user", "content": "x" * (10 << 20)}]}
    status, received = answer(server, post(body))
    assert status == 200
    assert json.loads(received)["choices"][0]["message"]["content"] == "Paris"


def test_text_no_utf8_can_hold_is_sent_as_one_that_it_can(server: GatewayServer) -> None:
    status, body = answer(server, post({"model": "cut", "messages": QUESTION, "stream": True}))
    assert status == 200
    assert b"x " in body
    assert body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_headers_and_a_comment_come_before_the_answer(server: GatewayServer) -> None:
    began = time.monotonic()
    with send(server, post({"model": "slow", "messages": QUESTION, "stream": True})) as connection:
        first = connection.recv(65_536)
        took_s = time.monotonic() - began
        while b": ping" not in first:
            first += connection.recv(65_536)
    assert took_s < 0.2
    assert first.startswith(b"HTTP/1.1 200")
    assert b"text/event-stream; charset=utf-8" in first
    assert b"cache-control: no-cache" in first
    assert b"x-accel-buffering: no" in first
    assert b"Paris" not in first


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["hang", "coterie/both"])
def test_a_client_that_leaves_takes_every_call_with_it(
    server: GatewayServer, upstream: FaultServer, model: str, stream: bool
) -> None:
    before = len(upstream.requests)
    calls = 2 if model == "coterie/both" else 1
    with send(server, post({"model": model, "messages": QUESTION, "stream": stream})):
        assert upstream.busy_within(5, calls)
    assert upstream.idle_within(2)
    assert [seen.disconnected for seen in upstream.requests[before:]] == [True] * calls


def test_silence_is_filled_with_comments() -> None:
    async def silent() -> AsyncGenerator[bytes]:
        await asyncio.sleep(0.1)
        yield b"data: 1\n\n"

    async def waits() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def keep(message: Any) -> None:
        sent.append(message.get("body", b""))

    sent: list[bytes] = []
    response = EventStream(silent(), {}, ping_s=0.02)
    asyncio.run(response({}, waits, keep))
    assert sent.count(PING) >= 3
    assert sent[-2:] == [b"data: 1\n\n", b""]
