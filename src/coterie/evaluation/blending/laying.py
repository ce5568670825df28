"""Laying numbers out: a row for each method and a column for each data set, or a row for each of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.measured import Measured
from coterie.evaluation.blending.rows import Variant
from coterie.evaluation.blending.tables import Head
from coterie.evaluation.blending.variants import KIND_NAMES

TOGETHER = "all together"
"""What all data sets are called where there are several."""

FEW = 30
"""Conversations from which on a percentile interval is near its level."""

Laid = tuple[tuple[Head, ...], tuple[tuple[Cell, ...], ...]]

WHO = (Head("method", "method", number=False), Head("kind", "kind", number=False))


def who(measured: Measured, variant: Variant) -> tuple[Cell, Cell]:
    return cells.words(measured.names[variant]), cells.words(KIND_NAMES[variant.kind])


def wide(
    measured: Measured,
    variants: Sequence[Variant],
    fill: Callable[[Variant, str | None], Cell],
    parts: Sequence[str | None],
) -> Laid:
    """A column for each part. A variant that has a number in none is left out."""
    heads = (*WHO, *(Head(part or TOGETHER, part or TOGETHER) for part in parts))
    filled = [(variant, [fill(variant, part) for part in parts]) for variant in variants]
    rows = tuple((*who(measured, v), *of) for v, of in filled if any(cell.value is not None for cell in of))
    return heads, rows


def long(
    measured: Measured,
    variants: Sequence[Variant],
    heads: Sequence[Head],
    fill: Callable[[Variant, str | None], Sequence[Cell] | None],
    parts: Sequence[str | None],
) -> Laid:
    """A row for each variant and part, those left out of which nothing is known (``None``, or no cell with a value)."""
    rows = []
    for variant in variants:
        for part in parts:
            filled = fill(variant, part)
            if filled is not None and any(cell.value is not None for cell in filled):
                rows.append((*who(measured, variant), cells.words(part or TOGETHER), *filled))
    return (*WHO, Head("data set", "data_set", number=False), *heads), tuple(rows)


def few(measured: Measured) -> Iterator[str]:
    """A warning for each data set of which there are too few conversations to trust an interval."""
    for part in measured.datasets:
        conversations = measured.conversations(part)
        if conversations < FEW:
            said = "one conversation has" if conversations == 1 else f"{conversations} conversations have"
            why = "no interval" if conversations == 1 else "an interval that is narrower than it should be"
            yield f"{part}: {said} {why}"
