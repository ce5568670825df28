"""The figures of a comparison of routers: quality over cost, what learning takes, and expected against observed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coterie.evaluation.blending.figures import Figure
from coterie.evaluation.blending.panels import Curve, Entry, Point, Span, Words, curves, key, plot, series
from coterie.evaluation.blending.svg import Drawing
from coterie.evaluation.routing.board import MIX, ORACLE
from coterie.evaluation.routing.entries import HEADLINES, HONESTY, LEARNING, QUALITY
from coterie.evaluation.routing.learned import PAPERS_LABELS
from coterie.evaluation.routing.reliability import reliability
from coterie.prospects import Scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.evaluation.routing.board import Board, Row
    from coterie.evaluation.routing.learned import Learned

    Array = NDArray[np.float64]

MOST_LINES = 5
"""Routers and baselines whose curves are drawn, as many as there are colours that people tell apart."""

MOST_POINTS = 80
"""Of a curve that is drawn: more than there are places on a panel."""


def figures(board: Board, learned: Learned | None = None) -> Iterator[Figure]:
    """All that there is anything to show in."""
    made = [_tradeoff(board), _honesty(board)]
    if learned is not None:
        made.append(_learning(board, learned))
    yield from (figure for figure in made if figure.panels)


def _tradeoff(board: Board) -> Figure:
    """Quality over cost, of all prompts and of the largest groups."""
    drawn = _drawn(board)
    looks = {name: series(n)[0] for n, name in enumerate(drawn)} | _LOOKS
    boards = {"all prompts": board, **dict(list(board.groups.items())[:3])}
    panels = [_panel(title, of, looks) for title, of in boards.items() if _lines(of, looks)]
    entries = [Entry(name, colour, "square") for name, colour in looks.items() if name in board.named]
    entries.append(Entry("single members", "single"))
    pair = board.ground.pair is not None
    tells = (
        f"Mean score over {'the share of calls to the strong member' if pair else 'the mean cost of a call'}, at every "
        "decision of a router; between two decisions lies what mixing them gives. Whole lines: routers and the oracle; "
        "dashed: baselines and the random mix. High and left is good."
    )
    title = "Quality over calls" if pair else "Quality over cost"
    return Figure("quality-over-cost", title, tells, (*panels, key(entries)) if panels else (), QUALITY)


_LOOKS = {ORACLE: "ink", MIX: "soft"}


def _drawn(board: Board) -> list[str]:
    """Whose curves are drawn: the best routers and baselines by the headline figure."""
    there = [row for row in board.forecast if row.curve is not None and board.headline in row.figures]
    there.sort(key=lambda row: -row.figures[board.headline].value)
    return [row.name for row in there[:MOST_LINES]]


def _panel(title: str, board: Board, looks: dict[str, str]) -> Drawing:
    pair = board.ground.pair is not None
    words = Words(
        f"{title} (n={len(board.ground)})",
        "% of calls to the strong member" if pair else "USD for 1000 queries",
        "mean score",
    )
    times = 100.0 if pair else 1000.0
    singles = [row for row in board.rows if row.kind == "single" and row.curve is not None]
    points = [_point(row, times) for row in singles]
    return plot(words, _lines(board, looks), points, [point.name for point in points])[0]


def _lines(board: Board, looks: dict[str, str]) -> list[Curve]:
    times = 100.0 if board.ground.pair is not None else 1000.0
    rows = [board.named[name] for name in looks if name in board.named]
    return [_curve(row, looks[row.name], times) for row in rows if row.curve is not None and len(row.curve[0]) > 1]


def _curve(row: Row, colour: str, times: float) -> Curve:
    assert row.curve is not None  # noqa: S101 - asked for those that have one
    import numpy as np

    x, y = row.curve
    places = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().astype(int))
    points = tuple((times * float(x[n]), Span.exact(float(y[n])), "") for n in places)
    return Curve(Entry(row.name, colour), points, dashed=row.kind in ("baseline", "chance"))


def _point(row: Row, times: float) -> Point:
    assert row.curve is not None  # noqa: S101 - asked for those that have one
    x, y = times * float(row.curve[0][0]), float(row.curve[1][0])
    return Point(row.name, Span.exact(x), Span.exact(y), "single", "circle", f"{row.name}: {y:.4f} at {x:.3g}")


def _learning(board: Board, learned: Learned) -> Figure:
    measure = HEADLINES[board.headline]
    found = []
    for n, (name, of) in enumerate(learned.figures.items()):
        colour, shape = series(n)
        spans = [(float(size), Span.of(estimate), estimate) for size, estimate in sorted(of.items())]
        points = tuple(
            (size, span, f"{name}, {size:.0f} prompts: {span.value:.4f}") for size, span, _ in spans if span is not None
        )
        if len(points) > 1:
            found.append(Curve(Entry(name, colour, shape), points, dashed=board.named[name].kind == "baseline"))
    if not found:
        return Figure("learning", "", "", (), LEARNING)
    within = min(learned.sizes) <= PAPERS_LABELS <= max(learned.sizes)
    words = Words("learned from", "prompts learned from", measure.heading)
    panel = curves(words, found, float(PAPERS_LABELS) if within else None)
    tells = (
        f"The {measure.heading} by the number of prompts learned from, every prompt forecast by a router that has not "
        f"seen it; upright lines are 95 % intervals. The dashed line stands at {PAPERS_LABELS}, the number of gold "
        "labels that RouteLLM's routers had."
    )
    keys = key([curve.entry for curve in found])
    return Figure("learning", "What learning takes", tells, (panel, keys), LEARNING)


def _honesty(board: Board) -> Figure:
    """Expected against observed scores, of the routers whose qualities are scores."""
    drawn = [board.named[name] for name in _drawn(board)]
    there = [row for row in drawn if row.forecasts is not None and row.forecasts.scale is Scale.SCORE]
    found: list[Curve] = []
    for n, row in enumerate(there):
        assert row.forecasts is not None  # noqa: S101 - as asked above
        bins = reliability(row.forecasts.quality, board.ground.scores)
        points = tuple((of.expected, Span.exact(of.observed), "") for of in bins)
        if len(points) > 1:
            found.append(Curve(Entry(row.name, series(n)[0]), points, dashed=row.kind == "baseline"))
    if not found:
        return Figure("calibration", "", "", (), HONESTY)
    ends = sorted(at for curve in found for at, _, _ in curve.points)
    diagonal = Curve(Entry("as expected", "soft"), tuple((at, Span.exact(at), "") for at in (ends[0], ends[-1])))
    panel, _ = plot(Words("all members", "expected score", "observed mean score"), [diagonal, *found])
    keys = key([curve.entry for curve in (diagonal, *found)])
    tells = "The mean of what was observed where about so much was expected, in ten bins of equally many forecasts."
    return Figure("calibration", "Expected against observed scores", tells, (panel, keys), HONESTY)
