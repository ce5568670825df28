"""Tables of time: seconds a question (6.3), where they go, and how many times as quick a method is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.laying import few, long, wide
from coterie.evaluation.blending.measured import Measured
from coterie.evaluation.blending.rows import FULL_RANKING, Row, Variant
from coterie.evaluation.blending.tables import Head, Table

GROUP = "Time"

STAGES = {"generate": "generate_s", "rank": "rank_s", "fuse": "fuse_s"}
"""The stages, and the fields of a row that say how long each took."""

UNTOLD_S = 0.001
UNTOLD = 0.01
"""How far stages may be from their sum (seconds, and share of it) before it is said."""


def time_tables(measured: Measured) -> Iterator[Table]:
    """Table 6.3, its parts and the speed-ups, each where there is anything in it."""
    made = (_times(measured), *_speed_ups(measured), _stages(measured))
    yield from (table for table in made if table.rows)


def _times(measured: Measured) -> Table:
    def fill(variant: Variant, part: str | None) -> Cell:
        return cells.mean(measured.by_question(measured.times(variant), part))

    heads, rows = wide(measured, measured.main, fill, measured.datasets)
    tells = (
        f"Seconds from question to answer: the mean over answered questions ± half of its {measured.level} interval. "
        "Each is the critical path of the recorded latencies: members side by side, stages one after another."
    )
    return Table("time", "Time per question in seconds (table 6.3)", heads, rows, tells, tuple(few(measured)), GROUP)


def _stages(measured: Measured) -> Table:
    def fill(variant: Variant, part: str | None) -> Sequence[Cell]:
        columns = [measured.field(variant, field) for field in STAGES.values()]
        times = [value for value in measured.within(measured.times(variant), part) if value is not None]
        wall = measured.field(variant, "wall_s")
        return (
            cells.mean(measured.by_question(measured.times(variant), part)),
            cells.number(statistics.median(times) if times else None),
            cells.number(_percentile(times, 0.9)),
            *(cells.mean(measured.by_question(column, part)) for column in columns),
            cells.times(measured.quotient(wall, measured.times(variant), part)),
        )

    heads = (
        Head("total", "total_s"),
        Head("median", "median_s"),
        Head("90 % within", "p90_s"),
        *(Head(stage, field) for stage, field in STAGES.items()),
        Head("wall / total", "wall_over_total"),
    )
    laid, rows = long(measured, measured.main, heads, fill, measured.datasets)
    tells = (
        "Seconds of an answered question by stage. wall / total is what a clock showed over the critical path: above 1 "
        "where calls that could run side by side did not."
    )
    notes = tuple(_untold(measured))
    return Table("time-stages", "Time by stage", laid, rows, tells, notes, GROUP, aside=True)


def _percentile(values: Sequence[float], share: float) -> float | None:
    """The least value within which that share of them lies (nearest rank)."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None


def _untold(measured: Measured) -> Iterator[str]:
    """Variants whose stages are not their totals."""
    for variant in measured.main:
        off = sum(_is_untold(row) for row in measured.rows(variant))
        if off:
            yield f"{measured.names[variant]}: in {off} rows the stages are not what the total is"


def _is_untold(row: Row) -> bool:
    stages = [value for field in STAGES.values() if (value := getattr(row, field)) is not None]
    if row.time_s is None or not stages:
        return False
    return abs(math.fsum(stages) - row.time_s) > max(UNTOLD_S, UNTOLD * row.time_s)


# ---- speed-ups --------------------------------------------------------------------------------


def _speed_ups(measured: Measured) -> Iterator[Table]:
    said = f"on the questions that both answered, with {measured.level} intervals. Above 1 the method is quicker."
    reference = measured.reference
    if reference is not None:
        name = measured.names[reference]
        others = [v for v in measured.main if v.kind in ("selection", "blend") and v != reference]
        heads, rows = _speed_up(measured, [(variant, reference) for variant in others])
        tells = f"Seconds that {name} takes over those of each method, {said}"
        yield Table("speed-up", f"Speed-up over {name}", heads, rows, tells, group=GROUP)
    pairs = list(reduced(measured))
    heads, rows = _speed_up(measured, pairs)
    tells = f"Seconds that the same method takes with full ranking over those that it takes with each policy, {said}"
    yield Table("speed-up-ranking", "Speed-up over full ranking", heads, rows, tells, group=GROUP)


def _speed_up(
    measured: Measured, pairs: Sequence[tuple[Variant, Variant]]
) -> tuple[tuple[Head, ...], tuple[tuple[Cell, ...], ...]]:
    slower = dict(pairs)

    def fill(variant: Variant, part: str | None) -> Cell:
        return cells.times(measured.quotient(measured.times(slower[variant]), measured.times(variant), part))

    return wide(measured, list(slower), fill, measured.parts)


def reduced(measured: Measured) -> Iterator[tuple[Variant, Variant]]:
    """Every variant whose policy ranks less than all, and the same one with full ranking."""
    for variant in measured.main:
        if variant.policy and variant.policy != FULL_RANKING:
            full = replace(variant, policy=FULL_RANKING)
            yield from ((variant, v) for v in measured.variants if replace(v, kind=variant.kind) == full)
