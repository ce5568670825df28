"""uvicorn's HTTP protocol with bounds on the head of a request, which it takes in any size and at any pace, and on how
long a client may leave its answer lying."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 512 * 2**10
"""What arrives of a head before it is complete; `app` bounds complete ones more narrowly, and answers in JSON."""

HEAD_S = 30.0
"""So long a head may take."""

TAKEN_S = 60.0
"""A client that takes nothing of an answer for so long has gone away. What it did not take lies in memory."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose next request has a head without an end, or whose answers nobody takes."""

    head_s = HEAD_S
    taken_s = TAKEN_S

    _head_bytes: int | None = None
    """Bytes since the request began; ``None`` once its head is complete."""
    _clock: asyncio.TimerHandle | None = None
    _watch: asyncio.TimerHandle | None = None
    """Runs while more lies here than is written ahead."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._end_watch()
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
        self._clock = self.loop.call_later(self.head_s, self._late)

    def _end_head(self) -> None:
        self._head_bytes = None
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        if self._answering:  # while an answer is under way, who sends the next request ahead need not hurry
            self._clock = self.loop.call_later(self.head_s, self._late)
        else:
            self._give_up()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _give_up(self) -> None:
        self._end_head()
        if self._answering:
            self.transport.abort()  # a 400 would stand in the midst of another request's answer
        elif not self.transport.is_closing():
            self.send_400_response("The head of the request is too large, or took too long.")

    # ---- answers ------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._begin_watch()

    def resume_writing(self) -> None:
        self._end_watch()
        super().resume_writing()

    def _begin_watch(self) -> None:
        self._end_watch()
        left = self.transport.get_write_buffer_size()
        self._watch = self.loop.call_later(self.taken_s, self._check_taken, left)

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _check_taken(self, before: int) -> None:
        """Slow is not gone: as long as something is taken, the rest may wait."""
        if self.transport.get_write_buffer_size() < before:
            self._begin_watch()
        else:
            self.transport.abort()
