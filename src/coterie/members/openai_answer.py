"""What an OpenAI-compatible endpoint answered, read with distrust: whole bodies and streamed chunks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coterie.errors import MemberError
from coterie.members import finish_reasons
from coterie.members.tool_calls import ToolCalls
from coterie.types import Completion, FailureKind, Json, Price, TokenLogprob, Usage, encodable

LOWEST_LOGPROB = -1e4
"""Stands in for minus infinity, which JSON cannot hold."""

SHOWN = 2000
"""Characters of an unreadable answer that an error quotes; the member shortens it once secrets are out of it."""

MOST_TOKENS = 10**12
"""A count above it is no count."""

BESIDE = ("reasoning_content", "reasoning", "annotations")
"""What a message may say beside its text: words, or lists of things."""

_BOM = b"\xef\xbb\xbf"


@dataclass
class Gathered:
    """An answer while it is being put together."""

    pieces: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """Pieces of what it says instead of an answer."""
    finish_reason: str = ""
    """In the endpoint's words."""
    error: str = ""
    """Why the rest is missing, where the endpoint says so."""
    usage: Mapping[str, Json] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    tool_calls: ToolCalls = field(default_factory=ToolCalls)
    legacy: bool = False
    """True where the tool is called as `function_call`."""
    beside: dict[str, list[Json]] = field(default_factory=dict)
    """Pieces of what is said beside the text, by their names in `BESIDE`."""
    first_piece_s: float | None = None
    done: bool = False
    calls: int = 1
    """0 for one that came along with another answer."""

    def add_chunk(self, data: bytes) -> str:
        """Take in one streamed chunk; the text it brought. Raises `MemberError` for an error in the stream."""
        chunk = parsed(data)
        if error := _error(chunk):
            raise MemberError(f"error in the stream: {_said(error)}", FailureKind.HTTP)
        if isinstance(chunk.get("usage"), dict):  # some endpoints send it along with the last words
            self.usage = chunk["usage"]
        choices = chunk.get("choices") or ()
        if not isinstance(choices, list | tuple):
            raise MemberError(f"choices that are no list: {choices!r:.{SHOWN}}", FailureKind.MALFORMED)
        return self.add_choice(choices[0], "delta") if choices else ""

    def add_choice(self, choice: Mapping[str, Json], key: str) -> str:
        """Take in a choice whose text stands under `key` (chat) or directly in it (plain completions)."""
        try:
            message = choice.get(key, choice)
            if message is None and key == "delta":
                message = {}
            content = message.get("text" if message is choice else "content")
            if reason := choice.get("finish_reason"):
                self.finish_reason = str(reason)
            if error := choice.get("error"):
                self.error = _said(error)
            if logprobs := choice.get("logprobs"):
                self.logprobs += _logprobs(logprobs)
            if message is not choice and (len(message) > 1 or content is None):
                self._add_others(message, key)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise MemberError(f"a choice of an unknown shape: {choice!r:.{SHOWN}}", FailureKind.MALFORMED) from error
        text = _text(content)
        if text:
            self.pieces.append(text)
        return text

    def _add_others(self, message: Mapping[str, Json], key: str) -> None:
        """What a message holds besides its text."""
        if refusal := message.get("refusal"):
            self.refusals.append(refusal + "")
        if calls := message.get("tool_calls"):
            if key == "message":
                self.tool_calls.add(calls)
            else:
                self.tool_calls.add_pieces(calls)
        elif call := message.get("function_call"):
            self.legacy = True
            self.tool_calls.add_pieces([{"index": 0, "function": call}])
        for name in BESIDE:
            if value := message.get(name):
                self.beside.setdefault(name, []).append(value)

    def completion(self, member: str, price: Price | None = None) -> Completion:
        """The completion, its cost by `price`, or else as the endpoint itself reported it.

        A refusal and an answer that a filter left nothing of are completions without text. Raises `MemberError` where
        the endpoint failed half-way, where there is nothing at all, and for text no UTF-8 can hold; it has the usage.
        """
        used = self._used(price)
        reason = finish_reasons.meaning(self.finish_reason or "stop")
        if self.error or reason == finish_reasons.ERROR:
            said = self.error or f"finish_reason {self.finish_reason!r:.100}"
            raise MemberError(f"an error after {len(self.pieces)} pieces: {said}", FailureKind.HTTP, usage=used)
        try:
            calls = self.tool_calls.finished()
        except (AttributeError, TypeError, ValueError) as error:
            raise MemberError(str(error), FailureKind.MALFORMED, usage=used) from error
        text, refusal = _joined(self.pieces), _joined(self.refusals).strip()
        if not (text.strip() or refusal or calls or self.logprobs or reason == "content_filter"):
            why = f" (finish_reason {self.finish_reason!r:.100})" if self.finish_reason else ""
            raise MemberError(f"an empty answer{why}", FailureKind.EMPTY, usage=used)
        if not encodable(text) or not encodable(refusal):
            raise MemberError("text with half a character in it", FailureKind.MALFORMED, usage=used)
        if reason == "function_call" and not self.legacy:
            reason = "tool_calls"
        return Completion(
            member,
            text,
            "function_call" if self.legacy and reason in ("stop", "tool_calls") else reason,
            used,
            first_piece_s=self.first_piece_s,
            logprobs=tuple(self.logprobs) or None,
            tool_calls=calls,
            refusal=refusal,
            beside={name: _together(pieces) for name, pieces in self.beside.items()},
        )

    def _used(self, price: Price | None) -> Usage:
        return _usage(self.usage, price, self.calls)


