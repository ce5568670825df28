"""A comparison of routers as a report: the page, its tables and figures as `blending` writes them, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.evaluation.blending.header import Header
from coterie.evaluation.blending.report import Report, apart
from coterie.evaluation.blending.report import write as write_page
from coterie.evaluation.routing.entries import HEADLINES, PARTS
from coterie.evaluation.routing.figures import figures
from coterie.evaluation.routing.tables import tables
from coterie.evaluation.routing.telling import told
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.evaluation.routing.board import Board, Row
    from coterie.evaluation.routing.forecasts import Timing
    from coterie.evaluation.routing.learned import Learned

RESULTS = "results.json"

CURVE_POINTS = 200
"""Of a curve that is kept as JSON."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A board, and what else is to be told of it."""

    board: Board
    encoder: tuple[str, Timing] | None = None
    learned: Learned | None = None
    notes: tuple[str, ...] = ()


def report(comparison: Comparison, header: Header) -> Report:
    """The report as a value."""
    board = comparison.board
    return Report(
        header,
        HEADLINES[board.headline],
        told(board, comparison.notes),
        apart(tables(board, comparison.encoder, comparison.learned)),
        tuple(figures(board, comparison.learned)),
        groups=PARTS,
    )


def write(comparison: Comparison, header: Header, folder: Path) -> list[Path]:
    """Write ``report.html``, ``report.md``, every table and figure, and ``results.json``. Returns the files.

    Raises `ConfigError` where the folder cannot be written to.
    """
    made = report(comparison, header)
    text = json.dumps(as_json(comparison, made), ensure_ascii=False, indent=2, default=str)
    files = write_page(made, folder)
    results = folder / RESULTS
    try:
        results.write_text(f"{text}\n", encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"cannot write the report to {str(folder)!r}: {error.strerror}") from error
    return [*files, results]


def as_json(comparison: Comparison, made: Report) -> dict[str, Json]:
    """Everything that was found, with intervals, for programs."""
    board = comparison.board
    pair = board.ground.pair
    learned = comparison.learned
    return {
        "title": made.header.title,
        "headline": board.headline,
        "members": list(board.ground.outcomes.members),
        "pair": None if pair is None else asdict(pair),
        "prompts": len(board.ground),
        "bootstrap": asdict(board.ground.bootstrap),
        "told": _told(made),
        "rows": [_row(board, row) for row in board.rows],
        "groups": {
            name: {
                "prompts": len(part.ground),
                "rows": [{**_figures(row), "against": _against(part, row)} for row in part.rows],
            }
            for name, part in board.groups.items()
        },
        "encoder": None if comparison.encoder is None else {"name": comparison.encoder[0], **_timing(comparison)},
        "learned": None
        if learned is None
        else {name: {str(size): asdict(of) for size, of in found.items()} for name, found in learned.figures.items()},
        "header": {
            "started_at": made.header.started_at,
            "command": made.header.command,
            "hardware": made.header.hardware,
            "versions": dict(made.header.versions),
            "settings": dict(made.header.settings),
            "seed": made.header.seed,
        },
    }


def _told(made: Report) -> dict[str, Json]:
    said = made.told
    return {
        "run": list(said.run),
        "verdict": said.verdict,
        "findings": list(said.findings),
        "warnings": list(said.warnings),
    }


def _timing(comparison: Comparison) -> dict[str, Json]:
    return asdict(comparison.encoder[1]) if comparison.encoder else {}


def _row(board: Board, row: Row) -> dict[str, Json]:
    timing = row.forecasts.timing if row.forecasts is not None else None
    return {
        **_figures(row),
        "against": _against(board, row),
        "as_routellm": None if row.pair is None else row.pair.as_routellm and _finite(row.pair.as_routellm),
        "threshold": None
        if row.pair is None or row.pair.chosen is None
        else [_finite(asdict(of)) for of in row.pair.chosen],
        "timing": None if timing is None else asdict(timing),
        "curve": None if row.curve is None else _curve(*row.curve),
    }


def _against(board: Board, row: Row) -> dict[str, Json]:
    found = [board.against(row, name) for name in board.rivals] if row.forecasts is not None else []
    return {of.rival: {**asdict(of.difference), "beats": of.word} for of in found if of is not None}


def _figures(row: Row) -> dict[str, Json]:
    return {
        "name": row.name,
        "kind": row.kind,
        "figures": {key: asdict(figure.estimate) for key, figure in row.figures.items()},
    }


def _finite(values: Mapping[str, float]) -> dict[str, Json]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _curve(cost: NDArray[np.float64], quality: NDArray[np.float64]) -> dict[str, Json]:
    places: Sequence[int] = range(len(cost))
    if len(cost) > CURVE_POINTS:
        places = sorted({round(n * (len(cost) - 1) / (CURVE_POINTS - 1)) for n in range(CURVE_POINTS)})
    return {"cost": [float(cost[n]) for n in places], "quality": [float(quality[n]) for n in places]}
