"""``POST /v1/responses``: OpenAI's Responses API, without a memory. What it refers to is sent along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.answer import Answer
from coterie.gateway.chat.request import ChatRequest
from coterie.gateway.refusal import Refusal
from coterie.gateway.responses import documents
from coterie.gateway.responses import request as responses_request
from coterie.gateway.responses.documents import Documents
from coterie.gateway.responses.events import ResponsesWriter
from coterie.types import Json

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def read(body: bytes) -> Responses:
    """The exchange that `body` begins. Raises `Refusal`."""
    asked, chat = responses_request.read(body)
    return Responses(chat, Documents(asked))


@dataclass(frozen=True)
class Responses:
    """A response that was asked for."""

    chat: ChatRequest
    documents: Documents

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(f"ignored: {name}" for name in self.documents.asked.warnings)

    def whole(self, answers: Sequence[Answer]) -> Json:
        (answer,) = answers
        return self.documents.ended(answer, documents.output(answer))

    def writers(self) -> Sequence[ResponsesWriter]:
        return [ResponsesWriter(self.documents)]


async def absent(_: Request) -> Response:
    """Whatever stands below ``/v1/responses``. Raises `Refusal`: responses are told once."""
    raise Refusal(404, "responses are not stored here, so there is none to look up", code="not_stored")
