"""What a gateway does under load: as many requests as it can take, and as many as come."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from figures import progress, spread
from gateway_load import Arrivals, Broken, Reply, answered, closed_loop
from gateway_page import Part, Target
from gateway_plan import Plan
from gateway_sides import BARE, DIRECT, OURS, Side
from gateway_times import QUESTION, quantiles

SLOWER_THAN_BARE = 1.6
"""So many times as fast the bare forwarder may be."""


@dataclass
class Load:
    """What one side did under load."""

    rates: list[float] = field(default_factory=list)
    """Answers a second, of each round."""
    took_ms: list[float] = field(default_factory=list)
    cpus_ms: list[float] = field(default_factory=list)
    """Processor time of the side an answer, of each round."""
    rss_mib: float = 0.0


async def throughput(sides: Sequence[Side], plan: Plan) -> Part:
    """As many requests as are answered."""
    loads = {side.name: Load() for side in sides}
    for n in range(plan.load_rounds):
        for side in sides if n % 2 else reversed(sides):
            progress(f"load, {n + 1}/{plan.load_rounds}, {side.name}")
            await _loaded(side, loads[side.name], plan)
    words = f"""{plan.at_once} clients ask the question of a kilobyte, each again once it was answered. Processor time
    is the side's own, an answer; memory what its process held at the end."""
    rows = [
        f"| side | n | answers a second: p50 | min | max | {plan.at_once} at once: p50 | p99 | processor | memory |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(_load_row(name, load) for name, load in loads.items()),
    ]
    return Part(f"{plan.at_once} requests at once", words, rows, _load_targets(loads))


async def _loaded(side: Side, load: Load, plan: Plan) -> None:
    before_s = side.cpu_s
    replies = await closed_loop(side.port, side.request(QUESTION), plan.at_once, plan.load_s, warm_s=0.0)
    if len(answered(replies)) < len(replies):
        raise RuntimeError(f"{side.name} answered {len(answered(replies))} of {len(replies)}")
    load.rates.append(len(replies) / plan.load_s)
    if replies:  # a slow side may not have answered anybody yet
        load.cpus_ms.append(1000 * (side.cpu_s - before_s) / len(replies))
    load.took_ms += [1000 * reply.took_s for reply in replies]
    load.rss_mib = side.rss_mib


def _load_row(name: str, load: Load) -> str:
    median, _, _ = spread(load.rates)
    rates = " | ".join(f"{rate:,.0f}" for rate in (median, min(load.rates), max(load.rates)))
    times = " | | "
    if len(load.took_ms) > 1:
        p50, _, p99 = quantiles(load.took_ms)
        times = f"{p50:.1f} ms | {p99:.1f} ms | {statistics.median(load.cpus_ms):.3f} ms"
    return f"| {name} | {len(load.rates)} | {rates} | {times} | {load.rss_mib:.0f} MiB |"


def _load_targets(loads: dict[str, Load]) -> list[Target]:
    if OURS not in loads or BARE not in loads:
        return []
    ours, bare = (statistics.median(loads[name].rates) for name in (OURS, BARE))
    return [
        Target("coterie answers a second, p50", ours, least=1000, unit="/s"),
        Target("the bare forwarder is faster", bare / ours, most=SLOWER_THAN_BARE, unit="times"),
    ]


# ---- at a rate --------------------------------------------------------------------------------


async def open_loop(sides: Sequence[Side], plan: Plan) -> Part:
    """As many requests as come."""
    rows = [
        "| side | requests a second | n | answered | p50 | p90 | p99 | added: p50 | p99 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    fallen: set[str] = set()
    for rate in plan.rates:
        direct: Sequence[float] = ()
        for side in sides:
            progress(f"arrivals, {rate}/s, {side.name}")
            total = int(rate * plan.rate_s)
            if side.name in fallen:
                rows.append(f"| {side.name} | {rate} | | fell behind before | | | | | |")
                continue
            good = answered(await Arrivals(rate, plan.rate_s).at(side.port, side.request(QUESTION)))
            if len(good) < total:
                fallen.add(side.name)
                await recovered(side)
            times = quantiles([1000 * reply.took_s for reply in good]) if len(good) > 1 else ()
            direct = times if side.name == DIRECT else direct
            more = [f"{times[n] - direct[n]:.2f} ms" for n in (0, 2)] if times and side.name != DIRECT else ["", ""]
            shown = [f"{ms:.2f} ms" for ms in times] or ["", "", ""]
            cells = " | ".join([*shown, *more])
            rows.append(f"| {side.name} | {rate} | {total} | {100 * len(good) / total:.1f} % | {cells} |")
    words = f"""Requests set out at a constant rate for {plan.rate_s:g} s, whatever becomes of those before them, and
    are timed from the moment at which they were to set out. A side that leaves requests without an answer for
    {Arrivals.patience_s:g} s after the last one has fallen behind, and is not asked at higher rates."""
    return Part("At a constant rate", words, rows)


async def recovered(side: Side) -> None:
    """Returns once the side answers again: what it still works off must not be the next one's load."""
    for _ in range(10):
        try:
            replies: Sequence[Reply] = await closed_loop(side.port, side.request(QUESTION), 1, 1.0)
        except (Broken, OSError):
            continue
        if len(replies) > 5:
            return
