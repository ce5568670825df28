"""What finds a conversation again: hashes of its messages, the same in every process and every version.

A stateless client sends the whole conversation again. What it sends differs from what was answered in
ways that mean nothing (line ends, content as parts, new ids of tool calls), so messages are brought to
one form first. And it may differ in ways that mean something: an answer that was cut or edited, a system
prompt that carries the time of day. So a turn has two keys. `Keys.exact` holds every message, and `Keys.words`
what the user said and nothing else; the second is asked where nothing answers to the first.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from coterie.types import Json, Message

FORMAT = "coterie/conversation/1"
"""Part of what is hashed. It changes when the form below does; then old turns are looked up under both."""

UNSAID = frozenset({"cache_control"})
"""Entries of a content part that say how to process it, and move as a conversation grows."""


MOST_BEGINNINGS = 8
"""So many answers back the turn is looked for that a conversation goes on from."""


@dataclass(frozen=True)
class Keys:
    """What a turn is found by: 64 hexadecimal digits each."""

    exact: str
    """Of every message."""
    words: str | None
    """Of the user's messages, white space aside; ``None`` where the user has said nothing."""


def keys(messages: Sequence[Message], scope: str) -> Keys:
    """The keys of a conversation that has come as far as `messages`, for one scope."""
    said = [_words(message) for message in messages if message.role == "user"]
    words = _digest("words", scope, said) if said else None
    return Keys(exact(messages, scope), words)


def exact(messages: Sequence[Message], scope: str) -> str:
    """`Keys.exact` alone."""
    return _digest("exact", scope, list(_canonical(messages)))


def repeated(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What of `messages` an earlier turn may have left: all up to the last answer that something follows.

    Assistant messages at the very end are the start of the next answer, so they are no earlier turn's.
    """
    end = len(messages)
    while end and messages[end - 1].role == "assistant":
        end -= 1
    while end and messages[end - 1].role != "assistant":
        end -= 1
    return tuple(messages[:end])


def beginnings(sent: Sequence[Message]) -> Iterator[tuple[Message, ...]]:
    """What earlier turns than the last may have left of `sent`: all up to each answer before the last, longest first.

    The last turn may be missing where its answer was stopped half-way, or given by somebody who keeps nothing.
    """
    ends = [place for place, message in enumerate(sent) if message.role == "assistant" and place + 1 < len(sent)]
    for place in reversed(ends[-MOST_BEGINNINGS:]):
        yield tuple(sent[: place + 1])


def _digest(kind: str, scope: str, content: Json) -> str:
    plain = json.dumps([FORMAT, kind, scope, content], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


def _canonical(messages: Iterable[Message]) -> Iterator[Json]:
    """Each message in one form. Ids of tool calls become their numbers, so that only who answers whom remains."""
    numbers: dict[str, int] = {}

    def number(id_: Json) -> int:
        return numbers.setdefault(str(id_), len(numbers))

    for message in messages:
        role = "system" if message.role == "developer" else message.role
        rest: dict[str, Json] = {}
        if name := message.extra.get("name"):
            rest["name"] = str(name)
        if calls := [[number(call.get("id")), _call(call)] for call in _calls(message)]:
            rest["calls"] = calls
        if (answered := message.extra.get("tool_call_id")) is not None:
            rest["answers"] = number(answered)
        yield [role, _content(message), rest]


def _content(message: Message) -> list[Json]:
    """The text and the other parts in their order; neighbouring texts are one, and empty ones none."""
    if isinstance(message.content, str):
        return [text] if (text := _text(message.content)) else []
    found: list[Json] = []
    run = ""
    for part in message.content:
        if part.get("type") == "text":
            run += str(part.get("text") or "")
            continue
        found += [_text(run), _part(part)]
        run = ""
    return [piece for piece in (*found, _text(run)) if piece]


def _words(message: Message) -> list[Json]:
    return [" ".join(piece.split()) if isinstance(piece, str) else piece for piece in _content(message)]


def _text(text: str) -> str:
    """One form of Unicode and of line ends, and no white space around."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _part(part: Mapping[str, Json]) -> Json:
    return {name: value for name, value in part.items() if name not in UNSAID}


def _calls(message: Message) -> list[Mapping[str, Json]]:
    """The tool calls of a message; what has not the form of one is passed over."""
    calls = message.extra.get("tool_calls")
    return [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list | tuple) else []


def _call(call: Mapping[str, Json]) -> Json:
    """A tool call without its id and its place in a stream, its arguments as the JSON they are."""
    function = call.get("function")
    if not isinstance(function, Mapping):
        return {name: value for name, value in call.items() if name not in ("id", "index")}
    return [str(function.get("name")), _arguments(function.get("arguments"))]


def _arguments(arguments: Json) -> str:
    """JSON in one form, or the text itself where it is none (a model wrote it)."""
    if not isinstance(arguments, str):
        return json.dumps(arguments, sort_keys=True)
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
