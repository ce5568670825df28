"""A table of rankers as sheets of text, for a terminal and for Markdown alike, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coterie.evaluation.columns import Head
from coterie.evaluation.filling import EVERYWHERE
from coterie.evaluation.significance import Estimate
from coterie.evaluation.table import SINGLE, Against, Group, Line, Table
from coterie.evaluation.telling import difference, told
from coterie.types import Json

NOTHING = "–"

INTERVALS = "±: half of the 95 % bootstrap interval over prompts. –: the labels say nothing of it."


@dataclass(frozen=True)
class Sheet:
    """Lines of cells under headings."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(table: Table, *, whole: bool = True) -> Iterator[Sheet]:
    """The picks, the orders, the rivalries and the groups, each where there is anything in it.

    Groups in all headline columns, or in the first alone where the `whole` is not wanted.
    """
    yield from _numbers("what is picked, by its scores", table, [head for head in table.heads if head.of_scores])
    of_labels = [head for head in table.heads if not (head.of_scores or head.of_orders)]
    yield from _numbers("what is picked, by the labels", table, of_labels)
    yield from _numbers("how all candidates are ordered", table, [head for head in table.heads if head.of_orders])
    if table.against:
        yield _rivalries(table)
    for of in dict.fromkeys(group.of for group in table.groups):
        for head in table.headlines if whole else table.headlines[:1]:
            yield _groups(of, head, [group for group in table.groups if group.of == of])


def legend(table: Table) -> Sheet:
    """What each column is, and how many examples it is about."""
    rows = tuple((head.heading, str(table.covered[head.key]), _tells(head)) for head in table.heads)
    return Sheet("columns", ("column", "examples", "what it is"), rows)


def markdown(table: Table, title: str, said_before: Sequence[str] = ()) -> str:
    """The whole as a Markdown page."""
    parts = [f"# {title}", *said_before, *(_markdown(sheet) for sheet in sheets(table)), INTERVALS]
    parts += ["## In words", "\n".join(f"- {sentence}" for sentence in told(table)), _markdown(legend(table))]
    if table.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in table.notes))
    return "\n\n".join(parts) + "\n"


def as_json(table: Table) -> dict[str, Json]:
    """The whole as plain data, every interval in full; shares are fractions of 1."""
    return {
        "examples": table.examples,
        "prompts": table.prompts,
        "columns": [
            {
                "key": head.key,
                "heading": head.heading,
                "tells": head.tells,
                "lower_is_better": head.lower_is_better,
                "headline": head.headline,
                "examples": table.covered[head.key],
            }
            for head in table.heads
        ],
        "rows": [_line_json(line) for line in table.lines],
        "against": [_against_json(against) for against in table.against],
        "groups": [
            {
                "of": group.of,
                "name": group.name,
                "examples": group.examples,
                "prompts": group.prompts,
                "rows": [_line_json(line) for line in group.lines],
                "against": [_against_json(against) for against in group.against],
            }
            for group in table.groups
        ],
        "in_words": list(told(table)),
        "notes": list(table.notes),
    }


# ---- text -------------------------------------------------------------------------------------


def number(estimate: Estimate | None, head: Head) -> str:
    """A number as it is printed, with half its interval where it has any width."""
    if estimate is None or estimate.value is None:
        return NOTHING
    text = head.text(estimate.value)
    if estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return text
    return f"{text} ±{head.text((estimate.high - estimate.low) / 2)}"


def heading(head: Head) -> str:
    """A column's heading with its unit, and an arrow where less is better."""
    return f"{head.heading}{' %' if head.percent else ''}{' ↓' if head.lower_is_better else ''}"


def _numbers(title: str, table: Table, heads: Sequence[Head]) -> Iterator[Sheet]:
    """The rows that have a number in any of some columns."""
    there = [line for line in table.lines if any(head.key in line.cells for head in heads)]
    rows = tuple((line.name, *(_cell(line, head, table.covered) for head in heads)) for line in there)
    if rows:
        yield Sheet(title, ("", *map(heading, heads)), rows)


def _cell(line: Line, head: Head, covered: Mapping[str, int]) -> str:
    """The number, and how many examples are behind it where it is far from all."""
    found = line.cells.get(head.key)
    text = number(found, head)
    return f"{text} (n={found.n})" if found and found.n < EVERYWHERE * covered[head.key] else text


def _rivalries(table: Table) -> Sheet:
    heads = [head for head in table.headlines if any(against.column == head.key for against in table.against)]
    rows: list[tuple[str, ...]] = []
    for name, rival, role in dict.fromkeys((a.row, a.rival, a.role) for a in table.against):
        found = {a.column: a for a in table.against if (a.row, a.rival, a.role) == (name, rival, role)}
        named = rival if role != SINGLE else f"{rival}, {SINGLE}"
        rows.append((name, named, *(_over(found.get(head.key), head) for head in heads)))
    return Sheet("differences", ("", "minus", *map(heading, heads)), tuple(rows))


def _over(against: Against | None, head: Head) -> str:
    return f"{difference(against.difference, head)} {against.verdict}".rstrip() if against else NOTHING


def _groups(of: str, head: Head, groups: Sequence[Group]) -> Sheet:
    names = list(dict.fromkeys(line.name for group in groups for line in group.lines))
    judges = list(dict.fromkeys(a.row for group in groups for a in group.against))
    rows = []
    for group in groups:
        cells = {line.name: line.cells.get(head.key) for line in group.lines}
        over = {a.row: a for a in group.against if a.column == head.key}
        differences = (_over(over.get(judge), head) for judge in judges)
        rows.append((group.name, str(group.examples), *(number(cells.get(n), head) for n in names), *differences))
    headings = (of, "examples", *names, *(f"{judge} minus the longest" for judge in judges))
    return Sheet(f"{heading(head)} by {of}", headings, tuple(rows))


def _tells(head: Head) -> str:
    return f"{head.tells}; less is better" if head.lower_is_better else head.tells


def _markdown(sheet: Sheet) -> str:
    lines = [sheet.headings, ("---", *("---:" for _ in sheet.headings[1:])), *sheet.rows]
    if sheet.title == "columns":
        lines[1] = tuple("---" for _ in sheet.headings)
    body = "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)
    return f"## {sheet.title}\n\n{body}"


def _escaped(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split())


# ---- plain data -------------------------------------------------------------------------------


def _line_json(line: Line) -> dict[str, Json]:
    return {"name": line.name, "kind": line.kind, "cells": {key: _json(cell) for key, cell in line.cells.items()}}


def _against_json(against: Against) -> dict[str, Json]:
    return {
        "row": against.row,
        "rival": against.rival,
        "role": against.role,
        "column": against.column,
        "difference": _json(against.difference),
        "verdict": against.verdict,
    }


def _json(estimate: Estimate) -> dict[str, Json]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "examples": estimate.n}
