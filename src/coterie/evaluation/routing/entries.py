"""What stands in one place of a table of routers, and in which order its rows stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.header import Measure
from coterie.evaluation.blending.tables import Head

if TYPE_CHECKING:
    from coterie.evaluation.routing.board import Against, Board, Kind, Row
    from coterie.evaluation.routing.samples import Figure
    from coterie.evaluation.significance import Estimate

QUALITY, GROUPS, LEARNING, HONESTY, TIME = "Quality", "By group", "Learning", "Expected and observed", "Time"

PARTS = (QUALITY, GROUPS, LEARNING, HONESTY, TIME)
"""The parts of a report, in their order."""

KIND_NAMES: dict[Kind, str] = {
    "router": "router",
    "baseline": "baseline",
    "single": "single member",
    "chance": "chance",
    "oracle": "oracle",
}

PGR = Measure("apgr", "APGR")
SCORE = Measure("score", "mean score", digits=4)
SHARE = Measure("share", "share", percent=True, digits=1)

HEADLINES: dict[str, Measure] = {
    "apgr": PGR,
    "band": replace(SCORE, name="band", title="mean score over all budgets"),
    "quality": replace(SCORE, name="quality", title="mean score at any cost"),
}

WHO = (Head("router", "router", number=False), Head("kind", "kind", number=False))


def ordered(board: Board, key: str) -> list[Row]:
    """Forecasts, the best first, then what they are held against."""
    forecast = sorted(board.forecast, key=lambda row: -_value(row, key))
    return [*forecast, *(row for row in board.rows if row.forecasts is None and row.figures)]


def _value(row: Row, key: str) -> float:
    found = estimate_of(row, key)
    return float("-inf") if found is None or found.value is None else found.value


def estimate_of(row: Row, key: str) -> Estimate | None:
    figure: Figure | None = row.figures.get(key)
    return None if figure is None else figure.estimate


def who(row: Row) -> tuple[Cell, Cell]:
    return cells.words(row.name), cells.words(KIND_NAMES[row.kind])


def quality(row: Row, key: str, measure: Measure) -> Cell:
    return cells.quality(estimate_of(row, key), measure)


def signed(row: Row, key: str) -> Cell:
    """A difference that is a figure itself."""
    return cells.difference(estimate_of(row, key), SCORE)


def over(board: Board, row: Row, rivals: Sequence[str]) -> list[Cell]:
    """What a row of forecasts gains over each rival."""
    if row.forecasts is None:
        return [Cell() for _ in rivals]
    return [_gain(board.against(row, name), HEADLINES[board.headline]) for name in rivals]


def _gain(against: Against | None, measure: Measure) -> Cell:
    return Cell() if against is None else cells.difference(against.difference, measure, against.word)


def percent(value: float | None) -> Cell:
    return Cell() if value is None else Cell(f"{100 * value:.1f}", value)


def scaled(found: Estimate | None, times: float) -> Estimate | None:
    if found is None:
        return None
    value, low, high = (None if of is None else times * of for of in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high)


def undefined(board: Board) -> tuple[str, ...]:
    """Sentences about figures that have no value on some of the samples."""
    said = []
    for row in board.forecast:
        for key, name in _SAID.items():
            found = estimate_of(row, key)
            resamples = board.ground.bootstrap.resamples
            if found is not None and found.undefined:
                said.append(
                    f"{row.name}: {name} has no value in {found.undefined} of {resamples} samples of the "
                    "prompts, and its interval is of the others"
                )
    return tuple(said)


_SAID = {
    "apgr": "APGR",
    "cpt50": "CPT(50 %)",
    "cpt80": "CPT(80 %)",
    "saved": "what is saved",
}
