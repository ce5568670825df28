"""What a row asks: a chat completion, whichever way the row says it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from coterie.batch.rows import Columns, Row, said_of
from coterie.gateway.chat import request as chat_request
from coterie.gateway.chat.request import ChatRequest
from coterie.gateway.refusal import Refusal
from coterie.types import Json, encodable

URL = "/v1/chat/completions"


def question(row: Row, columns: Columns, model: str) -> ChatRequest:
    """The chat completion that `row` asks for, of `model` where it names none. Raises `Refusal` that says where."""
    try:
        return _question(row, columns, model)
    except Refusal as error:
        raise Refusal(error.status, f"{row.where}: {error.message}", code=error.code, param=error.param) from None


def is_body(row: Row, columns: Columns) -> bool:
    """True for a row that is a request in OpenAI's form, and may name any model."""
    return "body" in columns.questions and isinstance(row.fields.get("body"), Mapping)


def _question(row: Row, columns: Columns, model: str) -> ChatRequest:
    _check_id(row, columns)
    given = [name for name in columns.questions if row.fields.get(name) is not None]
    if not given:
        raise _invalid(f"it has no {' and no '.join(columns.questions)}", "missing_prompt")
    if len(given) > 1:
        raise _invalid(f"it has {' and '.join(given)}; --prompt-column says which of them is asked")
    [name] = given
    value = row.fields[name]
    if name == "body" and "body" in columns.questions[1:]:
        return _of_body(value, row.fields.get("url"), model)
    return _asked({"model": model, "messages": _messages(value, name)})


def _check_id(row: Row, columns: Columns) -> None:
    said = said_of(row, columns)
    if said is not None and (isinstance(said, bool) or not isinstance(said, str | int)):
        raise _invalid(f"its id is {type(said).__name__}; it should be a text or a whole number")


def _messages(value: Json, name: str) -> Json:
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        raise _invalid(f"{name} should be a text or a list of messages, not {type(value).__name__}")
    if name == "messages":
        raise _invalid("messages should be a list of messages, not a text")
    if not value.strip():
        raise _invalid(f"{name} is empty")
    return [{"role": "user", "content": value}]


def _of_body(body: Json, url: Json, model: str) -> ChatRequest:
    if url is not None and url != URL:
        raise _invalid(f"only {URL} is answered, not {url!r:.80}")
    if not isinstance(body, Mapping):
        raise _invalid(f"body should be an object, not {type(body).__name__}")
    asked = _asked({"model": model, **body})
    if asked.stream:
        raise _invalid("an answer in a file is not streamed: leave out stream")
    if (asked.n or 1) > 1:
        raise _invalid("a row has one answer: repeat the row instead of n")
    return asked


def _asked(body: Mapping[str, Json]) -> ChatRequest:
    text = json.dumps(body, ensure_ascii=False)
    if not encodable(text):
        raise _invalid("it holds half a character (a lone surrogate)")
    return chat_request.read(text.encode())


def _invalid(message: str, code: str = "invalid_row") -> Refusal:
    return Refusal(400, message, code=code)
