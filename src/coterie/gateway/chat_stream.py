"""A chat completion as a stream of events: text while it is written, then how it ended."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from coterie.answer import Answer
from coterie.errors import CoterieError
from coterie.gateway import bodies, completions
from coterie.gateway.asking import Ask, check_json
from coterie.gateway.completions import Chunks
from coterie.gateway.event_stream import DONE, event
from coterie.gateway.refusal import Refusal
from coterie.run import AnswerPiece, AnswerReset, StreamItem
from coterie.trace import RunStarted

log = logging.getLogger("coterie.gateway")

WITHDRAWN = "the answer was withdrawn half-way, because who wrote it failed; ask again, or with coterie.stream: settled"


async def events(ask: Ask, chunks: Chunks) -> AsyncGenerator[bytes]:
    """The events of a streamed answer; a failure is an event of its own, and nothing follows it."""
    writer = _Writer(ask, chunks)
    try:
        async with aclosing(ask.items()) as items:
            async for item in items:
                for data in writer.take(item):
                    yield data
        yield DONE
    except Refusal as refusal:
        yield event(refusal.body)
    except CoterieError as error:
        yield event(ask.refusal(error).body)
    except Exception as error:  # its words may hold anything, so they stand nowhere
        log.error("a stream of %s failed: %s", ask.order.model.id, type(error).__name__)
        yield event(Refusal(500, "the request failed", code="internal").body)


@dataclass
class _Writer:
    """Makes events of what happens in a run."""

    ask: Ask
    chunks: Chunks
    sent: bool = False
    """True once words of the answer were sent: they cannot be taken back."""
    half: str = ""
    """Half a character, whose other half comes with the next piece."""

    def take(self, item: StreamItem | Answer) -> Iterator[bytes]:
        """Raises `Refusal` where what was sent of the answer does not hold any more."""
        match item:
            case RunStarted():
                self.chunks.id = completions.completion_id(item.run)
                yield event(self.chunks.opening())
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
            self.sent = True
            yield event(self.chunks.text(whole))

    def _end(self, answer: Answer) -> Iterator[bytes]:
        if self.ask.order.json:
            check_json(answer)
        if rest := bodies.sound(answer.text if self.ask.order.settled else self.half):
            yield event(self.chunks.text(rest))
        yield from map(event, self.chunks.closing(answer))
