"""The trade-off of ranking less ("Efficient Blending", 3.1.4): what a policy loses in quality and saves in time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from coterie.errors import ConfigError
from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.header import Measure
from coterie.evaluation.blending.laying import few, long
from coterie.evaluation.blending.measured import Column, Measured
from coterie.evaluation.blending.rows import Variant
from coterie.evaluation.blending.tables import Head, Table
from coterie.evaluation.blending.timing import reduced
from coterie.evaluation.significance import Estimate
from coterie.policies import Predictable, Share, delta_quality, delta_time_s, mean_quality, speed_up

TELLS = (
    "Full ranking (r = 1) less the policy (r = 0 where it does not rank): means over the questions that both answered "
    "(3.1.4), with {level} intervals over conversations. ΔQ above 0 is quality lost{less}; ΔT above 0 is time saved. "
    "expected speed-up: the policy's closed form, with the measured seconds of turns of each kind."
)


@dataclass(frozen=True)
class Trade:
    """What a variant's policy trades, against the same variant with full ranking. Differences are r = 1 less r = 0."""

    variant: Variant
    full: Variant
    part: str | None
    measure: Measure | None
    quality_full: float | None
    quality: float | None
    """Q(K, r) of both, each on all that it answered."""
    delta_quality: Estimate | None
    delta_time_s: Estimate | None
    speed_up: Estimate | None
    expected: float | None
    """The speed-up by the policy's closed form."""
    ranked: float
    """Share of the turns that were ranked."""

    @property
    def loses(self) -> str:
        """Whether quality is lost: ``yes``, ``no`` where it is won, or ``cannot tell``."""
        found = self.delta_quality
        if found is None or found.low is None or found.high is None or self.measure is None:
            return "cannot tell"
        ends = sorted(map(self.measure.better, (found.low, found.high)))
        return "yes" if ends[0] > 0 else "no" if ends[1] < 0 else "cannot tell"


def trades(measured: Measured, measure: Measure | None, parts: Sequence[str | None]) -> Iterator[Trade]:
    """Every policy on every part of which anything is known."""
    for variant, full in reduced(measured):
        for part in parts:
            if measured.rows(variant, part) and measured.rows(full, part):
                yield _trade(measured, variant, full, measure, part)


def _trade(measured: Measured, variant: Variant, full: Variant, measure: Measure | None, part: str | None) -> Trade:
    both = (
        [measured.quality(of, measure) for of in (full, variant)] if measure else [(None,) * len(measured.places)] * 2
    )
    times = [measured.times(of) for of in (full, variant)]
    qualities = [measured.within(column, part) for column in both]
    seconds = [measured.within(column, part) for column in times]
    rows = measured.rows(variant, part)
    return Trade(
        variant,
        full,
        part,
        measure,
        mean_quality(qualities[0]),
        mean_quality(qualities[1]),
        _between(measured, both, part, delta_quality(*qualities)),
        _between(measured, times, part, delta_time_s(*seconds)),
        measured.quotient(times[0], times[1], part),
        expected_speed_up(measured, variant, full, part),
        sum(row.ranked for row in rows) / len(rows),
    )


def _between(measured: Measured, columns: Sequence[Column], part: str | None, value: float | None) -> Estimate | None:
    """The value with the interval of its difference."""
    gain = measured.gain(columns[0], columns[1], part, by_question=True)
    return None if gain is None or value is None else replace(gain.estimate, value=value)


# ---- the closed form --------------------------------------------------------------------------


def expected_speed_up(measured: Measured, variant: Variant, full: Variant, part: str | None) -> float | None:
    """`policies.speed_up` for the conversations of a part; ``None`` where a kind of turn was not measured."""
    policy = _policy(measured, variant.policy)
    if policy is None:
        return None
    times = _times_by_kind(measured, (full, variant), part)
    try:
        return speed_up(_shares(measured, policy, variant, part), variant.n, lambda n, ranks: times[n, ranks])
    except (KeyError, ZeroDivisionError):
        return None


def _policy(measured: Measured, name: str) -> Predictable | None:
    from coterie.specs import build

    try:
        policy = build("policies", measured.header.policies.get(name, name))
    except ConfigError:
        return None
    return policy if hasattr(policy, "shares") else None


def _shares(measured: Measured, policy: Predictable, variant: Variant, part: str | None) -> list[Share]:
    """The kinds of turns of all conversations, each weighed by its turns. Kinds without a turn are left out."""
    turns = Counter(place[:2] for place in measured.places_of(part))
    lengths = Counter(turns.values())
    total = sum(turns.values())
    return [
        replace(kind, share=kind.share * q * many / total)
        for q, many in lengths.items()
        for kind in policy.shares(variant.n, variant.top_k or 1, q)
        if kind.share > 0
    ]


def _times_by_kind(measured: Measured, variants: Sequence[Variant], part: str | None) -> dict[tuple[int, bool], float]:
    """Mean seconds of the turns on which so many wrote and were ranked, or were not."""
    found: dict[tuple[int, bool], list[float]] = {}
    for variant in variants:
        for row in measured.rows(variant, part):
            if not row.failed and row.time_s is not None:
                writing = row.n if row.asked is None else row.asked
                found.setdefault((writing, row.ranked), []).append(row.time_s)
    return {kind: math.fsum(times) / len(times) for kind, times in found.items()}


# ---- the table ----------------------------------------------------------------------------------


def trade_table(measured: Measured, traded: Sequence[Trade]) -> Table:
    """What every policy trades, on every data set and on all together."""
    measure = measured.measure
    found = {(trade.variant, trade.part): trade for trade in traded}

    def fill(variant: Variant, part: str | None) -> Sequence[Cell] | None:
        trade = found.get((variant, part))
        return None if trade is None else tuple(_cells(trade))

    name = measure.heading if measure else "quality"
    heads = (
        Head("turns ranked", "turns_ranked"),
        Head(f"{name}, full ranking", "quality_full"),
        Head(f"{name}, policy", "quality"),
        Head("ΔQ", "delta_quality"),
        Head("quality lost?", "loses", number=False),
        Head("ΔT, s", "delta_time_s"),
        Head("speed-up", "speed_up"),
        Head("expected", "expected_speed_up"),
    )
    variants = list(dict.fromkeys(variant for variant, _ in found))
    laid, rows = long(measured, variants, heads, fill, measured.parts)
    less = ", below 0 where less is better" if measure and measure.lower_is_better else ""
    title = "Quality against time of ranking less (3.1.4)"
    return Table(
        "trade-off",
        title,
        laid,
        rows,
        TELLS.format(less=less, level=measured.level),
        tuple(few(measured)),
        group="Ranking less",
    )


def _cells(trade: Trade) -> Iterator[Cell]:
    yield cells.share(trade.ranked)
    for value in (trade.quality_full, trade.quality):
        yield Cell() if value is None or trade.measure is None else Cell(trade.measure.text(value), value)
    if trade.delta_quality is None or trade.measure is None:
        yield from (Cell(), Cell())
    else:
        yield cells.difference(trade.delta_quality, trade.measure)
        yield cells.words(trade.loses)
    yield cells.gain_s(trade.delta_time_s)
    yield cells.times(trade.speed_up)
    yield Cell() if trade.expected is None else Cell(f"{trade.expected:.2f}×", trade.expected)