def whole(body: bytes, content_type: str) -> Gathered:
    """The answer in a body that was not streamed. Raises `MemberError`."""
    return several(body, content_type)[0]


def several(body: bytes, content_type: str) -> list[Gathered]:
    """The answers in a body that was not streamed, one at least. Raises `MemberError`.

    What they took together is counted once: the first has the prompt, and all share what was written.
    """
    if content_type == "text/html":
        raise MemberError(f"HTML instead of an answer: {_shown(body)}", FailureKind.MALFORMED)
    answer = parsed(body)
    if error := _error(answer):
        raise MemberError(f"an error with status 200: {_said(error)}", FailureKind.HTTP)
    choices = answer.get("choices")
    if not choices or not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise MemberError(f"an answer without choices: {_shown(body)}", FailureKind.MALFORMED)
    usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
    found = []
    for n, choice in enumerate(choices):
        gathered = Gathered(usage=_share(usage, n, len(choices)), done=True, calls=0 if n else 1)
        gathered.add_choice(choice, "message")
        found.append(gathered)
    return found


def _share(usage: Mapping[str, Json], n: int, of: int) -> Mapping[str, Json]:
    """What the nth of several answers is counted for, so that their sum is what was reported."""
    if of == 1:
        return usage
    written = _count(usage.get("completion_tokens"))
    evenly = {} if written is None else {"completion_tokens": written // of}
    if n:
        return {**evenly, "prompt_tokens": 0, "cost": 0.0} if usage else usage
    return {**usage, **({} if written is None else {"completion_tokens": written - written // of * (of - 1)})}


def parsed(data: bytes) -> Mapping[str, Json]:
    """The JSON object in `data`. Raises `MemberError` for invalid UTF-8, broken JSON and anything else."""
    try:
        value = json.loads(data.removeprefix(_BOM).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MemberError(f"invalid UTF-8 at byte {error.start}", FailureKind.MALFORMED) from error
    except (ValueError, RecursionError) as error:
        raise MemberError(f"broken JSON ({error}): {_shown(data)}", FailureKind.MALFORMED) from error
    if not isinstance(value, dict):
        raise MemberError(f"JSON that is no object: {_shown(data)}", FailureKind.MALFORMED)
    return value


def error_message(body: bytes) -> str:
    """What an error's body says, in one line of moderate length."""
    try:
        value = json.loads(body)
        return _said(value.get("error", value)) if isinstance(value, Mapping) else _shown(body)
    except (ValueError, RecursionError):
        return _shown(body)


def _error(value: Mapping[str, Json]) -> Json:
    """The error that `value` is or holds; nothing for an answer. vLLM writes the first form."""
    return value.get("error") or (value if value.get("object") == "error" else None)


def _said(error: Json) -> str:
    message = error.get("message", error) if isinstance(error, Mapping) else error
    return " ".join(str(message).split())[:SHOWN]


def _shown(body: bytes) -> str:
    return repr(" ".join(body[: SHOWN * 4].decode("utf-8", "replace").split())[:SHOWN])


def _text(content: Json) -> str:
    """Text of a content that is a string, null, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    raise MemberError(f"content that is no text: {content!r:.{SHOWN}}", FailureKind.MALFORMED)


def _logprobs(value: Json) -> list[TokenLogprob]:
    """Log-probabilities of a chat answer (``content``) or of a plain completion (parallel lists)."""
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("tokens"), list):
        tops = value.get("top_logprobs") or [{}] * len(value["tokens"])
        return [
            TokenLogprob(token, _clamped(logprob), tuple((t, _clamped(p)) for t, p in (top or {}).items()))
            for token, logprob, top in zip(value["tokens"], value["token_logprobs"], tops, strict=True)
        ]
    return [
        TokenLogprob(
            item["token"],
            _clamped(item["logprob"]),
            tuple((top["token"], _clamped(top["logprob"])) for top in item.get("top_logprobs") or ()),
            _octets(item),
            _top_octets(item.get("top_logprobs") or ()),
        )
        for item in value.get("content") or ()
    ]


def _top_octets(tokens: Sequence[Mapping[str, Json]]) -> tuple[tuple[int, ...] | None, ...]:
    octets = tuple(map(_octets, tokens))
    return octets if any(octets) else ()


def _octets(token: Mapping[str, Json]) -> tuple[int, ...] | None:
    """The bytes that a token is, where the endpoint gives them: half a character has no spelling."""
    octets = token.get("bytes")
    if not octets or not isinstance(octets, list):
        return None
    return tuple(octets) if all(type(octet) is int and 0 <= octet <= 255 for octet in octets) else None


def _clamped(logprob: Json) -> float:
    value = float(LOWEST_LOGPROB if logprob is None else logprob)
    return LOWEST_LOGPROB if math.isnan(value) else max(LOWEST_LOGPROB, value)


def _usage(reported: Mapping[str, Json], price: Price | None, calls: int) -> Usage:
    """Usage as reported; what was not reported is unknown. A price says what it cost, whatever the endpoint says."""
    prompt = _count(reported.get("prompt_tokens"))
    completion = _count(reported.get("completion_tokens"))
    cached = _count(_mapping(reported.get("prompt_tokens_details")).get("cached_tokens")) or 0
    cached = cached if prompt is None else min(cached, prompt)
    reasoning = _count(_mapping(reported.get("completion_tokens_details")).get("reasoning_tokens")) or 0
    cost_usd = _cost(reported.get("cost")) if price is None else price.cost_usd(prompt, completion, cached)
    return Usage(calls, prompt, completion, cost_usd, cached, reasoning)


def _cost(reported: Json) -> float | None:
    """What an endpoint says that it cost, where that can be true: nobody is paid for asking."""
    plain = isinstance(reported, int | float) and not isinstance(reported, bool)
    return float(reported) if plain and 0 <= reported < MOST_TOKENS else None


def _joined(pieces: Sequence[str]) -> str:
    """The whole text. A character that was cut in two between pieces, as UTF-16 endpoints do, is one again."""
    text = "".join(pieces)
    if encodable(text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return text


def _together(pieces: Sequence[Json]) -> Json:
    """Words as one text and lists as one list; of anything else the last that was said."""
    if all(isinstance(piece, str) for piece in pieces):
        return _joined(pieces)
    return [item for piece in pieces for item in piece] if all(isinstance(p, list) for p in pieces) else pieces[-1]


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _count(value: Json) -> int | None:
    """A count, where that can be one."""
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None
