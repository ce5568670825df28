"""``POST /v1/messages``: Anthropic's Messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coterie.answer import Answer
from coterie.gateway.chat.request import ChatRequest
from coterie.gateway.messages import answer as messages_answer
from coterie.gateway.messages import chat as messages_chat
from coterie.gateway.messages import request as messages_request
from coterie.gateway.messages.events import MessageWriter
from coterie.gateway.messages.left_out import left_out
from coterie.gateway.refusal import Refusal
from coterie.types import Json


def read(body: bytes) -> Messages:
    """The exchange that `body` begins. Raises `Refusal`."""
    asked = messages_request.read(body)
    chat = messages_chat.as_chat(asked)
    names = left_out(asked)
    if names and asked.wishes.strict:
        said = f"{', '.join(names)}: this cannot be taken here"
        raise Refusal(400, said, code="unsupported_parameter", param=names[0])
    return Messages(chat, tuple(f"ignored: {name}" for name in names))


@dataclass(frozen=True)
class Messages:
    """A message that was asked for."""

    chat: ChatRequest
    warnings: tuple[str, ...] = ()

    def whole(self, answers: Sequence[Answer]) -> Json:
        """Raises `Refusal` where the answer calls a tool with what is no JSON object."""
        return messages_answer.whole(answers[0], self.chat.model)

    def writers(self) -> Sequence[MessageWriter]:
        return [MessageWriter(self.chat.model)]
