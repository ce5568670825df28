"""HTTP/1.1 as a mock needs it: requests with a length, one after the other on a connection, and answers as bytes."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """One connection to a mock. Whoever answers requests overrides `asked`."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.loop = asyncio.get_running_loop()
        self.timers: list[asyncio.TimerHandle] = []
        """Of the request at hand. Whoever hangs up is not served."""

    def asked(self, head: bytes, body: bytes) -> None:
        """Answer a request, now or with `timers`."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        for timer in self.timers:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head = self._pending.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._pending, 0, head + 2)
        end = head + 4 + (int(length[1]) if length else 0)
        if len(self._pending) < end:
            return
        request = bytes(self._pending[:end])
        del self._pending[:end]
        self.asked(request[:head], request[head + 4 :])


def response(kind: bytes, body: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer."""
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (status, kind, len(body), body)


def chunk(data: bytes) -> bytes:
    """A piece of an answer that began with `STREAM_HEAD`."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(connection: Callable[[], HttpConnection], port: int = 0) -> None:
    """Serve on loopback until standard input ends: with whoever started this. Prints the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
