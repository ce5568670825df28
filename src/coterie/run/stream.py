"""The answer stream: what somebody who watches a run sees, while the trace goes its own way.

The channel is bounded by merging, not by blocking: of one call at most one piece waits, so a slow
reader costs no more memory than the texts themselves, and never slows the committee down.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from coterie.trace import Event


@dataclass(frozen=True)
class Piece:
    """The next piece of a text that a member is writing."""

    call: str
    member: str
    stage: str
    text: str


@dataclass(frozen=True)
class AnswerPiece:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True)
class AnswerReset:
    """The answer's pieces so far are withdrawn; it begins anew."""

    reason: str


StreamItem = Event | Piece | AnswerPiece | AnswerReset


class Channel:
    """Items from one run to one reader, in order; adjacent pieces of one text are merged while they wait."""

    def __init__(self) -> None:
        self._waiting: deque[StreamItem] = deque()
        self._texts: dict[str, list[str]] = {}
        self._closed = False
        self._news = asyncio.Event()

    def put(self, item: StreamItem) -> None:
        """Hand over `item`. Never blocks; after `close` it is dropped."""
        if self._closed:
            return
        if isinstance(item, Piece | AnswerPiece):
            self._put_piece(item)
        else:
            self._waiting.append(item)
            if not isinstance(item, AnswerReset):
                self._news.set()
                return
            self._texts.pop("", None)
        self._news.set()

    def _put_piece(self, piece: Piece | AnswerPiece) -> None:
        key = piece.call if isinstance(piece, Piece) else ""
        if key in self._texts:
            self._texts[key].append(piece.text)
            return
        self._texts[key] = [piece.text]
        self._waiting.append(piece)

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[StreamItem]:
        while True:
            while self._waiting:
                item = self._waiting.popleft()
                if isinstance(item, Piece | AnswerPiece):
                    key = item.call if isinstance(item, Piece) else ""
                    item = replace(item, text="".join(self._texts.pop(key)))
                yield item
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()
