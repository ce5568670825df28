"""An answer as the events of Anthropic's streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coterie.answer import Answer
from coterie.gateway.bodies import encoded
from coterie.gateway.chat import completions
from coterie.gateway.messages import answer as messages_answer
from coterie.gateway.messages import error as messages_error
from coterie.gateway.refusal import Refusal
from coterie.types import Json


def _event(value: dict[str, Json]) -> bytes:
    """The type stands in both lines: the official client goes by the first, others by the second."""
    name: str = value["type"]
    return b"event: " + name.encode() + b"\ndata: " + encoded(value) + b"\n\n"


@dataclass
class MessageWriter:
    """Writes an answer as content blocks: its text, if there is any, then each tool that it calls."""

    model: str
    said: bool = False
    """True once the block of text is open, which is the first."""

    def opening(self, run: str) -> Iterator[bytes]:
        """Nothing is counted yet, so usage is 0 here; what it was comes with the end."""
        message = messages_answer.message(messages_answer.message_id(run), self.model)
        yield _event({"type": "message_start", "message": message})

    def text(self, piece: str) -> Iterator[bytes]:
        if not self.said:
            self.said = True
            yield _start(0, {"type": "text", "text": ""})
        yield _delta(0, {"type": "text_delta", "text": piece})

    def closing(self, answer: Answer) -> Iterator[bytes]:
        """Raises `Refusal` where the answer calls a tool with what is no JSON object."""
        tools = list(messages_answer.tools_used(answer))
        if refusal := completions.refusal(answer):
            yield from self.text(refusal)
        if self.said:
            yield _stop(0)
        for index, block in enumerate(tools, start=int(self.said)):
            yield _start(index, {**block, "input": {}})
            yield _delta(index, {"type": "input_json_delta", "partial_json": encoded(block["input"]).decode()})
            yield _stop(index)
        yield _event(
            {
                "type": "message_delta",
                "delta": messages_answer.ending(answer),
                "usage": messages_answer.usage(answer),
                "coterie": completions.account([answer]),
            }
        )
        yield _event({"type": "message_stop"})

    def failing(self, refusal: Refusal) -> Iterator[bytes]:
        """The official client raises at it."""
        yield _event(messages_error.event(refusal))


def _start(index: int, block: dict[str, Json]) -> bytes:
    return _event({"type": "content_block_start", "index": index, "content_block": block})


def _delta(index: int, delta: dict[str, Json]) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _stop(index: int) -> bytes:
    return _event({"type": "content_block_stop", "index": index})
