"""The tables of a comparison of routers between two members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.tables import Head, Table
from coterie.evaluation.routing.advantage import MOST_DROP, SAMPLES
from coterie.evaluation.routing.entries import (
    PGR,
    QUALITY,
    SCORE,
    SHARE,
    WHO,
    ordered,
    percent,
    quality,
    undefined,
    who,
)
from coterie.evaluation.routing.pairs import DROPS
from coterie.evaluation.routing.rival_tables import rivals

if TYPE_CHECKING:
    from coterie.evaluation.routing.board import Board


def of_pair(board: Board) -> Iterator[Table]:
    pair = board.ground.pair
    assert pair is not None  # noqa: S101 - asked for a pair's tables
    heads = (
        *WHO,
        Head("APGR", "apgr"),
        Head("CPT(50 %), % of calls", "cpt50"),
        Head("CPT(80 %), % of calls", "cpt80"),
        Head(f"calls spared at {MOST_DROP:.0%} loss, %", "spared"),
    )
    rows = []
    for row in ordered(board, "apgr"):
        shares = [quality(row, key, SHARE) for key in ("cpt50", "cpt80", "spared")]
        rows.append((*who(row), quality(row, "apgr", PGR), *shares))
    tells = (
        f"Performance gap recovered between {pair.weak} and {pair.strong}, over every threshold, ties in expectation. "
        "CPT: the least share of calls to the strong member that recovers so much of the gap."
    )
    yield Table("routers", "Routers of a pair", heads, tuple(rows), tells, undefined(board), QUALITY)
    yield rivals(board)
    yield _members(board)
    yield _as_routellm(board)
    yield _as_hybrid(board)


def _members(board: Board) -> Table:
    """How often which member is right, where scores are 0 or 1; else their means."""
    import numpy as np

    ground = board.ground
    weak, strong = ground.weak, ground.strong
    both = [
        ("both", (weak > 0) & (strong > 0)),
        ("the weak one alone", (weak > 0) & (strong <= 0)),
        ("the strong one alone", (weak <= 0) & (strong > 0)),
        ("neither", (weak <= 0) & (strong <= 0)),
    ]
    rows = [
        (cells.words(f"mean score, {name}"), cells.quality(ground.samples.mean(of).estimate, SCORE))
        for name, of in (("weak", weak), ("strong", strong), ("oracle", np.maximum(weak, strong)))
    ]
    if set(np.unique(ground.scores)) <= {0.0, 1.0}:
        rows += [(cells.words(f"right: {name}"), cells.count(int(of.sum()))) for name, of in both]
    heads = (Head("members", "members", number=False), Head("value", "value"))
    return Table("members", "The two members", heads, tuple(rows), group=QUALITY, aside=True)


def _as_routellm(board: Board) -> Table:
    heads = (*WHO, *(Head(text, key) for key, text in _ROUTELLM.items()), Head("why not", "why_not", number=False))
    rows = [
        (
            *who(row),
            *(cells.number((row.pair.as_routellm or {}).get(key)) for key in _ROUTELLM),
            cells.words(row.pair.why_not),
        )
        for row in board.rows
        if row.pair is not None
    ]
    tells = (
        "The same router measured as RouteLLM's evaluation code does: eleven thresholds, accuracy in percent, CPT by "
        "interpolation on accuracies in the order of calls. To be held against published numbers."
    )
    return Table("as-routellm", "As RouteLLM computes it", heads, tuple(rows), tells, group=QUALITY, aside=True)


_ROUTELLM = {"apgr": "APGR", "cpt20": "CPT(20 %)", "cpt50": "CPT(50 %)", "cpt80": "CPT(80 %)", "auc": "AUC"}


def _as_hybrid(board: Board) -> Table:
    heads = (
        *WHO,
        *(Head(f"drop at {key.removeprefix('drop')} %, %", key) for key in DROPS),
        Head("advantage of the threshold, %", "advantage"),
        Head("its drop, %", "drop"),
    )
    rows = []
    for row in board.rows:
        if row.pair is None:
            continue
        chosen = row.pair.chosen[1] if row.pair.chosen else None
        drops = [quality(row, key, SHARE) for key in DROPS]
        applied = [percent(chosen.advantage if chosen else None), percent(chosen.drop if chosen else None)]
        rows.append((*who(row), *drops, *applied))
    tells = (
        "Hybrid LLM's measures: the quality lost when 10, 20 and 40 % of calls go to the weak member; and what a "
        f"threshold that loses at most {MOST_DROP:.0%} on {SAMPLES} prompts does on all others."
    )
    return Table("as-hybrid-llm", "Quality lost by cost advantage", heads, tuple(rows), tells, group=QUALITY)
