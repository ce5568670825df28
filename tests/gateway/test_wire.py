"""What comes over the wire that no client library sends: floods, rubbish, clients that leave."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from typing import Any

import httpx2
import openai
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
    with FaultServer(
        {"plain": Http(), "hang": Http(hang=True), "long": Http("a b c d e f", pieces=40, piece_delay_s=0.02)}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    http = {name: OpenAIMember(name, upstream.base_url, name) for name in ("hang", "long", "plain")}
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
    """The status and all of the body. What is not read of `data` any more is not sent."""
    with send(server, b"") as connection:
        with suppress(ConnectionError):
            connection.sendall(data)
        received = b""
        with suppress(ConnectionError):
            while chunk := connection.recv(65_536):
                received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


DEEP = b'{"model": "a", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def line(verb: str, path: str) -> bytes:
    return f"{verb} {path} HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n".encode()


NOWHERE: tuple[str, ...] = (
    "/v2",
    "/v1/models/",
    "/v1/chat/completions/",
    "//v1/models",
    "/v1/../v1/models",
    "/%00",
    "*",
)
NOWHERE += ("/v1/models/" + "x" * 60_000, "/v1/models/%2e%2e%2f", "/v1/runs/%F0%9F%98%80", "/" + "a/" * 30_000)

RUBBISH = {
    "no_json": (post(b"not json"), 400),
    "empty": (post(b""), 400),
    "deep": (post(DEEP), 400),
    "invalid_utf8": (post(b'{"model": "a", "messages": [{"role": "user", "content": "\xff\xfe"}]}'), 400),
    "half_a_character": (post(b'{"model": "a", "messages": [{"role": "user", "content": "\\ud800"}]}'), 400),
    "no_object": (post(b"[1]"), 400),
    "deep_where_nobody_looks": (post(b'{"model": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), 400),
    "another_encoding": (post('{"model": "a"}'.encode("utf-16")), 400),
    "compressed": (post(gzip.compress(b"{}"), "Content-Type: application/json", "Content-Encoding: gzip"), 400),
    "too_large": (post(b"{", "Content-Type: application/json", length=10**9), 413),
    "a_form": (post(b"model=a", "Content-Type: application/x-www-form-urlencoded"), 415),
    "plain_text": (post(b"{}", "Content-Type: text/plain"), 415),
    "no_type": (post(b"{}", "X-Type: none"), 415),
    "from_a_page": (post(b"{}", "Content-Type: application/json", "Origin: https://evil.example"), 403),
    "many_headers": (post(b"{}", *(f"X-{n}: y" for n in range(1000))), 431),
    "a_long_header": (post(b"{}", f"X-Long: {'y' * 100_000}"), 431),
    "an_endless_head": (b"GET / HTTP/1.1\r\nX: " + b"y" * 600_000, 400),
    "another_method": (b"GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    "not_built": (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    **{f"method {verb}": (line(verb, "/v1/chat/completions"), 405) for verb in ("PUT", "DELETE", "OPTIONS", "TRACE")},
    **{f"path {path[:30]}": (line("GET", path), 404) for path in NOWHERE},
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_refused_in_openais_form(server: GatewayServer, name: str) -> None:
    data, wanted = RUBBISH[name]
    status, body = answer(server, data)
    assert status == wanted, body
    if name != "an_endless_head":
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


NO_HTTP = {
    "no such verb": line("BREW", "/v1/models"),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": post(b"{}", "Content-Type: application/json", "Content-Length: 3"),
    "a length and chunks": post(b"0\r\n\r\n", "Content-Type: application/json", "Transfer-Encoding: chunked"),
    "a folded header": post(b"{}", "Content-Type: application/json", "X-A: b\r\n c"),
    "a null in a header": post(b"{}", "Content-Type: application/json", "X-A: b\0c"),
}
"""What two programs on one way could read in two ways, so that nobody may guess."""


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_no_request(server: GatewayServer, name: str) -> None:
    status, body = answer(server, NO_HTTP[name])
    assert (status, body) == (400, b"Invalid HTTP request received.")


ENDLESS = ("NaN", "-Infinity", "1e999")
ASKED = {
    "/v1/chat/completions": '"messages": [{"role": "user", "content": "x"}]',
    "/v1/messages": '"max_tokens": 5, "messages": [{"role": "user", "content": "x"}]',
    "/v1/responses": '"input": "x"',
    "/v1/embeddings": '"input": "x"',
}


@pytest.mark.parametrize("number", ENDLESS)
@pytest.mark.parametrize("path", ASKED)
def test_a_number_that_json_cannot_hold_is_refused_wherever_it_stands(
    server: GatewayServer, upstream: FaultServer, path: str, number: str
) -> None:
    headers, before = {"content-type": "application/json"}, len(upstream.requests)
    with httpx2.Client(base_url=server.url, headers=headers, verify=False) as client:
        for field in (f'"x": {number}', f'"x": {{"y": [1, {number}]}}', f'"temperature": {number}'):
            refused = client.post(path, content=f'{{"model": "plain", {ASKED[path]}, {field}}}')
            assert refused.status_code == 400, refused.text
            assert "finite" in refused.text or "no JSON" in refused.text
    assert len(upstream.requests) == before, "nobody was sent what is no JSON"


def test_what_an_endpoint_is_sent_is_json_with_each_field_once(server: GatewayServer, upstream: FaultServer) -> None:
    twice = b'{"model": "nobody", "model": "plain", "n": 2, "n": 1, "x": 1e308, "y": -0.0, "messages": [], "messages": '
    twice += (
        b'[{"role": "king", "role": "user", "content": "x", "content": "y"}], "z": ' + b"[" * 150 + b"]" * 150 + b"}"
    )
    assert answer(server, post(twice))[0] == 200
    sent = upstream.of("plain")[-1].body
    assert (sent["model"], sent["x"], sent["y"]) == ("plain", 1e308, -0.0)
    assert sent["messages"] == [{"role": "user", "content": "y"}], "the last one counts, here and there"


def test_a_body_may_come_in_chunks_without_a_length(server: GatewayServer) -> None:
    raw = json.dumps({"model": "a", "messages": QUESTION}).encode()
    head = post(b"", "Content-Type: application/json", "Transfer-Encoding: chunked").replace(
        b"Content-Length: 0\r\n", b""
    )
    chunked = b"".join(b"%x\r\n%b\r\n" % (1, raw[n : n + 1]) for n in range(len(raw)))
    assert answer(server, head + chunked + b"0\r\n\r\n")[0] == 200
    assert answer(server, head + b"zz\r\n")[0] == 400
    endless = b"".join(b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20)) for _ in range(40))
    assert answer(server, head + endless)[0] == 413


def test_requests_sent_ahead_are_answered_in_their_order(server: GatewayServer) -> None:
    models = ["slow", "a", "slow", "a", "nobody"]
    ahead = b"".join(post({"model": model, "messages": QUESTION}) for model in models[:-1])
    last = post({"model": models[-1], "messages": QUESTION})
    with send(server, ahead.replace(b"Connection: close\r\n", b"") + last) as connection:
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    answers = [json.loads(part.rpartition(b"\r\n\r\n")[2]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert [answer.get("model", "refused") for answer in answers] == ["slow", "a", "slow", "a", "refused"]


def test_ten_mebibytes_are_answered(server: GatewayServer) -> None:
    body = {"model": "a", "messages": [{"role": "user", "content": "x" * (10 << 20)}]}
    status, received = answer(server, post(body))
    assert status == 200
    assert json.loads(received)["choices"][0]["message"]["content"] == "Paris"


def test_the_official_client_is_told_what_is_too_large(server: GatewayServer) -> None:
    long: Any = [{"role": "user", "content": "x" * (33 << 20)}]
    plain = openai.DefaultHttpxClient(verify=False)  # reading the machine's certificates takes longer than asking
    with openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=0, http_client=plain) as client:
        with pytest.raises(openai.APIStatusError, match="32 MiB") as caught:
            client.chat.completions.create(model="a", messages=long)
        assert caught.value.status_code == 413
        assert client.chat.completions.create(model="a", messages=QUESTION).choices[0].message.content == "Paris"  # type: ignore[arg-type]


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
