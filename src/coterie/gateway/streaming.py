"""An answer as a stream of events: text while it is written, then how it ended, in any interface's form."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from coterie.answer import Answer
from coterie.errors import CoterieError
from coterie.gateway import bodies
from coterie.gateway.asking import Ask, check_json
from coterie.gateway.merging import merged
from coterie.gateway.refusal import Refusal
from coterie.gateway.serving import ending
from coterie.gateway.visit import Visit
from coterie.run import AnswerPiece, AnswerReset, StreamItem
from coterie.trace import RunStarted

log = logging.getLogger("coterie.gateway")

WITHDRAWN = "the answer was withdrawn half-way, because who wrote it failed; ask again, or with coterie.stream: settled"


class Writer(Protocol):
    """Writes the events of one answer in an interface's form."""

    def opening(self, run: str) -> Iterator[bytes]:
        """What comes first, before anybody is asked."""
        ...

    def text(self, piece: str) -> Iterator[bytes]:
        """So much more of the answer: never empty, and whole characters."""
        ...

    def closing(self, answer: Answer) -> Iterator[bytes]:
        """What comes after the last word: called tools, how it ended, usage, and the end of the stream."""
        ...

    def failing(self, refusal: Refusal) -> Iterator[bytes]:
        """What a failure in mid-stream looks like. Nothing follows it."""
        ...


async def events(ask: Ask, writers: Sequence[Writer], visit: Visit) -> AsyncGenerator[bytes]:
    """The events of a streamed answer, or of several; a failure is an event of its own, and nothing follows it."""
    tellings = [_Telling(ask, writer, visit) for writer in writers]
    try:
        async with aclosing(merged(ask.streams())) as items:
            async for n, item in items:
                for data in tellings[n].take(item):
                    yield data
        return
    except Refusal as error:
        refusal = error
    except CoterieError as error:
        refusal = ask.refusal(error)
    except asyncio.CancelledError as cancelled:
        refusal = ending.refusal(cancelled)
    except Exception as error:  # its words may hold anything, so they stand nowhere
        log.error("a stream of %s failed: %s", ask.order.model.id, type(error).__name__)
        refusal = Refusal(500, "the request failed", code="internal")
    visit.code = refusal.code or str(refusal.status)
    for data in writers[0].failing(refusal):
        yield data


@dataclass
class _Telling:
    """Makes events of what happens in a run."""

    ask: Ask
    writer: Writer
    visit: Visit
    sent: bool = False
    """True once words of the answer were sent: they cannot be taken back."""
    half: str = ""
    """Half a character, whose other half comes with the next piece."""

    def take(self, item: StreamItem | Answer) -> Iterator[bytes]:
        """Raises `Refusal` where what was sent of the answer does not hold any more."""
        match item:
            case RunStarted():
                yield from self.writer.opening(item.run)
            case AnswerPiece() if not self.ask.order.settled:
                yield from self._text(item.text)
            case AnswerReset():
                self.half = ""
                if self.sent:
                    raise Refusal(502, WITHDRAWN, code="answer_withdrawn", spent=True)
            case Answer():
                yield from self._end(item)

    def _text(self, piece: str) -> Iterator[bytes]:
        text = self.half + piece
        self.half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        if whole := bodies.sound(text[: len(text) - len(self.half)]):
            yield from self._said(whole)

    def _said(self, text: str) -> Iterator[bytes]:
        if not self.sent:
            self.visit.first_byte_s = self.visit.since_s()
        self.sent = True
        yield from self.writer.text(text)

    def _end(self, answer: Answer) -> Iterator[bytes]:
        if self.ask.order.json:
            check_json(answer)
        if rest := bodies.sound(answer.text if self.ask.order.settled else self.half):
            yield from self._said(rest)
        yield from self.writer.closing(answer)
