"""uvicorn's HTTP protocol with bounds on the head of a request, which it takes in any size and at any pace."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 512 * 2**10
"""What arrives of a head before it is complete; `app` bounds complete ones more narrowly, and answers in JSON."""

HEAD_S = 30.0
"""So long a head may take."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose next request has a head without an end."""

    _head_bytes: int | None = None
    """Bytes since the request began; ``None`` once its head is complete."""
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin_head()

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_bytes is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._give_up()

    def _begin_head(self) -> None:
        self._end_head()
        self._head_bytes = 0
        self._clock = self.loop.call_later(HEAD_S, self._give_up)

    def _end_head(self) -> None:
        self._head_bytes = None
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        self._end_head()
        if not self.transport.is_closing():
            self.send_400_response("The head of the request is too large, or took too long.")
