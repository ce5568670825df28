"""Clients that take their time: heads and bodies that trickle in, answers that nobody takes."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.requests import Request

from coterie.config import Config
from coterie.gateway import bodies
from coterie.gateway.refusal import Refusal
from coterie.gateway.serving.protocol import BoundedProtocol
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.protocols import MemberSpec
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Reply as Http


class Impatient(BoundedProtocol):
    head_s = 0.15
    taken_s = 0.3


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    endless = Http("0123456789abcdef" * (1 << 20), pieces=400, piece_delay_s=0.001)
    with FaultServer({"endless": endless}) as server:
        yield server


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    members: dict[str, MemberSpec] = {
        "a": ScriptedMember("a", ("Paris",)),
        "slow": ScriptedMember("slow", (Reply("Paris", latency_s=0.4),)),
        "large": ScriptedMember("large", ("0123456789abcdef" * (1 << 20),)),
        "endless": OpenAIMember("endless", upstream.base_url, "endless"),
    }
    with GatewayServer(Config(members), Impatient) as running:
        yield running


def request(model: str, **more: Any) -> bytes:
    raw = json.dumps({"model": model, "messages": [{"role": "user", "content": "?"}], **more}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + raw


def connected(server: GatewayServer) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that little of an answer fits on the way
    made.settimeout(5)
    made.connect(("127.0.0.1", server.port))
    return made


def rest(connection: socket.socket) -> bytes:
    """Everything that still comes."""
    received = bytearray()
    with suppress(ConnectionError):
        while chunk := connection.recv(65_536):
            received += chunk
    return bytes(received)


def idle(server: GatewayServer) -> bool:
    return server.within(5, lambda desk: desk.admission.under_way == 0)


def test_a_head_has_its_time_whether_it_trickles_or_not(server: GatewayServer) -> None:
    heads = [connected(server) for _ in range(20)]
    began = time.monotonic()
    for head in heads[10:]:
        head.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nX: ")
    with connected(server) as other:
        other.sendall(request("a"))
        assert b"Paris" in other.recv(65_536), "nobody waits for those who are slow"
    for head in heads:
        with head:
            assert rest(head).startswith(b"HTTP/1.1 400 ")
    assert 0.1 < time.monotonic() - began < 3


def test_a_head_that_is_sent_ahead_does_not_break_into_an_answer(server: GatewayServer) -> None:
    with connected(server) as connection:
        connection.sendall(request("slow") + b"POST /v1/chat")
        received = rest(connection)
    first, _, second = received.partition(b"HTTP/1.1 400 ")
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["choices"][0]["message"]["content"] == "Paris"
    assert second, "afterwards it had its time"


def test_a_body_has_its_time() -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    async def main() -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"9")]
        with pytest.raises(Refusal, match=r"within 0\.05 s") as caught:
            await bodies.read(Request({"type": "http", "headers": headers}, never), within_s=0.05)
        assert (caught.value.status, caught.value.code) == (408, "body_timeout")
        assert caught.value.retry_headers["x-should-retry"] == "true"

    asyncio.run(main())


def test_a_reader_that_takes_nothing_of_a_stream_is_given_up(server: GatewayServer, upstream: FaultServer) -> None:
    with connected(server) as connection:
        connection.sendall(request("endless", stream=True))
        assert upstream.busy_within(5)
        assert idle(server), "its place is another's"
        assert upstream.idle_within(5), "and nobody writes for it any more"
        assert upstream.of("endless")[-1].disconnected


def test_a_reader_that_takes_nothing_of_its_answers_is_given_up(server: GatewayServer) -> None:
    with connected(server) as connection:
        connection.sendall(request("large") + request("large"))
        assert server.within(5, lambda desk: desk.admission.under_way > 0)
        assert server.within(5, lambda _: server.connections == 0)
        assert idle(server), "its place is another's"
        assert len(rest(connection)) < 16 << 20, "what it had not taken is gone"


def test_a_reader_that_is_merely_slow_gets_its_answer(server: GatewayServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request("large"))
        received, began = 0, time.monotonic()
        while chunk := connection.recv(1 << 20):
            received += len(chunk)
            time.sleep(0.05)
            if received > 16 << 20:
                break
    assert received > 16 << 20
    assert time.monotonic() - began > 2 * Impatient.taken_s
