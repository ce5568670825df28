"""The tables that verdicts rest on: every router against what it should beat, on all prompts and by group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.tables import Head, Table
from coterie.evaluation.routing.entries import GROUPS, HEADLINES, QUALITY, WHO, ordered, over, who

if TYPE_CHECKING:
    from coterie.evaluation.routing.board import Board


def rivals(board: Board) -> Table:
    """On all prompts, the best router first."""
    rows = [
        (*who(row), *over(board, row, board.rivals))
        for row in ordered(board, board.headline)
        if row.forecasts is not None
    ]
    measure = HEADLINES[board.headline]
    tells = f"Differences in {measure.heading}, on the same prompts."
    return Table("rivals", TITLE, (*WHO, *_heads(board)), tuple(rows), tells, group=QUALITY)


def group_rivals(board: Board) -> Table:
    """Group by group."""
    measure = HEADLINES[board.headline]
    rows = [
        (*who(row), cells.words(name), *over(part, part.named[row.name], board.rivals))
        for row in board.forecast
        for name, part in board.groups.items()
    ]
    heads = (*WHO, Head("group", "group", number=False), *_heads(board))
    tells = f"Differences in {measure.heading}, on the same prompts of each group."
    return Table("group-rivals", f"{TITLE}, by group", heads, tuple(rows), tells, group=GROUPS)


TITLE = "Against what a router should beat"


def _heads(board: Board) -> list[Head]:
    return [Head(f"over {name}", f"over {name}") for name in board.rivals]
