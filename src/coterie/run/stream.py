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


@dataclass
class _Merged:
    """A piece that waits, growing while it does."""

    first: Piece | AnswerPiece
    texts: list[str]

    def whole(self) -> Piece | AnswerPiece:
        return self.first if len(self.texts) == 1 else replace(self.first, text="".join(self.texts))


class Channel:
    """Items from one run to one reader, in order; pieces of one text are merged while they wait."""

    def __init__(self) -> None:
        self._waiting: deque[StreamItem | _Merged] = deque()
        self._growing: dict[str, _Merged] = {}
        """The waiting piece of each call, and under no name the answer's."""
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
        if isinstance(item, AnswerReset):  # what follows is another text
            self._growing.pop(ANSWER, None)
        self._news.set()

    def _put_piece(self, piece: Piece | AnswerPiece) -> None:
        growing = self._growing.get(_key(piece))
        if growing is not None:
            growing.texts.append(piece.text)
            return
        self._growing[_key(piece)] = merged = _Merged(piece, [piece.text])
        self._waiting.append(merged)

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[StreamItem]:
        while True:
            while self._waiting:
                yield self._next()
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    def _next(self) -> StreamItem:
        item = self._waiting.popleft()
        if not isinstance(item, _Merged):
            return item
        if self._growing.get(_key(item.first)) is item:
            del self._growing[_key(item.first)]
        return item.whole()


ANSWER = ""


def _key(piece: Piece | AnswerPiece) -> str:
    return piece.call if isinstance(piece, Piece) else ANSWER
