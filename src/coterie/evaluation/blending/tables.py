"""Tables as values, and as they are written: Markdown for people, CSV with every interval for programs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coterie.evaluation.blending.cells import Cell

FORMULAE = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


@dataclass(frozen=True)
class Head:
    """A column's heading."""

    text: str
    key: str
    """Its name in CSV files."""
    number: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings."""

    key: str
    """Its name among files and anchors."""
    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    tells: str = ""
    """What it shows, in a sentence or two."""
    notes: tuple[str, ...] = ()
    group: str = ""
    """The part of a report that it stands in."""
    aside: bool = False
    """True where it is for those who look closer."""


# ---- Markdown ---------------------------------------------------------------------------------


def markdown(table: Table, level: int = 2) -> str:
    """The table under its title, what it tells before it and its notes behind it."""
    lines = [
        [words(head.text) for head in table.heads],
        ["---:" if head.number else "---" for head in table.heads],
        *([_bold(cell) for cell in row] for row in table.rows),
    ]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"- {words(note)}" for note in table.notes)
    parts = [f"{'#' * level} {words(table.title)}", words(table.tells), body, notes]
    return "\n\n".join(part for part in parts if part) + "\n"


def _bold(cell: Cell) -> str:
    text = words(cell.said)
    return f"**{text}**" if cell.best else text


def words(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    for mark in "\\`*|[]":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


def file_name(key: str) -> str:
    """A key as a name for files and anchors, whatever stands in it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", key).strip("-") or "table"


# ---- CSV --------------------------------------------------------------------------------------


def as_csv(table: Table) -> str:
    """The table with numbers in full; beside each its interval, its n and its word, where the column has any."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [[row[n] for row in table.rows] for n in range(len(table.heads))]
    there = [[name for name in EXTRAS if any(_extra(cell, name) is not None for cell in of)] for of in columns]
    writer.writerow([name for head, names in zip(table.heads, there, strict=True) for name in _names(head, names)])
    for row in table.rows:
        writer.writerow([value for cell, names in zip(row, there, strict=True) for value in _values(cell, names)])
    return out.getvalue()


EXTRAS = ("low", "high", "n", "word")


def _names(head: Head, extras: Sequence[str]) -> Iterator[str]:
    yield head.key
    yield from (f"{head.key} {name}" for name in extras)


def _values(cell: Cell, extras: Sequence[str]) -> Iterator[str]:
    yield from (_plain(value) for value in (cell.value, *(_extra(cell, name) for name in extras)))


def _extra(cell: Cell, name: str) -> float | str | None:
    value: float | str | None = getattr(cell, name)
    return None if value == "" else value


def _plain(value: float | str | None) -> str:
    """A value for a CSV file; text that a spreadsheet would run stands behind an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULAE) else value
    return repr(value)
