"""What the fault server can be told to answer, and the documents and events that this makes.

Plain values and bytes: nothing here sends anything.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Literal

Json = Any
Body = dict[str, Json]

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@dataclass(frozen=True)
class Reply:
    """How one request is answered. The defaults are a well-behaved endpoint."""

    text: str = "Paris"
    """May hold a lone surrogate, which then travels as a JSON escape."""
    delay_s: float = 0.0
    """Before the first byte."""
    header_delay_s: float = 0.0
    """Between the status line and the headers."""
    pieces: int = 1
    """Chunks that a streamed text is cut into."""
    piece_delay_s: float = 0.0
    """Before every piece. A text that is not streamed waits as long in all."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to the usual ones, or instead of them."""
    body: bytes | None = None
    """Sent whole, as it is, in place of JSON or a stream."""
    replace: tuple[bytes, bytes] | None = None
    """Bytes of the body that are sent as other bytes."""
    split_bytes: int | None = None
    """The body is written so many bytes at a time, through characters and lines."""

    raw: bytes | None = None
    """Sent in place of head and body, before the connection breaks: any bytes, or none."""
    hang: bool = False
    """Never answers at all."""
    hang_after_pieces: int | None = None
    """Stops in the middle and keeps the connection open. A text that is not streamed stops half-way."""
    die_after_pieces: int | None = None
    """Breaks the connection in the middle. A text that is not streamed breaks half-way."""
    death: Literal["reset", "close"] = "reset"
    cut_bytes: int | None = None
    """The JSON ends after so many bytes, and Content-Length agrees."""
    missing_bytes: int = 0
    """Content-Length promises so many more than come before the connection closes."""
    chunked: bool = True
    """False: the end of a stream is the end of the connection."""

    usage: Mapping[str, Json] | None = field(default_factory=lambda: dict(USAGE))
    usage_place: Literal["own", "last", "every"] = "own"
    """In a stream: on a chunk without choices where asked for, on the chunk that finishes, or on all."""
    finish_reason: str | None = "stop"
    """``None``: a stream ends without any."""
    done: bool = True
    """False: a stream ends without ``[DONE]``."""
    logprobs: Json = None
    """Stands on the first piece of a stream."""
    content_null: bool = False
    choices: Literal["one", "empty", "missing"] = "one"
    message: Mapping[str, Json] = field(default_factory=dict)
    """Further fields of the message (``tool_calls``, ``reasoning_content``), on the first delta of a stream."""
    error: Mapping[str, Json] | None = None
    """An error object, in place of the answer whatever the status."""
    error_after_pieces: int = 0
    """In a stream the error comes after so many pieces."""
    newline: str = "\n"
    """Ends the lines of a stream."""
    comments: bool = False
    """A stream has a comment line before every event, as proxies send to keep it alive."""

    @property
    def breaks(self) -> bool:
        """True when it dies or hangs in the middle."""
        return self.die_after_pieces is not None or self.hang_after_pieces is not None


Script = Reply | Callable[[Body, int], Reply]
"""A reply, or a function of the request's body and its number (from 1) among those to the model."""


@dataclass
class Seen:
    """One request as the server saw it."""

    model: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Body
    at_s: float
    """``time.monotonic()`` at its last byte."""
    ended_s: float | None = None
    """When it was no longer served; ``None`` while it is."""
    disconnected: bool = False
    """True when the client went away before the end."""

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def chat(self) -> bool:
        return self.path.endswith("/chat/completions")


# ---- documents and events ---------------------------------------------------------------------


