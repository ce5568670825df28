"""Server-sent events: headers at once, comments while nothing is said, and an end when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from coterie.gateway.bodies import encoded
from coterie.types import Json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

PING_S = 10.0
"""Silence after which a comment is sent: proxies close what is silent for longer."""

WRITE_S = 60.0
"""A client that takes nothing for so long has gone away."""

PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"


def event(value: Json) -> bytes:
    return b"data: " + encoded(value) + b"\n\n"


class EventStream:
    """An ASGI response that sends what `events` yields. `events` is closed when the client goes away."""

    def __init__(
        self,
        events: AsyncGenerator[bytes],
        headers: Mapping[str, str],
        ping_s: float = PING_S,
        write_s: float = WRITE_S,
    ) -> None:
        self._events = events
        self._ping_s, self._write_s = ping_s, write_s
        self._headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            **headers,
        }
        self._spoke_s = 0.0
        """Loop time of the last bytes."""
        self._sending = False
        """True while the client has not taken them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._ping(send)
        written = asyncio.ensure_future(self._write(send))
        others = [asyncio.ensure_future(self._watch(send)), asyncio.ensure_future(gone(receive))]
        why: str | None = None
        try:
            await asyncio.wait([written, *others], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as cancelled:
            why = cancelled.args[0] if cancelled.args else None  # the events end for the reason that ended us
            raise
        finally:
            for task in (written, *others):
                task.cancel(why)
            await asyncio.wait([written, *others])
        for task in (written, *others):  # look at what they raised; nobody is there to be told
            if not task.cancelled():
                task.exception()

    async def _write(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            async for data in events:
                await self._send(send, data)
        await self._send(send, b"", more=False)

    async def _watch(self, send: Send) -> None:
        """Sends comments while nothing is said. Ends, or raises `TimeoutError`, when the client takes nothing any more.

        One clock for all pieces: a timeout around each would cost a tenth of what a piece costs.
        """
        loop = asyncio.get_running_loop()
        while True:
            quiet_s = loop.time() - self._spoke_s
            left_s = (self._write_s if self._sending else self._ping_s) - quiet_s
            if left_s > 0:
                await asyncio.sleep(left_s)
            elif self._sending:
                return
            else:
                await self._ping(send)

    async def _ping(self, send: Send) -> None:
        async with asyncio.timeout(self._write_s):
            await self._send(send, PING)

    async def _send(self, send: Send, data: bytes, *, more: bool = True) -> None:
        self._spoke_s = asyncio.get_running_loop().time()
        self._sending = True
        await send({"type": "http.response.body", "body": data, "more_body": more})
        self._sending = False


async def gone(receive: Receive) -> None:
    """Returns when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
