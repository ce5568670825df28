"""The table of what answers cost: calls, tokens and USD, and whether the calls are those that the method promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.laying import long
from coterie.evaluation.blending.measured import Measured
from coterie.evaluation.blending.rows import Row, Variant
from coterie.evaluation.blending.tables import Head, Table

HEADS = (
    Head("answered", "answered"),
    Head("seconds", "time_s"),
    Head("generations", "generations"),
    Head("reviews", "reviews"),
    Head("fusions", "fusions"),
    Head("calls", "calls"),
    Head("by the formula", "calls_by_formula"),
    Head("rows that differ", "rows_that_differ"),
    Head("input tokens", "input_tokens"),
    Head("output tokens", "output_tokens"),
    Head("USD", "cost_usd"),
    Head("memory, GiB", "memory_gib"),
    Head("similarity", "similarity"),
)

TELLS = (
    "Each per answered question; what failed questions cost is counted, and shared among those answered. seconds is "
    "the mean of table 6.3. The formula: where a turn is ranked, N generations + N·k reviews + 1 fusion; where it is "
    "not, no reviews; only a blend has the fusion, and N are those that the policy let write. A row differs where "
    "what was counted is not that: a retry, a failed member, a fallback. memory is the most that any row saw, "
    "similarity how alike the candidates were. –: not known of every row."
)


def spent(measured: Measured) -> Table:
    """Calls, tokens and USD beside time, by method and data set."""

    def fill(variant: Variant, part: str | None) -> Sequence[Cell] | None:
        rows = measured.rows(variant, part)
        return tuple(_spent(measured, variant, part, rows)) if rows else None

    heads, rows = long(measured, measured.main, HEADS, fill, measured.datasets)
    return Table("spent", "Calls, tokens and cost of an answered question", heads, rows, TELLS, group="Cost")


def per_answer(rows: Sequence[Row], reading: Callable[[Row], float | None]) -> float | None:
    """The sum over all rows, shared among those that answered; ``None`` where a term is unknown or nobody answered."""
    answered = sum(not row.failed for row in rows)
    known = [value for row in rows if (value := reading(row)) is not None]
    return math.fsum(known) / answered if answered and len(known) == len(rows) else None


def promised(row: Row) -> tuple[int, int, int] | None:
    """Generations, reviews and fusions by the formula; ``None`` where nobody says k."""
    writing = row.n if row.asked is None else row.asked
    if row.ranked and row.reviews_each is None:
        return None
    return writing, writing * (row.reviews_each or 0) if row.ranked else 0, int(row.kind == "blend")


def _calls(row: Row) -> int | None:
    counted = (row.generations, row.reviews, row.fusions)
    return None if None in counted else sum(of for of in counted if of is not None)


def _promised_calls(row: Row) -> int | None:
    of = promised(row)
    return None if of is None else sum(of)


def _spent(measured: Measured, variant: Variant, part: str | None, rows: Sequence[Row]) -> Iterator[Cell]:
    coverage = measured.coverage(variant, part)
    yield Cell(f"{coverage.answered} of {coverage.questions}", coverage.answered, wrong=not coverage.whole)
    yield cells.mean(measured.by_question(measured.times(variant), part))
    for reading in (lambda r: r.generations, lambda r: r.reviews, lambda r: r.fusions, _calls):
        yield cells.count(per_answer(rows, reading))
    yield cells.count(per_answer(rows, _promised_calls))
    yield _differing(rows)
    for reading in (lambda r: r.input_tokens, lambda r: r.output_tokens, lambda r: r.cost_usd):
        yield cells.number(per_answer(rows, reading))
    memory = [row.memory_bytes for row in rows if row.memory_bytes is not None]
    yield cells.number(max(memory) / 2**30 if memory else None)
    yield cells.mean(measured.by_question(measured.field(variant, "similarity"), part))


def differing(rows: Sequence[Row]) -> tuple[int, int]:
    """How many rows counted other calls than the formula, and how many can say."""
    both = [
        (wanted, (row.generations, row.reviews, row.fusions))
        for row in rows
        if (wanted := promised(row)) is not None and _calls(row) is not None
    ]
    return sum(wanted != counted for wanted, counted in both), len(both)


def _differing(rows: Sequence[Row]) -> Cell:
    off, counted = differing(rows)
    if not counted:
        return Cell()
    return Cell(f"{off} of {counted}", off, n=counted, word="differ" if off else "", wrong=off > 0)
