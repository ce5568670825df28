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

    def writer(self) -> ChatWriter:
        return ChatWriter(Chunks(self.chat.model, self.chat.include_usage))


@dataclass(frozen=True)
class ChatWriter:
    """Writes an answer as chunks."""

    chunks: Chunks

    def opening(self, run: str) -> Iterator[bytes]:
        self.chunks.id = completions.completion_id(run)
        yield event(self.chunks.opening())

    def text(self, piece: str) -> Iterator[bytes]:
        yield event(self.chunks.text(piece))

    def closing(self, answer: Answer) -> Iterator[bytes]:
        yield from map(event, self.chunks.closing(answer))
        yield DONE

    def failing(self, refusal: Refusal) -> Iterator[bytes]:
        """An error without `DONE`: the official client raises at it."""
        yield event(refusal.body)
