"""The figures of a blending evaluation: time by pool size (1.2), quality against time of every policy (6.1), quality
by N and by K, and quality against cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from coterie.evaluation.blending.header import Measure
from coterie.evaluation.blending.laying import TOGETHER
from coterie.evaluation.blending.measured import Measured, Reading
from coterie.evaluation.blending.panels import Bar, Curve, Entry, Point, Span, Words, bars, cloud, curves, key, series
from coterie.evaluation.blending.rows import KINDS, Kind, Variant
from coterie.evaluation.blending.spending import per_answer
from coterie.evaluation.blending.svg import SHAPES, Drawing, Shape, sheet
from coterie.evaluation.blending.sweeping import LETTERS, Over, Step, Sweep, steps, sweeps
from coterie.evaluation.blending.timing import STAGES
from coterie.evaluation.blending.trading import Trade
from coterie.evaluation.blending.variants import KIND_NAMES, words
from coterie.evaluation.significance import Estimate

POOL = "Pool size and K"

STAGE_COLOURS = ("series0", "series4", "series2")

KIND_SHAPES: Mapping[Kind, Shape] = dict(zip(KINDS, SHAPES, strict=True))


@dataclass(frozen=True)
class Figure:
    """Panels that show one thing."""

    key: str
    """Its name among files and anchors."""
    title: str
    tells: str
    panels: tuple[Drawing, ...]
    group: str = ""
    """The part of a report that it stands in."""

    def file(self) -> str:
        """The figure as an SVG file that needs nothing else."""
        return sheet(self.panels, self.title)


def figures(measured: Measured, traded: Sequence[Trade]) -> Iterator[Figure]:
    """All that there is anything to show in."""
    made = (_time_by_pool(measured), _trade_off(measured, traded), *_quality_by(measured), _quality_by_cost(measured))
    yield from (figure for figure in made if figure.panels)


# ---- time by pool size --------------------------------------------------------------------------


def _time_by_pool(measured: Measured) -> Figure:
    found = {sweep.name: _bars(measured, sweep) for sweep in sweeps(measured, "n")}
    there = {name: drawn for name, drawn in found.items() if len(drawn) > 1}
    stages = [Entry(stage, colour, "square") for stage, colour in zip(STAGES, STAGE_COLOURS, strict=True)]
    most = max((bar.most for drawn in there.values() for bar in drawn), default=0.0)
    panels = [
        bars(Words(name, "N, members in the pool", "seconds a question"), drawn, stages, most)
        for name, drawn in there.items()
    ]
    tells = (
        "The critical path by stage, on the questions answered with every N, of all data sets together; the upright "
        f"line is the total's {measured.level} interval."
    )
    return Figure("time-by-pool", "Time as the pool grows (figure 1.2)", tells, _keyed(panels, stages), POOL)


def _keyed(panels: Sequence[Drawing], entries: Sequence[Entry]) -> tuple[Drawing, ...]:
    """The panels and their key; nothing where there is none of them."""
    return (*panels, key(entries)) if panels else ()


def _bars(measured: Measured, sweep: Sweep) -> list[Bar]:
    return [bar for step in steps(measured, sweep, None, None) if (bar := _bar(step)) is not None]


def _bar(step: Step) -> Bar | None:
    total = Span.of(step.time_s)
    parts = tuple(0.0 if of is None or of.value is None else of.value for of in step.stages_s)
    if total is None or not any(parts):
        return None
    return Bar(str(step.value), parts, total, f"of {total.value:.3g} s")


# ---- quality against time of ranking less ---------------------------------------------------------


def _trade_off(measured: Measured, found: Sequence[Trade]) -> Figure:
    measure = measured.measure
    names = _trade_names(measured, found)
    looks = {policy: series(n) for n, policy in enumerate(dict.fromkeys(trade.variant.policy for trade in found))}
    clouds = []
    for part in measured.parts if measure else ():
        here = [_traded(t, names[t.variant], looks[t.variant.policy]) for t in found if t.part == part]
        points = [point for point in here if point is not None]
        if points and measure:
            said = Words(part or TOGETHER, "ΔT, seconds saved a question", f"ΔQ, {measure.heading} lost")
            clouds.append((said, [FULL, *points]))
    policies = [Entry(words(policy), *look) for policy, look in looks.items()]
    good = "High" if measure and measure.lower_is_better else "Low"
    tells = (
        "What each policy loses in quality (up) and saves in time (right) against full ranking of the same method, "
        f"both by 3.1.4, with {measured.level} intervals. {good} and right is good."
    )
    panels = _clouds(clouds, [Entry(FULL.name, FULL.colour, FULL.shape), *policies], zero=True)
    return Figure("trade-off", "Quality lost against time saved (figure 6.1)", tells, panels, "Ranking less")


FULL = Point("full ranking", Span.exact(0), Span.exact(0), "ink", "circle", "full ranking: 0 by definition")


def _clouds(
    clouds: Sequence[tuple[Words, Sequence[Point]]], entries: Sequence[Entry], *, zero: bool = False, log: bool = False
) -> tuple[Drawing, ...]:
    """Points under their names where all have room for them, else under numbers that the key explains."""
    named = [cloud(said, points, [p.name for p in points], zero=zero, log=log) for said, points in clouds]
    if not any(left_out for _, left_out in named):
        return _keyed([drawing for drawing, _ in named], entries)
    each = {point.name: point for _, points in clouds for point in points}
    numbers = {name: str(n) for n, name in enumerate(each, 1)}
    drawn = [cloud(said, points, [numbers[p.name] for p in points], zero=zero, log=log) for said, points in clouds]
    names = [Entry(point.name, point.colour, mark=numbers[point.name]) for point in each.values()]
    return _keyed([drawing for drawing, _ in drawn], [*entries, *names])


def _trade_names(measured: Measured, found: Sequence[Trade]) -> dict[Variant, str]:
    """The policy's name where that is enough."""
    variants = list(dict.fromkeys(trade.variant for trade in found))
    policies = [words(variant.policy) for variant in variants]
    if len(set(policies)) == len(policies):
        return dict(zip(variants, policies, strict=True))
    return {variant: measured.names[variant] for variant in variants}


