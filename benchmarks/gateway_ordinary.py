"""What is reached by a client as programs have one: aiohttp, JSON written and read, on the same cores as the rest."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

import aiohttp

from figures import progress, spread
from gateway_page import Part, Target
from gateway_plan import Plan
from gateway_rates import SLOWER_THAN_BARE
from gateway_sides import BARE, KEY, OURS, Side
from gateway_times import QUESTION

ASKED = {"model": "mock", "messages": [{"role": "user", "content": QUESTION}]}
HEADERS = {"Authorization": f"Bearer {KEY}"}


async def ordinary(sides: Sequence[Side], plan: Plan) -> Part:
    """As many answers as such a client gets."""
    rates: dict[str, list[float]] = {side.name: [] for side in sides}
    for n in range(plan.load_rounds):
        for side in sides if n % 2 else reversed(sides):
            progress(f"an ordinary client, {n + 1}/{plan.load_rounds}, {side.name}")
            rates[side.name].append(await _rate(side, plan))
    words = f"""The same {plan.at_once} at once by aiohttp's client in one process, which writes and reads JSON: it
    takes processor time from whom it asks, as programs on one machine do, and so sides lie nearer to each other."""
    rows = ["| side | n | answers a second: p50 | min | max |", "|---|---:|---:|---:|---:|"]
    for name, found in rates.items():
        shown = " | ".join(f"{rate:,.0f}" for rate in (spread(found)[0], min(found), max(found)))
        rows.append(f"| {name} | {len(found)} | {shown} |")
    return Part(f"{plan.at_once} requests at once by an ordinary client", words, rows, _targets(rates))


async def _rate(side: Side, plan: Plan) -> float:
    """Answers a second. Raises `RuntimeError` for one that is none."""
    answered, url = 0, f"http://127.0.0.1:{side.port}/v1/chat/completions"
    ends = time.perf_counter() + plan.load_s

    async def ask(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        while time.perf_counter() < ends:
            async with session.post(url, json=ASKED, headers=HEADERS) as response:
                said = await response.json()
            if not said.get("choices"):
                raise RuntimeError(f"{side.name} answered {response.status}")
            answered += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(ask(session) for _ in range(plan.at_once)))
        return answered / (time.perf_counter() - began)


def _targets(rates: dict[str, list[float]]) -> list[Target]:
    if not {OURS, BARE} <= rates.keys():
        return []
    ours, bare = (statistics.median(rates[name]) for name in (OURS, BARE))
    return [
        Target("coterie answers a second, p50", ours, least=1000, unit="/s"),
        Target("the bare forwarder is faster", bare / ours, most=SLOWER_THAN_BARE, unit="times"),
    ]
