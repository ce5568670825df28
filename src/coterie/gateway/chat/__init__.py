"""``POST /v1/chat/completions``: OpenAI's Chat Completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coterie.answer import Answer
from coterie.gateway.chat import completions
from coterie.gateway.chat import request as chat_request
from coterie.gateway.chat.completions import Chunks
from coterie.gateway.chat.request import ChatRequest
from coterie.gateway.event_stream import DONE, event
from coterie.gateway.refusal import Refusal
from coterie.types import Json


def read(body: bytes) -> Chat:
    """The exchange that `body` begins. Raises `Refusal`."""
    return Chat(chat_request.read(body))


@dataclass(frozen=True)
class Chat:
    """A chat completion that was asked for."""

    chat: ChatRequest
    warnings: tuple[str, ...] = ()

    def whole(self, answers: Sequence[Answer]) -> Json:
        return completions.whole(answers, self.chat.model)

    def writers(self) -> Sequence[ChatWriter]:
        chunks = Chunks(self.chat.model, self.chat.include_usage, self.chat.n or 1)
        return [ChatWriter(chunks, n) for n in range(chunks.choices)]


@dataclass(frozen=True)
class ChatWriter:
    """Writes an answer as chunks, among those of other answers to the same request."""

    chunks: Chunks
    index: int

    def opening(self, run: str) -> Iterator[bytes]:
        yield event(self.chunks.opening(self.index, run))

    def text(self, piece: str) -> Iterator[bytes]:
        yield event(self.chunks.text(self.index, piece))

    def closing(self, answer: Answer) -> Iterator[bytes]:
        yield from map(event, self.chunks.closing(self.index, answer))
        if self.chunks.ended:
            yield DONE

    def failing(self, refusal: Refusal) -> Iterator[bytes]:
        """An error without `DONE`: the official client raises at it."""
        yield event(refusal.body)
