"""Making the table of rankers: which rows there are, and every number of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from coterie.evaluation import rows as picking
from coterie.evaluation.columns import Column, CorrelationColumn, PickColumn
from coterie.evaluation.filling import columns_of, metrics_of, references_of
from coterie.evaluation.grouping import groups_of, too_small
from coterie.evaluation.measuring import Measured, is_everywhere, mean_of, ratio_of
from coterie.evaluation.resampling import Draws
from coterie.evaluation.rows import Row
from coterie.evaluation.table import CHANCE, LONGEST, ORDER, SINGLE, Against, Table
from coterie.examples import Example


def make_table(
    examples: Sequence[Example],
    judged: Sequence[Row],
    draws: Draws,
    *,
    metrics: Sequence[str] = (),
    against: Sequence[str] = (),
) -> Table:
    """The table of `judged` rows, beside chance, the longest answer, every single model and the oracles.

    `metrics` and `against` as `columns_of` takes them. Rows of equal names are numbered.
    """
    columns = columns_of(examples, metrics=metrics, against=against)
    models = _models(examples, columns)
    given = [picking.chance(examples), picking.longest(examples), *judged]
    rows = _distinct([*models, *_oracles(examples, metrics), *given])
    measured = Measured(examples, columns, rows, draws)
    headlines = [c for c in columns if c.head.headline and not isinstance(c, CorrelationColumn)]
    rivalries = tuple(_rivalries(measured, headlines))
    return Table(
        tuple(column.head for column in columns),
        {column.head.key: sum(map(column.covers, measured.numbers)) for column in columns},
        tuple(measured.line(row, columns) for row in rows),
        rivalries,
        tuple(groups_of(measured, headlines)),
        len(examples),
        draws.prompts,
        tuple(
            dict.fromkeys([*(note for row in rows for note in row.notes), *_picked(rivalries), *too_small(examples)])
        ),
    )


def _picked(rivalries: Sequence[Against]) -> Iterator[str]:
    if any(against.role == SINGLE for against in rivalries):
        yield f"{SINGLE} is picked for each column on these very examples, which favours it"


# ---- rows -------------------------------------------------------------------------------------


def _oracles(examples: Sequence[Example], metrics: Sequence[str]) -> Iterator[Row]:
    yield from (picking.oracle_by_metric(metric, examples) for metric in metrics_of(examples, metrics))
    by_labels = picking.oracle_by_labels(examples)
    if by_labels is not None:
        yield by_labels
        return
    yield from (picking.oracle_against(reference, examples) for reference in references_of(examples))


def _models(examples: Sequence[Example], columns: Sequence[Column | CorrelationColumn]) -> list[Row]:
    """Every single model, best first by the headlines, and all of them in one order."""
    picks = [column for column in columns if isinstance(column, PickColumn)]
    headlines = [column for column in picks if column.head.headline] or picks
    names = picking.models(examples)
    if not (names and headlines):
        return []
    rows = [picking.of_model(name, examples) for name in names]
    means = {row.name: [mean_of(ratio_of(c, row, len(examples)), c.head) for c in headlines] for row in rows}
    rows.sort(key=lambda row: means[row.name], reverse=True)
    ordered = picking.of_models_in_order(examples)
    return [*rows, ordered] if ordered else rows


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Rows under different names: a name that comes again gets a number."""
    taken: set[str] = set()
    named: list[Row] = []
    for row in rows:
        name, number = row.name, 2
        while name in taken:
            name, number = f"{row.name} ({number})", number + 1
        taken.add(name)
        named.append(replace(row, name=name))
    return named


# ---- numbers ----------------------------------------------------------------------------------


def _rivalries(measured: Measured, headlines: Sequence[Column]) -> Iterator[Against]:
    """Every judge against chance, the longest and single models; the longest against the others."""
    [chance] = measured.of_kind("chance")
    [longest] = measured.of_kind("baseline")
    for row in (longest, *measured.of_kind("judge")):
        for column in headlines:
            rivals = [(chance, CHANCE), (longest, LONGEST), *_single(measured, measured.of_kind("model"), column)]
            for rival, role in rivals:
                found = measured.against(row, rival, role, column) if rival is not row else None
                if found is not None:
                    yield found


def _single(measured: Measured, singles: Sequence[Row], column: Column) -> list[tuple[Row, str]]:
    """The best of the models that answer nearly all that the column covers; else, if any, their fixed order."""
    numbers = [(row, measured.ratio(column, row)) for row in singles]
    there = [(row, ratio) for row, ratio in numbers if is_everywhere(column, ratio)]
    alone = [(mean_of(ratio, column.head), row) for row, ratio in there if not row.orders]
    if alone:
        return [(max(alone, key=lambda pair: pair[0])[1], SINGLE)]
    return [(row, ORDER) for row, _ in there]
