"""Between parts and plain data: a part from a mapping, with errors that name the key, and back.

A part's fields are its settings, so a mapping is checked against the fields' types. Values are
converted where that is plain (``"30"`` for a number); a setting that does not exist is an error.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any

from coterie import registry
from coterie.errors import ConfigError
from coterie.protocols import Decision, Encoder, Fuser, Judge, Method, Policy, Router
from coterie.registry import TAG, Room
from coterie.types import Json, Secret

NESTED: Mapping[Any, Room] = {
    Judge: "judges",
    Fuser: "fusers",
    Policy: "policies",
    Encoder: "encoders",
    Router: "routers",
    Decision: "decisions",
    Method: "methods",
}
"""Fields of these types hold parts themselves."""

SECRET_WORDS = ("key", "token", "secret", "password", "headers", "proxy")
"""A setting whose name holds one of these is never quoted in an error."""


class Misfit(ConfigError):
    """A setting that does not fit, and where it stands."""

    def __init__(self, path: Sequence[str | int], message: str) -> None:
        super().__init__(f"{dotted(path)}: {message}")
        self.path = tuple(path)
        self.message = message


def build(room: Room, data: Json, path: Sequence[str | int] = (), **given: Any) -> Any:
    """The part that `data` describes: its name alone, or a mapping with its name and settings.

    `given` are fields that do not stand in the mapping. Raises `Misfit`.
    """
    tag = TAG[room]
    if isinstance(data, str):
        data = {tag: data}
    if not isinstance(data, Mapping):
        raise Misfit(path, f"expected a mapping with {tag!r}, not {shown(data)}")
    if tag not in data:
        raise Misfit(path, f"{tag!r} is missing; it is one of {', '.join(sorted(registry.known(room)))}")
    if not isinstance(data[tag], str):
        raise Misfit((*path, tag), f"should be a name, not {shown(data[tag])}")
    try:
        cls = registry.find(room, data[tag])
    except ConfigError as error:
        raise Misfit((*path, tag), str(error)) from None
    settings = {key: value for key, value in data.items() if key != tag}
    return fill(cls, settings, path, **given)


def fill(cls: type, settings: Mapping[str, Json], path: Sequence[str | int] = (), **given: Any) -> Any:
    """An instance of the dataclass `cls` from plain data. Raises `Misfit` for the first setting that does not fit."""
    fields = {name: hint for name, hint in settable(cls) if name not in given}
    for name in settings:
        if name not in fields:
            raise Misfit((*path, str(name)), _no_such(str(name), fields))
    values = {name: _value(fields[name], value, (*path, name)) for name, value in settings.items()}
    missing = [f.name for f in dataclasses.fields(cls) if f.name in fields and f.name not in values and _required(f)]
    if missing:
        raise Misfit((*path, missing[0]), "this setting is required")
    try:
        return cls(**given, **values)
    except (ValueError, ConfigError) as error:
        raise Misfit(path, str(error)) from None


def settable(cls: type) -> Iterator[tuple[str, Any]]:
    """The fields of a part that data can set, with their types."""
    hints = _hints(cls)
    for field in dataclasses.fields(cls):
        if not field.metadata.get("code_only"):
            yield field.name, hints[field.name]


def describe(room: Room, part: Any) -> dict[str, Json]:
    """A part as plain data that `build` takes; what only code can set is shown as its ``repr``, and no secret."""
    return {TAG[room]: registry.name_of(room, part), **_fields(part)}


def shown(value: Json) -> str:
    """A value that does not fit, for an error. What stands in a list or a mapping may be secret: it is not quoted."""
    match value:
        case None:
            return "nothing"
        case Mapping():
            return "a mapping"
        case list() | tuple() | set():
            return "a list"
        case _:
            return f"{value!r:.80}"


def room_of(hint: Any) -> tuple[Room | None, bool]:
    """The room whose parts a field of that type holds, and whether it may hold none; ``None`` for any other field."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, UnionType) else (hint,)
    rooms = [NESTED[option] for option in options if option in NESTED]
    return (rooms[0] if rooms else None), type(None) in options


def dotted(path: Sequence[str | int]) -> str:
    """``members.mini.shots[0]`` for a path of keys and places."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "configuration"


def _fields(part: Any) -> dict[str, Json]:
    hints = _hints(part.__class__)
    return {f.name: _plain(getattr(part, f.name), hints[f.name]) for f in dataclasses.fields(part) if f.repr}


def _plain(value: Any, hint: Any = None) -> Json:
    room, _ = room_of(hint)
    if room is not None and value is not None:
        return describe(room, value)
    if dataclasses.is_dataclass(value):
        return _fields(value)
    match value:
        case Secret():
            plain: Json = "***"
        case Enum():
            plain = value.value
        case None | str() | int() | float():
            plain = value
        case Mapping():
            plain = {str(k): _plain(v) for k, v in value.items()}
        case Sequence() | frozenset():
            plain = [_plain(v) for v in value]
        case _:
            plain = repr(value)
    return plain


def _value(hint: Any, value: Json, path: Sequence[str | int]) -> Any:
    from pydantic import ValidationError

    room, optional = room_of(hint)
    if room is not None:
        return None if value is None and optional else build(room, value, path)
    inner = _dataclass_of(hint)
    if inner is not None and isinstance(value, Mapping):
        return fill(inner, value, path)
    if isinstance(value, bool) and _is_number(hint):
        raise Misfit(path, f"should be a number, not {value!r}")
    try:
        read = _reader(hint).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = (*path, *(step for step in first["loc"] if isinstance(step, int)))
        got = "" if _is_secret(str(path[-1])) else f", not {shown(first['input'])}"
        raise Misfit(where, _plain_words(first["msg"]) + got) from None
    if isinstance(read, float) and math.isnan(read):
        raise Misfit(path, f"should be a number, not {value!r}")
    return read


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS) and not name.endswith("_tokens")


def _is_number(hint: Any) -> bool:
    """True for ``int``, ``float`` and their optional forms, in which YAML's ``yes`` has no meaning."""
    options = set(typing.get_args(hint)) if typing.get_origin(hint) in (typing.Union, UnionType) else {hint}
    return bool(options & {int, float}) and options <= {int, float, type(None)}


def _plain_words(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


def _dataclass_of(hint: Any) -> type | None:
    """The dataclass in ``X`` or ``X | None``."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, UnionType) else (hint,)
    found = [option for option in options if dataclasses.is_dataclass(option)]
    return found[0] if len(found) == 1 and isinstance(found[0], type) else None


def _no_such(name: str, fields: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, fields, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"there is no such setting{hint} (allowed: {', '.join(fields)})"


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@cache
def _reader(hint: Any) -> Any:
    """What reads values of one type. Making it takes longer than reading."""
    from pydantic import TypeAdapter

    return TypeAdapter(hint)


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)
