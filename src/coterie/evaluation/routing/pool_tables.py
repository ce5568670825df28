"""The tables of a comparison of routers among any number of members."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.tables import Head, Table
from coterie.evaluation.routing.entries import (
    HEADLINES,
    QUALITY,
    SCORE,
    SHARE,
    WHO,
    estimate_of,
    ordered,
    quality,
    scaled,
    signed,
    undefined,
    who,
)
from coterie.evaluation.routing.rival_tables import rivals

if TYPE_CHECKING:
    from coterie.evaluation.routing.board import Board, Row


def of_pool(board: Board) -> Iterator[Table]:
    """Quality and cost, the differences that verdicts rest on, and what other benchmarks compute."""
    columns = [*_columns(board)]
    rows = [(*who(row), *(fill(row) for _, fill in columns)) for row in ordered(board, board.headline)]
    tells = (
        f"Among {len(board.ground.outcomes.members)} members. At any cost, each prompt goes to the member of highest "
        "expected score."
    )
    if board.ground.costs is not None:
        tells += (
            " Over all budgets: the mean score while the mean cost of a call goes from the cheapest member's to the "
            "dearest one's, decided by utility. The random mix is the best that sending shares of the prompts to "
            "single members reaches."
        )
    heads = (*WHO, *(head for head, _ in columns))
    yield Table("routers", "Routers of a pool", heads, tuple(rows), tells, undefined(board), QUALITY)
    yield rivals(board)
    yield _as_others(board)


def _columns(board: Board) -> Iterator[tuple[Head, Callable[[Row], Cell]]]:
    """What a row is told of, and how it is filled; costs where they are known."""
    priced, single = board.ground.costs is not None, board.best_single
    if priced:
        yield Head(HEADLINES["band"].heading, "band"), lambda row: quality(row, "band", SCORE)
        yield Head("over the random mix", "over_mix"), lambda row: signed(row, "over_mix")
    yield Head("mean score at any cost", "quality"), lambda row: quality(row, "quality", SCORE)
    yield Head(f"over {single}", "over_single"), lambda row: signed(row, "over_single")
    yield Head("oracle's gap closed, %", "closed"), lambda row: quality(row, "closed", SHARE)
    if priced:
        yield Head("USD for 1000", "usd"), lambda row: cells.mean(scaled(estimate_of(row, "usd"), 1000.0))
        yield Head(f"saved at {single}'s score, %", "saved"), lambda row: quality(row, "saved", SHARE)


def _as_others(board: Board) -> Table:
    """What other benchmarks compute."""
    heads = (*WHO, *(Head(text, key) for key, (text, _) in _OTHERS.items()))
    rows = [(*who(row), *(quality(row, key, of) for key, (_, of) in _OTHERS.items())) for row in board.rows]
    rows = [row for row in rows if any(cell.value is not None for cell in row[2:])]
    tells = (
        "AIQ (RouterBench): the mean height of the convex hull of the curve over cost, and the same as its code "
        "computes it. RouterArena's score of each prompt's best member. Gain@R, Gain@B and Gap@O (LLMRouterBench): "
        "the score's relative gain over a random member and over the best single one, and its relative gap to the "
        "oracle. By threshold: the mean score over all budgets where the cheapest member above a threshold answers, "
        "as FORC decides."
    )
    return Table("as-others", "As other benchmarks compute it", heads, tuple(rows), tells, group=QUALITY, aside=True)


_OTHERS = {
    "aiq": ("AIQ", SCORE),
    "routerbench_aiq": ("AIQ, RouterBench's code", SCORE),
    "arena": ("RouterArena", SCORE),
    "gain_random": ("Gain@R, %", SHARE),
    "gain_single": ("Gain@B, %", SHARE),
    "gap_oracle": ("Gap@O, %", SHARE),
    "band_threshold": ("by threshold", SCORE),
}
