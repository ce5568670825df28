"""Rows: what is asked, where it stands in its file, and the blocks of rows that are read and kept together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coterie.types import Json

BLOCK_ROWS = 256
"""Rows that are read together, and whose results are kept in one file until the output is written."""


@dataclass(frozen=True)
class Columns:
    """Where a row says what is asked."""

    prompt: str | None = None
    """A text, or a list of messages. Where left out, rows have one of `prompt`, `messages` and `body`."""
    id: str | None = None
    """Where left out, `custom_id` or `id`."""

    @property
    def questions(self) -> tuple[str, ...]:
        return ("prompt", "messages", "body") if self.prompt is None else (self.prompt,)

    @property
    def ids(self) -> tuple[str, ...]:
        return ("custom_id", "id") if self.id is None else (self.id,)


@dataclass(frozen=True)
class Row:
    """One row of the input."""

    number: int
    """1 for the first; blank lines are no rows."""
    where: str
    """For people: ``line 17``."""
    fields: Mapping[str, Json] = field(default_factory=dict)
    """Empty where the row could not be read."""
    fault: str = ""
    """Why it cannot be asked."""


@dataclass(frozen=True)
class Block:
    """Rows that follow each other."""

    number: int
    """1 for the first."""
    first: int
    """The number of its first row."""
    rows: int
    place: tuple[int, int]
    """Where its source finds it: a byte and a line, or a row group and a row in it."""
    twins: Mapping[int, int] = field(default_factory=dict)
    """Rows whose id stood before, and where."""

    def to_json(self) -> dict[str, Json]:
        twins = {str(number): before for number, before in self.twins.items()}
        return {"number": self.number, "first": self.first, "rows": self.rows, "place": self.place, "twins": twins}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Block:
        twins = {int(number): before for number, before in data["twins"].items()}
        return cls(data["number"], data["first"], data["rows"], tuple(data["place"]), twins)


def said_of(row: Row, columns: Columns) -> Json:
    """The row's id; ``None`` where it has none."""
    return next((row.fields[name] for name in columns.ids if row.fields.get(name) is not None), None)
