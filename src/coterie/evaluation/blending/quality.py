"""Tables of quality: the data sets (6.1), every method on each of them (6.2), and what each has over its rivals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.header import DataSet, Measure
from coterie.evaluation.blending.laying import few, wide
from coterie.evaluation.blending.measured import Column, Coverage, Measured
from coterie.evaluation.blending.rows import Variant
from coterie.evaluation.blending.tables import Head, Table
from coterie.evaluation.blending.versus import Rivals, Verdict, word_of

GROUP = "Quality"


def data_sets(measured: Measured) -> Table:
    """Table 6.1: what was loaded, and what of it was asked."""
    known = {data.name: data for data in measured.header.data}
    rows = [_data_set(known.get(name, DataSet(name)), measured) for name in dict.fromkeys([*known, *measured.datasets])]
    heads = (
        Head("data set", "data_set", number=False),
        Head("domain", "domain", number=False),
        Head("turns", "turns"),
        Head("conversations", "conversations"),
        Head("questions", "questions"),
        Head("conversations asked", "conversations_asked"),
        Head("questions asked", "questions_asked"),
        Head("source", "source", number=False),
        Head("licence", "licence", number=False),
        Head("fingerprint", "fingerprint", number=False),
    )
    tells = "Data sets as they were loaded, and how much of them was asked in this run."
    return Table("data-sets", "Data sets (table 6.1)", heads, tuple(rows), tells, group="Data")


def _data_set(data: DataSet, measured: Measured) -> tuple[Cell, ...]:
    domains = {q.domain for q in measured.recorded.questions.values() if q.dataset == data.name and q.domain}
    turns = [str(turns) for turns in (data.shortest, data.longest) if turns is not None]
    return (
        cells.words(data.name),
        cells.words(data.domain or ", ".join(sorted(domains))),
        cells.words("–".join(dict.fromkeys(turns))),
        cells.count(data.conversations),
        cells.count(data.questions),
        cells.count(measured.conversations(data.name)),
        cells.count(len(measured.places_of(data.name))),
        *map(cells.words, (data.source, data.licence, data.fingerprint)),
    )


def qualities(measured: Measured) -> Iterator[Table]:
    """Table 6.2, once for each metric."""
    yield from (table for measure in measured.measures if (table := _qualities(measured, measure)).rows)


def _qualities(measured: Measured, measure: Measure) -> Table:
    columns = {variant: measured.quality(variant, measure) for variant in measured.main}
    best = {part: _best(measured, columns, measure, part) for part in measured.datasets}

    def fill(variant: Variant, part: str | None) -> Cell:
        found = measured.by_conversation(columns[variant], part)
        return replace(
            _partly(cells.quality(found, measure), measured.coverage(variant, part)), best=best[part or ""] == variant
        )

    heads, rows = wide(measured, measured.main, fill, measured.datasets)
    tells = (
        f"{measure.heading}{', times 100' if measure.percent else ''}: the mean over each conversation's questions, "
        f"then over conversations{'; less is better' if measure.lower_is_better else ''}. ± is half of the "
        f"{measured.level} interval. "
        "Bold: better than every other method but the oracle, each by an interval that does not hold 0. "
        "(n of m): only n of m questions were answered, and the mean is of those."
        f"{f' Computed by {measure.how}.' if measure.how else ''}"
    )
    title = f"{measure.heading} by method and data set (table 6.2)"
    return Table(f"quality-{measure.name}", title, heads, rows, tells.strip(), tuple(few(measured)), GROUP)


def _partly(cell: Cell, coverage: Coverage) -> Cell:
    """The cell, with how much it is of where that is not all."""
    if cell.value is None or coverage.whole:
        return cell
    return replace(cell, word=f"({coverage.answered} of {coverage.questions})", wrong=True)


def _best(measured: Measured, columns: Mapping[Variant, Column], measure: Measure, part: str) -> Variant | None:
    """The one that is better than every other but the oracle, if the intervals say so."""
    means = {
        variant: measure.better(found.value)
        for variant, column in columns.items()
        if variant.kind != "oracle"
        and (found := measured.by_conversation(column, part)) is not None
        and found.value is not None
    }
    if len(means) < 2:
        return None
    first = max(means, key=means.__getitem__)
    gains = [measured.gain(columns[first], columns[other], part) for other in means if other != first]
    return first if all(gain is not None and word_of(gain, measure) == "yes" for gain in gains) else None


# ---- rivals -----------------------------------------------------------------------------------


def rivalries(measured: Measured, rivals: Rivals) -> Iterator[Table]:
    """Every method against the best single member, and against the reference."""
    made = (_singles(measured, rivals), *_referred(measured, rivals))
    yield from (table for table in made if table.rows)


def _singles(measured: Measured, rivals: Rivals) -> Table:
    measure = rivals.measure
    left_out: dict[str, None] = {}

    def fill(variant: Variant, part: str | None) -> Cell:
        verdict = rivals.over_best_single(variant, part)
        left_out.update(dict.fromkeys(verdict.left_out if verdict else ()))
        return of_verdict(verdict)

    heads, rows = wide(measured, _challengers(measured), fill, measured.parts)
    tells = (
        f"{measure.heading}, each method's less the best single member's, on the questions that it and all members "
        f"answered. The {measured.level} interval holds whichever member is truly the best, since who looks best was "
        f"also the luckiest. {WORDS}"
    )
    notes = [f"left out as a single member, having answered too little: {name}" for name in left_out]
    title = f"Better than the best single member? ({measure.heading})"
    return Table(f"single-{measure.name}", title, heads, rows, tells, (*few(measured), *notes), GROUP)


def _referred(measured: Measured, rivals: Rivals) -> Iterator[Table]:
    reference, measure = measured.reference, rivals.measure
    if reference is None:
        return

    def fill(variant: Variant, part: str | None) -> Cell:
        return of_verdict(rivals.over(variant, reference, part))

    others = [variant for variant in _challengers(measured) if variant != reference]
    heads, rows = wide(measured, others, fill, measured.parts)
    name = measured.names[reference]
    tells = (
        f"{measure.heading}, each method's less that of {name}, on the questions that both answered, with the "
        f"{measured.level} interval over conversations. {WORDS}"
    )
    title = f"Better than {name}? ({measure.heading})"
    yield Table(f"reference-{measure.name}", title, heads, rows, tells, tuple(few(measured)), GROUP, aside=True)


WORDS = (
    "yes: the interval lies on the better side of 0; no: on the worse one. Intervals are of one comparison each, and "
    "not widened for how many there are."
)


def _challengers(measured: Measured) -> list[Variant]:
    return measured.of_kind("baseline", "selection", "blend")


def of_verdict(verdict: Verdict | None) -> Cell:
    """The difference with its interval, and the word."""
    return Cell() if verdict is None else cells.difference(verdict.gain, verdict.measure, verdict.word)
