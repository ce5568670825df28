"""A comparison of routers in words: what was measured, who beats whom, and what to be wary of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.telling import Told
from coterie.evaluation.routing.entries import HEADLINES, SCORE

if TYPE_CHECKING:
    from coterie.evaluation.routing.board import Against, Board, Row


def told(board: Board, notes: Sequence[str] = ()) -> Told:
    """`notes`: what is to be known of the data and of the forecasts."""
    return Told(tuple(_run(board)), verdict(board), tuple(_findings(board)), (*notes, *_warnings(board)))


def verdict(board: Board) -> str:
    """Whether the best router beats everything that it should."""
    best = board.best_router
    if best is None:
        return "No router was measured, only baselines."
    found = _against(board, best)
    if not found:
        return f"{best.name} is the only one measured, so there is nothing to hold it against."
    won = [against for against in found if against.word == "yes"]
    rest = [against for against in found if against.word != "yes"]
    if not rest:
        return f"{best.name} beats {_listed(won, board)}, by {_measure(board)}."
    if not won:
        return f"No router beats what it should: the best one, {best.name}, {_not_beaten(rest, board)}."
    return f"{best.name} beats {_listed(won, board)}, by {_measure(board)}, but {_not_beaten(rest, board)}."


def sentence(board: Board, row: Row) -> str:
    """What a router beats and what it does not, with every interval."""
    found = _against(board, row)
    value = row.figures.get(board.headline)
    if value is None or not found:
        return f"{row.name}: nothing can be said."
    measure = HEADLINES[board.headline]
    parts = [f"{row.name} reaches {measure.heading} {cells.quality(value.estimate, measure).text}"]
    won = [against for against in found if against.word == "yes"]
    lost = [against for against in found if against.word == "no"]
    level = [against for against in found if against.word == "cannot tell"]
    if won:
        parts.append(f"beats {_listed(won, board)}")
    if level:
        parts.append(f"cannot be told from {_listed(level, board)}")
    if lost:
        parts.append(f"is worse than {_listed(lost, board)}")
    if board.headline == "band":
        parts.extend(_at_any_cost(board, row))
    return "; ".join(parts) + "."


def _at_any_cost(board: Board, row: Row) -> Iterator[str]:
    """Whether the members that it expects most of answer better than the best single one."""
    found = board.against(row, board.best_single, "quality")
    if found is not None:
        said = {"yes": "beats", "no": "is worse than", "cannot tell": "cannot be told from"}[found.word]
        yield f"at any cost it {said} {board.best_single} ({cells.difference(found.difference, SCORE).text})"


# ---- parts --------------------------------------------------------------------------------------


def _run(board: Board) -> Iterator[str]:
    ground = board.ground
    members = ground.outcomes.members
    pair = ground.pair
    who = f"{pair.weak} and {pair.strong}" if pair else f"{len(members)} members ({', '.join(members)})"
    baselines = sum(row.kind == "baseline" for row in board.rows)
    yield (
        f"{_many(len(board.routers), 'router')} and {_many(baselines, 'baseline')} between {who}, on "
        f"{len(ground)} prompts; intervals are of {ground.bootstrap.level:.0%}, by {ground.bootstrap.resamples} "
        "samples of the prompts that all share."
    )
    if pair is None:
        yield f"The best single member on these prompts is {board.best_single}."


def _findings(board: Board) -> Iterator[str]:
    for row in board.routers:
        yield sentence(board, row)
    closed = [(row, row.figures["closed"].estimate) for row in board.routers if "closed" in row.figures]
    for row, found in closed:
        if found.value is not None and row is board.best_router:
            share = f"{found.value:.0%}" if found.value > 0 else "nothing"
            yield f"{row.name} closes {share} of the gap between {board.best_single} and the oracle."


def _warnings(board: Board) -> Iterator[str]:
    ground = board.ground
    if ground.pair is None and ground.costs is None:
        yield ground.unpriced
    elif ground.pair is None and ground.costs is not None:
        yield from ground.costs.notes
    if len(board.routers) > 1:
        yield "The best router was picked on these very prompts, which flatters it a little."
    for row in board.rows:
        if row.forecasts is not None and row.forecasts.note:
            yield f"{row.name}: {row.forecasts.note}"


def _against(board: Board, row: Row) -> list[Against]:
    found = (board.against(row, name) for name in board.rivals)
    return [against for against in found if against is not None]


def _listed(found: Sequence[Against], board: Board) -> str:
    measure = HEADLINES[board.headline]
    return ", ".join(f"{of.rival} ({cells.difference(of.difference, measure).text})" for of in found)


def _not_beaten(found: Sequence[Against], board: Board) -> str:
    worse = [against for against in found if against.word == "no"]
    level = [against for against in found if against.word != "no"]
    parts = []
    if level:
        parts.append(f"does not beat {_listed(level, board)}")
    if worse:
        parts.append(f"is worse than {_listed(worse, board)}")
    return " and ".join(parts)


def _measure(board: Board) -> str:
    return HEADLINES[board.headline].heading


def _many(number: int, one: str) -> str:
    return f"{number} {one if number == 1 else f'{one}s'}"
