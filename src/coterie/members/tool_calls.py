"""The tools that an answer calls, put together from the pieces in which endpoints stream them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from coterie.types import Json, is_json

_KINDS = ("function", "custom")
"""What stands in a call under its own type, and has a name."""


class ToolCalls:
    """The calls of one answer, in the order in which they began."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Json]] = []
        self._at: dict[int, dict[str, Json]] = {}
        """The last call that began at an index."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, calls: Iterable[Mapping[str, Json]]) -> None:
        """Take in whole calls, each of which is one, whatever its index.

        Raises `AttributeError`, `TypeError` or `ValueError` for what has not the form of one.
        """
        for call in calls:
            self._calls.append({})
            _grow(self._calls[-1], call)

    def add_pieces(self, pieces: Sequence[Mapping[str, Json]]) -> None:
        """Take in pieces of calls. A new id begins a new call, at whatever index: some endpoints number all of them 0.

        Raises as `add` does.
        """
        for n, piece in enumerate(pieces):
            call = self._continued(piece, n if len(pieces) > 1 else -1)
            if call is None or _begins(call, piece):
                call = {}
                self._calls.append(call)
            if type(index := piece.get("index")) is int:
                self._at[index] = call
            _grow(call, piece)

    def _continued(self, piece: Mapping[str, Json], place: int) -> dict[str, Json] | None:
        """The call that `piece` may go on with: by its index, its id, or else the one at `place`."""
        if type(index := piece.get("index")) is int:
            return self._at.get(index)
        if id_ := piece.get("id"):
            return next((call for call in self._calls if call.get("id") == id_), None)
        return self._calls[place] if -1 <= place < len(self._calls) and self._calls else None

    def finished(self) -> tuple[Mapping[str, Json], ...]:
        """All of them. Raises `ValueError` for one without a name, and for arguments of several calls in one."""
        return tuple(map(_finished, self._calls))


def _begins(call: Mapping[str, Json], piece: Mapping[str, Json]) -> bool:
    """True where `piece` is of another call than `call`, though it stands in its place."""
    id_, before = piece.get("id"), call.get("id")
    if id_ and before:
        return bool(id_ != before)
    had, said = call.get("function") or {}, piece.get("function") or {}
    name = said.get("name")
    if not name or not is_json(had.get("arguments") or ""):
        return False
    return name != had.get("name") or bool((said.get("arguments") or "").strip())


def _grow(call: dict[str, Json], piece: Mapping[str, Json]) -> None:
    for key, value in piece.items():
        if key in _KINDS:
            if value:
                _say(call.setdefault(key, {}), value)
        elif key != "index" and value is not None and value != "":
            call[key] = value


def _say(words: dict[str, Json], piece: Mapping[str, Json]) -> None:
    """Arguments and input come bit by bit. The name comes whole, and with some endpoints again in each piece."""
    for key, value in piece.items():
        if key in ("arguments", "input"):
            words[key] = words.get(key, "") + (value or "")
        elif key != "name":
            words[key] = value
        elif value and words.setdefault("name", value) != value:
            raise ValueError(f"a tool call of two names: {words['name']!r:.100} and {value!r:.100}")


def _finished(call: dict[str, Json]) -> Mapping[str, Json]:
    kind = call.setdefault("type", "custom" if "custom" in call else "function")
    if kind not in _KINDS:
        return call
    words = call.get(kind) or {}
    if not isinstance(words.get("name"), str):
        raise ValueError("a tool call without a name")
    if _several(words.get("arguments") or ""):
        raise ValueError(f"the arguments of several tool calls in one: {words['arguments']!r:.200}")
    return call


def _several(arguments: str) -> bool:
    """True where one JSON value follows another."""
    try:
        json.loads(arguments)
    except json.JSONDecodeError as error:
        return error.msg == "Extra data" and arguments.startswith("{", error.pos)
    except (ValueError, RecursionError):
        pass
    return False