def encode(value: Json) -> bytes:
    """UTF-8 as servers send it; escapes only where UTF-8 has no bytes for it."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def cut(text: str, pieces: int) -> list[str]:
    """`text` in at most `pieces` pieces of about one length; one empty piece for an empty text."""
    bounds = [len(text) * n // pieces for n in range(pieces + 1)]
    return [text[a:b] for a, b in itertools.pairwise(bounds) if a < b] or [""]


def document(seen: Seen, reply: Reply) -> Body:
    """The answer as one JSON document."""
    if reply.error is not None or reply.status >= 400:
        return _error(reply)
    choice: Body = {"index": 0, "finish_reason": reply.finish_reason, "logprobs": reply.logprobs}
    text = None if reply.content_null else reply.text
    if not seen.chat:
        return _envelope(seen, reply, {**choice, "text": text}, "text_completion", reply.usage)
    message = {"role": "assistant", "content": text, **reply.message}
    return _envelope(seen, reply, {**choice, "message": message}, "chat.completion", reply.usage)


def events(seen: Seen, reply: Reply) -> Iterator[tuple[int, bytes]]:
    """The data of every event of a stream, numbered: 0 opens, 1.. are the pieces, what follows them closes."""
    pieces = cut(reply.text, reply.pieces)
    if seen.chat:
        opening = {"role": "assistant", "content": None if reply.content_null else "", **reply.message}
        yield 0, _chunk(seen, reply, opening)
    for n, piece in enumerate(pieces):
        if reply.error is not None and n == reply.error_after_pieces:
            yield n, encode(_error(reply))
            return
        logprobs = reply.logprobs if n == 0 else None
        yield n + 1, _chunk(seen, reply, {"content": None if reply.content_null else piece}, logprobs=logprobs)
    end = len(pieces) + 1
    if reply.finish_reason is not None:
        yield end, _chunk(seen, reply, {}, finish_reason=reply.finish_reason)
    options = seen.body.get("stream_options") or {}
    if reply.usage is not None and reply.usage_place == "own" and options.get("include_usage"):
        yield end, encode(_envelope(seen, reply, {}, "chat.completion.chunk", reply.usage))
    if reply.done:
        yield end, b"[DONE]"


def _error(reply: Reply) -> Body:
    phrase = HTTPStatus(reply.status).phrase
    return {"error": reply.error or {"message": f"scripted: {phrase}", "type": "server_error", "code": reply.status}}


def _envelope(seen: Seen, reply: Reply, choice: Body, kind: str, usage: Mapping[str, Json] | None) -> Body:
    """A response or a chunk around `choice`; an empty one is none."""
    whole: Body = {"id": "cmpl-1", "object": kind, "created": 1, "model": seen.model}
    if reply.choices != "missing":
        whole["choices"] = [choice] if choice and reply.choices == "one" else []
    return whole if usage is None else {**whole, "usage": usage}


def _chunk(seen: Seen, reply: Reply, delta: Body, *, finish_reason: str | None = None, logprobs: Json = None) -> bytes:
    choice: Body = {"index": 0, "finish_reason": finish_reason, "logprobs": logprobs}
    placed = reply.usage_place == "every" or (reply.usage_place == "last" and finish_reason is not None)
    usage = reply.usage if placed else None
    if seen.chat:
        return encode(_envelope(seen, reply, {**choice, "delta": delta}, "chat.completion.chunk", usage))
    return encode(_envelope(seen, reply, {**choice, "text": delta.get("content", "")}, "text_completion", usage))


# ---- scripts that several tests want ----------------------------------------------------------


def http_date(after_s: float) -> str:
    """The time `after_s` from now as Retry-After may state it: whole seconds, so up to one less."""
    return formatdate(time.time() + after_s, usegmt=True)


def busy_once(retry_after: Callable[[], str], then: Reply = Reply()) -> Script:
    """429 with Retry-After for the first request, `then` for all others."""

    def script(body: Body, nth: int) -> Reply:
        return then if nth > 1 else Reply(status=429, headers={"Retry-After": retry_after()})

    return script


SEINE = "It is Paris, on the Seine."

FAULTS: Mapping[str, Script] = {
    "slow": Reply(SEINE, pieces=10, piece_delay_s=0.05),
    "slow_headers": Reply(header_delay_s=0.3),
    "dies": Reply(SEINE, pieces=10, die_after_pieces=5),
    "closes": Reply(SEINE, pieces=10, die_after_pieces=5, death="close"),
    "hang": Reply(hang=True),
    "hang_midway": Reply(SEINE, pieces=10, hang_after_pieces=5),
    "500": Reply(status=500),
    "429": Reply(status=429, headers={"Retry-After": "1"}),
    "429_once": busy_once(lambda: "0.1"),
    "429_date": busy_once(lambda: http_date(2)),
    "html": Reply(body=b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"}),
    "cut_json": Reply(cut_bytes=60),
    "short_body": Reply(missing_bytes=100),
    "invalid_utf8": Reply("caf# au lait", replace=(b"#", b"\xe9")),
    "surrogate": Reply("a lone \ud800 here"),
    "null": Reply(content_null=True),
    "no_choices": Reply(choices="missing"),
    "empty_choices": Reply(choices="empty"),
    "empty": Reply(""),
    "blank": Reply(" \n\t "),
    "huge": Reply("0123456789abcdef" * 2**19, pieces=64),  # 8 MiB
    "huge_line": Reply("0123456789abcdef" * 2**19),  # streamed as one event
    "unfinished": Reply("It is Par", pieces=3, finish_reason=None, done=False, usage=None),
    "unfinished_closed": Reply("It is Par", pieces=3, finish_reason=None, done=False, usage=None, chunked=False),
    "no_done": Reply(done=False),
    "error_200": Reply(error={"message": "upstream is overloaded", "code": 502}),
    "error_midway": Reply(
        SEINE, pieces=5, error={"message": "upstream is overloaded", "code": 502}, error_after_pieces=3
    ),
    "odd_usage": Reply(usage_place="last"),
}
"""The usual faults by name. `cut_json` and `short_body` are for answers that are not streamed."""
