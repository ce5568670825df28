"""What the engine's server sends back while it writes, put together into a completion.

`Reply.take` runs on the server's own threads; everything else after the call has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coterie.errors import MemberError
from coterie.types import Completion, FailureKind, Json, Price, TokenLogprob, Usage

LEAST_LOGPROB = -10_000.0
"""Stands for minus infinity, which is no JSON number."""


class Trim:
    """Takes the white space off both ends of a text that comes in pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = False

    def pass_on(self, piece: str) -> str:
        """As much of the text as is certainly inside it."""
        text = self._held + piece
        if not self._begun:
            text = text.lstrip()
        inside = text.rstrip()
        self._held = text[len(inside) :]
        self._begun = self._begun or bool(inside)
        return inside


class Reply:
    """One answer while it is written."""

    def __init__(self, *, trim: bool, alternatives: int | None, pass_on: Callable[[str], None] | None) -> None:
        self._trim = Trim() if trim else None
        self._alternatives = alternatives
        self._pass_on = pass_on
        self._began = time.monotonic()
        self._first_piece_s: float | None = None
        self._raw: list[str] = []
        self._pieces: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._finish_reason = ""
        self._usage: Mapping[str, Json] = {}
        self._error: Mapping[str, Json] | None = None
        self.unwanted = threading.Event()
        """Set when nobody waits any more: the engine then stops at the next token."""

    def take(self, chunk: Any) -> bool:
        """Take the server's next word. True asks it to stop."""
        if "error" in chunk:
            self._error = chunk["error"]
            return True
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices", ()):
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            self._logprobs += _logprobs((choice.get("logprobs") or {}).get("content") or (), self._alternatives)
            if choice.get("text"):
                self._add(choice["text"])
        return self.unwanted.is_set()

    def completion(self, member: str, price: Price | None, *, may_be_blank: bool) -> Completion:
        """The whole answer. Raises `MemberError` where there is none."""
        if self._error is not None:
            raise _refusal(self._error)
        usage = self._bill(price)
        text = "".join(self._pieces)
        if not self._finish_reason:
            raise MemberError(
                f"the engine stopped after {len(self._pieces)} pieces without saying that it was done",
                FailureKind.TRUNCATED,
                usage=usage,
            )
        if not text.strip() and not may_be_blank:
            raise MemberError(f"{member!r} answered with blank text {text!r}", FailureKind.EMPTY, usage=usage)
        return Completion(
            member,
            text,
            self._finish_reason,
            usage,
            time.monotonic() - self._began,
            self._first_piece_s,
            None if self._alternatives is None else self._inside(),
        )

    def _add(self, raw: str) -> None:
        self._raw.append(raw)
        piece = raw if self._trim is None else self._trim.pass_on(raw)
        if not piece or self.unwanted.is_set():
            return
        if self._first_piece_s is None:
            self._first_piece_s = time.monotonic() - self._began
        self._pieces.append(piece)
        if self._pass_on is not None:
            self._pass_on(piece)

    def _inside(self) -> tuple[TokenLogprob, ...]:
        """The tokens that made the text, without those of a stop string that was cut off it."""
        left = len("".join(self._raw))
        kept: list[TokenLogprob] = []
        for token in self._logprobs:
            if left <= 0:
                break
            kept.append(token)
            left -= len(token.token)
        return tuple(kept)

    def _bill(self, price: Price | None) -> Usage:
        if not self._usage:
            return Usage(calls=1, input_tokens=None, output_tokens=None, cost_usd=None)
        read, written = int(self._usage["prompt_tokens"]), int(self._usage["completion_tokens"])
        cached = int((self._usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
        cost = None if price is None else price.cost_usd(read, written, cached)
        return Usage(1, read, written, cost, cached)


def _logprobs(entries: Sequence[Mapping[str, Json]], alternatives: int | None) -> list[TokenLogprob]:
    """Entries without bytes are the token that ended the text.

    A character made of several tokens comes as one entry, with the log-probability of its last token.
    """
    return [
        TokenLogprob(
            entry["token"],
            _clamped(entry["logprob"]),
            tuple(
                (top["token"], _clamped(top["logprob"])) for top in entry.get("top_logprobs", ())[: alternatives or 0]
            ),
        )
        for entry in entries
        if entry.get("bytes")
    ]


def _clamped(logprob: float | None) -> float:
    return LEAST_LOGPROB if logprob is None else max(float(logprob), LEAST_LOGPROB)


def _refusal(error: Mapping[str, Json]) -> MemberError:
    if "n_prompt_tokens" in error:
        return too_long(int(error["n_prompt_tokens"]), int(error["n_ctx"]))
    said = f"llama.cpp refused the request: {error.get('message')!r}"
    if error.get("code") == 400:
        return MemberError(said, FailureKind.HTTP, status=400, usage=Usage())
    return MemberError(said, FailureKind.INTERNAL)


def too_long(tokens: int, context_tokens: int) -> MemberError:
    """What is said of a prompt that does not fit."""
    return MemberError(
        f"the prompt has {tokens} tokens and the context {context_tokens}: shorten the conversation, or give the "
        "member more context_tokens",
        FailureKind.HTTP,
        status=400,
        usage=Usage(),
    )
