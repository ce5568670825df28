"""An OpenAI-compatible endpoint on loopback that misbehaves as told: test support, no test.

    with FaultServer({"good": Reply("Paris"), "bad": Reply(status=500)}) as server:
        ask(server.base_url, model="bad")
        assert server.count("bad") == 3

What a request meets depends on its ``model``: a `Reply`, or a function of the body and the number
(from 1) of the request to that model. The HTTP is written by hand, so that every byte can be wrong.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Self

from http_replies import FAULTS, Body, Json, Reply, Script, Seen, busy_once, cut, document, encode, events, http_date

__all__ = ["FAULTS", "Body", "FaultServer", "Json", "Reply", "Script", "Seen", "busy_once", "http_date"]

MOMENT_S = 0.02
"""Long enough for bytes to arrive before the connection is reset over them."""


class FaultServer:
    """Serves `scripts` while it is entered, on its own thread and loop."""

    def __init__(self, scripts: Mapping[str, Script], port: int = 0) -> None:
        """At that port, or at a free one."""
        self.scripts = dict(scripts)
        self.port = port
        self.requests: list[Seen] = []
        """Requests for completions and embeddings, in the order in which they came."""
        self.connections = 0
        """Connections accepted so far."""
        self.base_url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="fault-server", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._defects: list[Exception] = []

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the fault server did not start"
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is served any more. Raises what a script raised."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the fault server did not stop"
        if self._defects and exc[0] is None:
            raise self._defects[0]

    @property
    def active(self) -> int:
        """Requests now being served."""
        return sum(seen.ended_s is None for seen in list(self.requests))

    def count(self, model: str) -> int:
        """Requests that came for `model`."""
        return len(self.of(model))

    def of(self, model: str) -> list[Seen]:
        """The requests for `model`, in the order in which they came."""
        return [seen for seen in list(self.requests) if seen.model == model]

    def idle_within(self, timeout_s: float) -> bool:
        """True as soon as no request is served any more; False after `timeout_s`."""
        return self._within(timeout_s, lambda: self.active == 0)

    def busy_within(self, timeout_s: float, active: int = 1) -> bool:
        """True as soon as `active` requests are served at once; False after `timeout_s`."""
        return self._within(timeout_s, lambda: self.active >= active)

    def _within(self, timeout_s: float, true: Callable[[], bool]) -> bool:
        ends = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > ends:
                return False
            time.sleep(0.005)
        return True

    # ---- its own thread -----------------------------------------------------------------------

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=64 * 2**20, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close their sockets one turn later

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            # A connection ends in whatever way its client likes, and at the latest when the server stops.
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await _Connection(self, reader, writer).serve()
        finally:
            self._tasks.discard(task)
            if self._stop.is_set():
                writer.transport.abort()
            writer.close()

    def begin(self, path: str, headers: Mapping[str, str], body: Body) -> tuple[Seen, Reply]:
        """Note the request; what it is to meet."""
        seen = Seen(str(body.get("model", "")), path, headers, body, time.monotonic())
        if path.endswith("/models"):
            listed = [{"id": name, "object": "model", "owned_by": "tests"} for name in self.scripts]
            return seen, Reply(body=encode({"object": "list", "data": listed}))
        if not path.endswith(("/completions", "/embeddings")):
            return seen, Reply(status=404, error={"message": f"no such path: {path}"})
        self.requests.append(seen)
        return seen, self._scripted(seen)

    def _scripted(self, seen: Seen) -> Reply:
        script = self.scripts.get(seen.model)
        if script is None:
            return Reply(status=404, error={"message": f"The model {seen.model!r} does not exist"})
        if isinstance(script, Reply):
            return script
        try:
            return script(seen.body, self.count(seen.model))
        except Exception as defect:  # raised again where the test can see it
            self._defects.append(defect)
            return Reply(status=500, error={"message": f"the script raised {defect!r}"})


class _Dies(Exception):
    """The script wants the connection broken here."""


class _Connection:
    """One client connection, request after request."""

    def __init__(self, server: FaultServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._early = b""
        """A byte of the next request that came while this one was served."""

    async def serve(self) -> None:
        while True:
            head = self._early + await self._reader.readuntil(b"\r\n\r\n")
            path, headers = _parse(head)
            raw = await self._reader.readexactly(int(headers.get("content-length", 0)))
            seen, reply = self._server.begin(path, headers, json.loads(raw) if raw else {})
            if not await self._served(seen, reply) or headers.get("connection") == "close":
                return

    async def _served(self, seen: Seen, reply: Reply) -> bool:
        """Answer while watching the client; True when the connection can go on."""
        answer = asyncio.ensure_future(self._answer(seen, reply))
        watch = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({answer, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and (watch.exception() or not watch.result()):
                seen.disconnected = True
                return False
            await answer
        except _Dies:
            await self._die(reply.death)
            return False
        except ConnectionError:
            seen.disconnected = True
            return False
        finally:
            seen.ended_s = time.monotonic()
            await _settled(answer, watch)
        self._early = b"" if watch.cancelled() or watch.exception() else watch.result()
        return reply.missing_bytes == 0 and (reply.chunked or not seen.streamed)

    async def _die(self, how: str) -> None:
        await asyncio.sleep(MOMENT_S)
        sock = self._writer.get_extra_info("socket")
        if how == "reset" and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    # ---- answers ------------------------------------------------------------------------------

    async def _answer(self, seen: Seen, reply: Reply) -> None:
        if reply.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(reply.delay_s)
        if reply.raw is not None:
            await self._write(reply, reply.raw)
            raise _Dies
        if seen.streamed and reply.body is None and reply.status < 400:
            await self._stream(seen, reply)
        else:
            await self._whole(seen, reply)

    async def _whole(self, seen: Seen, reply: Reply) -> None:
        await asyncio.sleep(reply.piece_delay_s * reply.pieces)
        body = _mangled(reply, encode(document(seen, reply)) if reply.body is None else reply.body)
        body = body[: reply.cut_bytes]
        raw_stream = seen.streamed and reply.body is not None
        kind = "text/event-stream" if raw_stream else "application/json"
        await self._head(reply, {"Content-Type": kind, "Content-Length": str(len(body) + reply.missing_bytes)})
        if reply.breaks:
            await self._write(reply, body[: len(body) // 2])
            await _stop(reply)
        await self._write(reply, body)

    async def _stream(self, seen: Seen, reply: Reply) -> None:
        framing = {"Transfer-Encoding": "chunked"} if reply.chunked else {"Connection": "close"}
        await self._head(reply, {"Content-Type": "text/event-stream; charset=utf-8", **framing})
        pieces = len(cut(reply.text, reply.pieces))
        stops_at = reply.hang_after_pieces if reply.die_after_pieces is None else reply.die_after_pieces
        for n, event in events(seen, reply):
            if stops_at is not None and n > stops_at:
                break
            if 0 < n <= pieces:
                await asyncio.sleep(reply.piece_delay_s)
            await self._event(reply, event)
        if stops_at is not None:
            await _stop(reply)
        if reply.chunked:
            await self._write(reply, b"0\r\n\r\n")

    async def _event(self, reply: Reply, event: bytes) -> None:
        comment = f": still here{reply.newline * 2}".encode() if reply.comments else b""
        data = _mangled(reply, comment + b"data: " + event + reply.newline.encode() * 2)
        await self._write(reply, b"%x\r\n%b\r\n" % (len(data), data) if reply.chunked else data)

    async def _head(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self._writer.write(f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n".encode())
        await asyncio.sleep(reply.header_delay_s)
        lines = [f"{name}: {value}\r\n" for name, value in {**headers, **reply.headers}.items()]
        self._writer.write("".join([*lines, "\r\n"]).encode())
        await self._writer.drain()

    async def _write(self, reply: Reply, data: bytes) -> None:
        size = reply.split_bytes or len(data) or 1
        for start in range(0, len(data), size):
            self._writer.write(data[start : start + size])
            await self._writer.drain()
            if reply.split_bytes:
                await asyncio.sleep(0)


async def _stop(reply: Reply) -> None:
    """Die or hang, as the script says."""
    if reply.die_after_pieces is not None:
        raise _Dies
    await asyncio.Event().wait()


async def _settled(*tasks: asyncio.Task[object]) -> None:
    """All tasks have ended, and what they raised has been looked at."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _mangled(reply: Reply, data: bytes) -> bytes:
    return data if reply.replace is None else data.replace(*reply.replace)


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    """Path and headers of a request's head."""
    request_line, *lines = head.decode("latin-1").strip().split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return request_line.split(" ")[1], {name.lower(): value.strip() for name, value in pairs}
