"""What comes of more members and of fusing more of them: N and K turned, all else the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.header import Measure
from coterie.evaluation.blending.laying import TOGETHER, few
from coterie.evaluation.blending.measured import Column, Measured
from coterie.evaluation.blending.rows import FULL_RANKING, Variant
from coterie.evaluation.blending.tables import Head, Table
from coterie.evaluation.blending.timing import STAGES
from coterie.evaluation.blending.variants import in_order, names_of
from coterie.evaluation.conversations import Scores, together
from coterie.evaluation.significance import Estimate

Over = Literal["n", "top_k"]

LETTERS: dict[Over, str] = {"n": "N", "top_k": "K"}


@dataclass(frozen=True)
class Sweep:
    """Variants that differ in one number alone, the smallest first."""

    name: str
    over: Over
    variants: tuple[Variant, ...]

    @property
    def ranks(self) -> bool:
        """True where no policy ranks less than all (r = 1)."""
        return self.variants[0].policy in ("", FULL_RANKING)

    def value(self, variant: Variant) -> int:
        found: int = getattr(variant, self.over)
        return found


@dataclass(frozen=True)
class Step:
    """One of a sweep's variants on a part, on the questions that all of them answered."""

    value: int
    quality: Estimate | None
    """By conversation."""
    time_s: Estimate | None
    stages_s: tuple[Estimate | None, ...]
    """In the order of `timing.STAGES`."""


def sweeps(measured: Measured, over: Over) -> list[Sweep]:
    """Every one of at least two variants; over K of those with their largest pool."""
    variants = measured.variants if over == "n" else measured.main
    alike: dict[Variant, list[Variant]] = {}
    for variant in variants:
        if getattr(variant, over) is not None and variant.kind in ("selection", "blend"):
            alike.setdefault(_without(variant, over), []).append(variant)
    found = {key: of for key, of in alike.items() if len({getattr(v, over) for v in of}) > 1}
    names = names_of(in_order(found))
    return [Sweep(names[key], over, tuple(sorted(of, key=lambda v: getattr(v, over)))) for key, of in found.items()]


def _without(variant: Variant, over: Over) -> Variant:
    """What all of a sweep share. K = 1 may be a selection where more are a blend."""
    return replace(variant, n=1) if over == "n" else replace(variant, top_k=None, kind="blend")


def steps(measured: Measured, sweep: Sweep, measure: Measure | None, part: str | None) -> list[Step]:
    """The sweep's numbers; none where no question was answered by all."""
    qualities = together([measured.quality(v, measure) for v in sweep.variants]) if measure else []
    times = together([measured.times(v) for v in sweep.variants])
    found = []
    for n, variant in enumerate(sweep.variants):
        quality = measured.by_conversation(qualities[n], part) if qualities else None
        time_s = measured.by_question(times[n], part)
        stages = tuple(
            measured.by_question(_where(measured.field(variant, field), times[n]), part) for field in STAGES.values()
        )
        if quality is not None or time_s is not None:
            found.append(Step(sweep.value(variant), quality, time_s, stages))
    return found


def _where(column: Column, other: Scores) -> Column:
    """The column where the other one is known."""
    return tuple(None if there is None else value for value, there in zip(column, other, strict=True))


def sweep_tables(measured: Measured) -> Iterator[Table]:
    """Quality and time by N and by K, each where anything was turned."""
    made = (
        _table(measured, "n", "by-pool-size", "Quality and time by size of the pool (N)"),
        _table(measured, "top_k", "by-k", "Quality and time by how many are fused (K)"),
    )
    yield from (table for table in made if table.rows)


def _table(measured: Measured, over: Over, key: str, title: str) -> Table:
    measure = measured.measure
    rows = tuple(
        row
        for sweep in sweeps(measured, over)
        for part in measured.parts
        for row in _rows(measured, sweep, measure, part)
    )
    heads = (
        Head("method", "method", number=False),
        Head("data set", "data_set", number=False),
        Head(LETTERS[over], over),
        Head(measure.heading if measure else "quality", "quality"),
        Head("seconds", "time_s"),
        *(Head(stage, field) for stage, field in STAGES.items()),
    )
    tells = (
        f"Each on the questions that were answered with every {LETTERS[over]}; ± is half of the {measured.level} "
        "interval. Quality is the mean by conversation, time the mean by question."
    )
    return Table(key, title, heads, rows, tells, tuple(few(measured)), "Pool size and K", aside=True)


def _rows(measured: Measured, sweep: Sweep, measure: Measure | None, part: str | None) -> Iterator[tuple[Cell, ...]]:
    for step in steps(measured, sweep, measure, part):
        yield (
            cells.words(sweep.name),
            cells.words(part or TOGETHER),
            cells.count(step.value),
            cells.quality(step.quality, measure) if measure else Cell(),
            cells.mean(step.time_s),
            *map(cells.mean, step.stages_s),
        )