def _traded(trade: Trade, name: str, look: tuple[str, Shape]) -> Point | None:
    if trade.measure is None:
        return None
    time, quality = Span.of(trade.delta_time_s), Span.of(trade.delta_quality, _times(trade.measure))
    if time is None or quality is None:
        return None
    says = f"{name}: {quality.value:+.3g} lost, {time.value:+.3g} s saved"
    return Point(name, time, quality, *look, says)


# ---- quality by N and K ---------------------------------------------------------------------------


def _quality_by(measured: Measured) -> Iterator[Figure]:
    measure = measured.measure
    if measure is None:
        return
    overs: tuple[tuple[Over, str], ...] = (("n", "N, members in the pool"), ("top_k", "K, candidates fused"))
    for over, x in overs:
        found = sweeps(measured, over)
        drawn = {part: _curves(measured, found, measure, part) for part in measured.datasets}
        panels = [curves(Words(part, x, measure.heading), of) for part, of in drawn.items() if of]
        entries = list(dict.fromkeys(curve.entry for of in drawn.values() for curve in of))
        tells = (
            f"Means by conversation with {measured.level} intervals, on the questions answered with every "
            f"{LETTERS[over]}. Whole lines: full ranking; dashed: a policy that ranks less."
        )
        title = f"{measure.heading} by {LETTERS[over]}, with and without ranking"
        yield Figure(f"quality-by-{LETTERS[over].lower()}", title, tells, _keyed(panels, entries), POOL)


def _curves(measured: Measured, found: Sequence[Sweep], measure: Measure, part: str) -> list[Curve]:
    drawn = []
    for n, sweep in enumerate(found):
        colour, shape = series(n)
        points = tuple(
            (float(step.value), quality, f"{sweep.name}, {step.value}: {_said(step.quality, measure)}")
            for step in steps(measured, sweep, measure, part)
            if (quality := Span.of(step.quality, _times(measure))) is not None
        )
        if len(points) > 1:
            drawn.append(Curve(Entry(sweep.name, colour, shape), points, dashed=not sweep.ranks))
    return drawn


# ---- quality against cost -------------------------------------------------------------------------


COSTS: Mapping[str, tuple[Reading, float]] = {
    "USD for 1000 answered questions": (attrgetter("cost_usd"), 1000.0),
    "output tokens an answered question": (attrgetter("output_tokens"), 1.0),
    "seconds an answered question": (attrgetter("time_s"), 1.0),
}
"""What answers take; the first of which something is known of every method stands for it."""


def _quality_by_cost(measured: Measured) -> Figure:
    measure = measured.measure
    clouds = [_priced(measured, measure, part) for part in measured.datasets] if measure else []
    there = [(said, points) for said, points in clouds if len(points) > 1]
    kinds = [kind for kind in KINDS if any(point.colour == kind for _, points in there for point in points)]
    less = ", low where less is better" if measure and measure.lower_is_better else ""
    tells = (
        "Every method with the quality of its answers and what they took. High and left is good"
        f"{less}; upright lines are {measured.level} intervals."
    )
    panels = _clouds(there, [Entry(KIND_NAMES[kind], kind, KIND_SHAPES[kind]) for kind in kinds], log=True)
    return Figure("quality-by-cost", "Quality against cost", tells, panels, "Cost")


def _priced(measured: Measured, measure: Measure, part: str) -> tuple[Words, list[Point]]:
    """The methods of a data set by quality and cost."""
    qualities = {v: measured.by_conversation(measured.quality(v, measure), part) for v in measured.main}
    there = [v for v, found in qualities.items() if found is not None]
    priced = [(what, _costs(measured, there, part, *of)) for what, of in COSTS.items()]
    what, costs = next((of for of in priced if len(of[1]) == len(there)), max(priced, key=lambda of: len(of[1])))
    points = [
        _point(measured, variant, cost, Span.of(qualities[variant], _times(measure)), what)
        for variant, cost in costs.items()
    ]
    return Words(part, what, measure.heading), [point for point in points if point is not None]


def _costs(
    measured: Measured, variants: Sequence[Variant], part: str, reading: Reading, times: float
) -> dict[Variant, float]:
    found = {variant: per_answer(measured.rows(variant, part), reading) for variant in variants}
    return {variant: times * cost for variant, cost in found.items() if cost is not None}


def _point(measured: Measured, variant: Variant, cost: float, quality: Span | None, what: str) -> Point | None:
    if quality is None:
        return None
    name = measured.names[variant]
    says = f"{name}: {quality.value:.4g} for {cost:.3g} {what}"
    return Point(name, Span.exact(cost), quality, variant.kind, KIND_SHAPES[variant.kind], says)


def _times(measure: Measure) -> float:
    """What a metric's values are shown times."""
    return 100.0 if measure.percent else 1.0


def _said(found: Estimate | None, measure: Measure) -> str:
    return "" if found is None or found.value is None else measure.text(found.value)
