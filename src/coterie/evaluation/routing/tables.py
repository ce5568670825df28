"""The tables of a comparison of routers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.tables import Head, Table
from coterie.evaluation.routing.entries import (
    GROUPS,
    HEADLINES,
    HONESTY,
    LEARNING,
    TIME,
    WHO,
    ordered,
    quality,
    who,
)
from coterie.evaluation.routing.learned import PAPERS_LABELS
from coterie.evaluation.routing.pair_tables import of_pair
from coterie.evaluation.routing.pool_tables import of_pool
from coterie.evaluation.routing.reliability import calibration_error, reliability, squared_error
from coterie.evaluation.routing.rival_tables import group_rivals
from coterie.prospects import Scale

if TYPE_CHECKING:
    from coterie.evaluation.blending.header import Measure
    from coterie.evaluation.routing.board import Board
    from coterie.evaluation.routing.forecasts import Timing
    from coterie.evaluation.routing.learned import Learned


def tables(board: Board, encoder: tuple[str, Timing] | None = None, learned: Learned | None = None) -> Iterator[Table]:
    """All that there is anything to say in. `encoder`: what stands before routers that read vectors, and its times."""
    made = [*of_pair(board)] if board.ground.pair is not None else [*of_pool(board)]
    made += [_groups(board), group_rivals(board), _honesty(board), _times(board, encoder)]
    if learned is not None:
        made.append(_learning(board, learned))
    yield from (table for table in made if table.rows)


def _groups(board: Board) -> Table:
    measure = HEADLINES[board.headline]
    heads = (*WHO, *(Head(f"{name} (n={len(part.ground)})", name) for name, part in board.groups.items()))
    rows = [
        (*who(row), *(quality(part.named[row.name], board.headline, measure) for part in board.groups.values()))
        for row in ordered(board, board.headline)
        if board.groups and (row.forecasts is not None or row.kind in ("chance", "oracle"))
    ]
    tells = f"{_begun(measure)} on the prompts of each group, by forecasts made for all of them."
    return Table("groups", f"{_begun(measure)} by group", heads, tuple(rows), tells, group=GROUPS)


def _learning(board: Board, learned: Learned) -> Table:
    measure = HEADLINES[board.headline]
    heads = (*WHO, *(Head(_size(size), str(size)) for size in learned.sizes))
    rows = [
        (*who(board.named[name]), *(cells.quality(of.get(size), measure) for size in learned.sizes))
        for name, of in learned.figures.items()
    ]
    tells = f"{_begun(measure)} by the number of prompts learned from, every prompt forecast by a router without it."
    return Table("learning", "What learning takes", heads, tuple(rows), tells, group=LEARNING)


def _begun(measure: Measure) -> str:
    """Its heading, as a sentence begins."""
    return measure.heading[:1].upper() + measure.heading[1:]


def _size(size: int) -> str:
    return f"{size} (the papers' labels)" if size == PAPERS_LABELS else str(size)


def _times(board: Board, encoder: tuple[str, Timing] | None) -> Table:
    heads = (
        *WHO,
        Head("p50, ms", "p50_ms"),
        Head("p99, ms", "p99_ms"),
        Head("queries timed", "queries"),
        Head("all fits, s", "fit_s"),
        Head("with the encoder, p50, ms", "with_encoder_ms"),
    )
    rows = []
    for row in board.forecast:
        of = row.forecasts
        assert of is not None  # noqa: S101 - `forecast` has them
        if of.timing is None:
            continue
        before = encoder[1].p50_s if of.reads_vectors and encoder else 0.0 if not of.reads_vectors else None
        rows.append((*who(row), *_timed(of.timing), _ms(None if before is None else of.timing.p50_s + before)))
    if encoder and rows:
        rows.append((cells.words(encoder[0]), cells.words("encoder"), *_timed(encoder[1]), Cell()))
    tells = "A router's own time for one query, and the encoder's apart: one encoding serves any number of routers."
    return Table("times", "Time of a decision", heads, tuple(rows), tells, group=TIME)


def _timed(timing: Timing) -> tuple[Cell, ...]:
    fit = cells.number(timing.fit_s)
    return _ms(timing.p50_s), _ms(timing.p99_s), cells.count(timing.queries), fit


def _ms(seconds: float | None) -> Cell:
    return cells.number(None if seconds is None else 1000 * seconds)


def _honesty(board: Board) -> Table:
    heads = (*WHO, Head("expected calibration error", "ece"), Head("mean squared error", "mse"))
    rows = []
    for row in board.forecast:
        of = row.forecasts
        if of is None or of.scale is not Scale.SCORE:
            continue
        error = calibration_error(reliability(of.quality, board.ground.scores))
        rows.append((*who(row), cells.number(error), cells.number(squared_error(of.quality, board.ground.scores))))
    tells = (
        "How far expected scores lie from those observed, over all members: in ten bins of equally many forecasts, and "
        "one by one. Routers whose qualities are no scores are left out."
    )
    return Table("calibration", "Expected scores against observed ones", heads, tuple(rows), tells, group=HONESTY)
