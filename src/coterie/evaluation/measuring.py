"""Rows measured by columns: their numbers, and what one has over another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from coterie.evaluation.columns import Column, CorrelationColumn, Head
from coterie.evaluation.filling import EVERYWHERE
from coterie.evaluation.resampling import Draws, Ratio
from coterie.evaluation.rows import Kind, Row
from coterie.evaluation.significance import Estimate
from coterie.evaluation.table import Against, Line
from coterie.examples import Example


@dataclass(frozen=True)
class Measured:
    """Rows measured once, example by example, so that any part of the examples is only a sum."""

    examples: Sequence[Example]
    columns: Sequence[Column | CorrelationColumn]
    rows: Sequence[Row]
    draws: Draws
    parts: dict[tuple[str, str], Ratio] = field(default_factory=dict)

    def ratio(self, column: Column, row: Row) -> Ratio:
        key = (column.head.key, row.name)
        if key not in self.parts:
            self.parts[key] = ratio_of(column, row, len(self.examples))
        return self.parts[key]

    def cell(self, column: Column | CorrelationColumn, row: Row, within: Any = None) -> Estimate | None:
        if row.kind == "model" and row.name == column.head.says_nothing_of:
            return None
        if isinstance(column, CorrelationColumn):
            return self._correlation(column, row)
        return self.draws.ratio(_within(self.ratio(column, row), within))

    def against(self, row: Row, rival: Row, role: str, column: Column, within: Any = None) -> Against | None:
        one, other = (_within(self.ratio(column, r), within) for r in (row, rival))
        found = self.draws.difference(one, other)
        if found is None:
            return None
        return Against(row.name, rival.name, role, column.head.key, found, verdict_of(column.head, found))

    def _correlation(self, column: CorrelationColumn, row: Row) -> Estimate | None:
        value = column.value(row)
        if value is None or row.kind == "chance":
            return None if value is None else Estimate(value, None, None, sum(map(column.covers, self.numbers)))
        return self.draws.correlation(value, column.pairs(row), of_ranks=column.of_ranks)

    def of_kind(self, kind: Kind) -> list[Row]:
        return [row for row in self.rows if row.kind == kind]

    @property
    def numbers(self) -> range:
        return range(len(self.examples))

    def line(self, row: Row, columns: Sequence[Column | CorrelationColumn], within: Any = None) -> Line:
        """The row's numbers."""
        cells = {column.head.key: self.cell(column, row, within) for column in columns}
        return Line(row.name, row.kind, {key: cell for key, cell in cells.items() if cell is not None}, row.notes)


def ratio_of(column: Column, row: Row, n: int) -> Ratio:
    """What each of the n examples adds to a column's sum for a row, and to the number it is divided by."""
    import numpy as np

    sums, weights = np.zeros(n), np.zeros(n)
    for k in range(n):
        if (found := column.measured(k, row)) is not None:
            sums[k], weights[k] = found
    return sums, weights


def mean_of(ratio: Ratio, head: Head) -> float:
    """The number as it is compared: more is better, and none at all is the worst."""
    return head.better(float(ratio[0].sum() / ratio[1].sum())) if ratio[1].any() else -1e300


def is_everywhere(column: Column, ratio: Ratio) -> bool:
    """True for a row that has a number on nearly all that the column covers."""
    covered = sum(map(column.covers, range(len(ratio[1]))))
    return bool(covered and (ratio[1] > 0).sum() >= EVERYWHERE * covered)


def _within(ratio: Ratio, within: Any) -> Ratio:
    return ratio if within is None else (ratio[0] * within, ratio[1] * within)


def verdict_of(head: Head, difference: Estimate) -> str:
    if difference.value is None or difference.low is None or difference.high is None:
        return ""
    if difference.low <= 0 <= difference.high:
        return "level"
    return "better" if head.better(difference.value) > 0 else "worse"
