"""Requests to a gateway over raw sockets: what asks must take less time than what is asked.

Closed loop: so many clients, each of which asks again once it was answered. Open loop: requests set out at a constant
rate whatever becomes of those before them, and each is timed from the moment at which it was to set out, so that a
gateway that stalls does not delay the questions by which that would be seen.
"""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_SENT = re.compile(rb"@(\d+)@")

END_OF_CHUNKS = b"\r\n0\r\n\r\n"
STATUS = slice(9, 12)


class Broken(Exception):
    """The connection ended before the answer did."""


@dataclass
class Reply:
    """One answer. Times are `time.perf_counter`'s."""

    began_s: float
    """When it was asked, or was to be."""
    ended_s: float = 0.0
    data: bytearray = field(default_factory=bytearray)
    """Everything that came, head included."""
    arrived: list[tuple[int, float]] = field(default_factory=list)
    """How many bytes had come, and when."""

    @property
    def status(self) -> int:
        """0 where nothing came."""
        return int(self.data[STATUS] or 0)

    @property
    def took_s(self) -> float:
        return self.ended_s - self.began_s

    def words(self) -> list[tuple[float, float]]:
        """When each chunk of a stream had come, and how long it had been on its way."""
        sizes = [size for size, _ in self.arrived]
        found = []
        for word in _SENT.finditer(self.data):
            at_s = self.arrived[bisect_left(sizes, word.end())][1]
            found.append((at_s, at_s - int(word[1]) / 1e9))
        return found


class Client(asyncio.Protocol):
    """A connection that stays open; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reply: Reply | None = None
        self._ends_at: int | None = None
        """Bytes at which the answer is whole; -1 for one in chunks, ``None`` until its head is there."""

    async def ask(self, port: int, request: bytes, began_s: float | None = None) -> Reply:
        """The whole answer. Raises `Broken`, `OSError`."""
        reply = Reply(time.perf_counter() if began_s is None else began_s)
        kept = self._transport is not None
        try:
            await self._exchange(port, request, reply)
        except Broken:
            if not kept or reply.data:
                raise
            await self._exchange(port, request, reply)  # the connection was closed, as idle ones are
        return reply

    async def _exchange(self, port: int, request: bytes, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, "127.0.0.1", port)
        assert self._transport is not None
        self._done: asyncio.Future[None] = loop.create_future()
        self._ends_at = None
        self._reply = reply
        self._transport.write(request)
        await self._done

    def close(self) -> None:
        """Hang up, on an answer under way too."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._reply is not None and not self._done.done():
            self._done.set_exception(Broken(str(exc or "hung up")))

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            return
        now = time.perf_counter()
        reply.data += data
        reply.arrived.append((len(reply.data), now))
        if self._ends_at is None:
            self._read_head(reply.data)
        if self._is_whole(reply.data):
            reply.ended_s = now
            self._reply = None
            if not self._done.done():
                self._done.set_result(None)

    def _read_head(self, data: bytearray) -> None:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(data, 0, end + 2)
        if length is None and not _CHUNKED.search(data, 0, end + 2):
            raise Broken("an answer without a length")
        self._ends_at = end + 4 + int(length[1]) if length else -1

    def _is_whole(self, data: bytearray) -> bool:
        if self._ends_at is None:
            return False
        return data.endswith(END_OF_CHUNKS) if self._ends_at < 0 else len(data) >= self._ends_at


async def one_by_one(port: int, request: bytes, times: int, client: Client) -> list[Reply]:
    """As many answers, one after the other."""
    return [await client.ask(port, request) for _ in range(times)]


async def closed_loop(port: int, request: bytes, at_once: int, for_s: float, warm_s: float = 0.5) -> list[Reply]:
    """What was answered within `for_s`, to as many clients, after so long a warm-up. Raises `Broken`."""
    clients = [Client() for _ in range(at_once)]
    counts_s = time.perf_counter() + warm_s
    ends_s = counts_s + for_s
    replies: list[Reply] = []

    async def asking(client: Client) -> None:
        while time.perf_counter() < ends_s:
            reply = await client.ask(port, request)
            if counts_s <= reply.ended_s < ends_s:
                replies.append(reply)

    await asyncio.gather(*(asking(client) for client in clients))
    for client in clients:
        client.close()
    return replies


@dataclass(frozen=True)
class Arrivals:
    """Requests at a constant rate."""

    rate: float
    for_s: float
    patience_s: float = 5.0
    """How long after the last of them an answer is waited for."""

    async def at(self, port: int, request: bytes) -> list[Reply | None]:
        """What was answered; ``None`` for each request that was not."""
        idle: list[Client] = []
        replies: list[Reply | None] = []
        started_s = time.perf_counter() + 0.05
        total = int(self.rate * self.for_s)

        async def asking(n: int) -> None:
            at_s = started_s + n / self.rate
            await asyncio.sleep(at_s - time.perf_counter())
            client = idle.pop() if idle else Client()
            try:
                replies.append(await client.ask(port, request, at_s))
            finally:
                idle.append(client)

        tasks = [asyncio.ensure_future(asking(n)) for n in range(total)]
        _, late = await asyncio.wait(tasks, timeout=self.for_s + self.patience_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in idle:
            client.close()
        return [*replies, *[None] * (total - len(replies))]


def answered(replies: Sequence[Reply | None]) -> list[Reply]:
    """Those that were answered as they should be."""
    return [reply for reply in replies if reply is not None and reply.status == 200]
