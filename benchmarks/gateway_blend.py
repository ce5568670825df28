"""A peer blend through the gateway beside the same calls made by a bare client loop, many at once."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bare_loop import BareLoop, open_session
from figures import progress, spread
from gateway_load import Client
from gateway_page import Part, Target
from gateway_plan import Plan
from gateway_sides import OURS, Side, commands
from gateway_times import quantiles
from mock_pool import mock_pool, question, served
from mock_server import LONGEST_S, SHORTEST_S
from orchestration import BARE as LOOP
from orchestration import Ask, Sample, config, names

MEMBERS = 4
START_S = 1.5
"""Clients begin within so long: about as long as a blend takes, so that they are spread evenly."""


async def blends(plan: Plan) -> Part:
    """Blends of four members, 9 calls each. Raises `NotStarted`."""
    with mock_pool(plan.blend_scale) as base_url, tempfile.TemporaryDirectory() as folder:
        made = {**config(base_url, MEMBERS), "limits": {"deadline_s": 120}}
        ours = next(one for one in commands(0, Path(folder), made) if one.name == OURS)
        with ours.started() as side:
            async with open_session() as session:
                asks: dict[str, Ask] = {OURS: Asking(side).ask, LOOP: BareLoop(session, base_url, names(MEMBERS)).ask}
                samples = {name: Sample(name, MEMBERS, plan.blends) for name in asks}
                for n in range(plan.blend_rounds + 1):
                    for name in asks if n % 2 else reversed(asks):
                        progress(f"blends, {n}/{plan.blend_rounds}, {name}")
                        walls_s = await _round(asks[name], n, plan)
                        calls = served(base_url)
                        if n:  # the first one opens connections
                            for tag, wall_s in sorted(walls_s.items()):  # in pairs with the other side
                                samples[name].add(wall_s, calls[tag])
    return _part(samples[OURS], samples[LOOP], plan)


async def _round(ask: Ask, n: int, plan: Plan) -> dict[str, float]:
    """Seconds of each request, by its tag: as many clients as ask at once, which begin one after the other."""
    walls_s: dict[str, float] = {}

    async def client(place: int) -> None:
        await asyncio.sleep(plan.blend_scale * START_S * place / plan.blends)
        for turn in range(plan.blends_each):
            tag = f"{n}-{place}-{turn}"
            began = time.perf_counter()
            await ask(question(tag))
            walls_s[tag] = time.perf_counter() - began

    await asyncio.gather(*(client(place) for place in range(plan.blends)))
    return walls_s


class Asking:
    """Asks the gateway for blends, over connections that stay open."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._idle: list[Client] = []

    async def ask(self, question: str) -> str:
        """The answer. Raises `RuntimeError`."""
        client = self._idle.pop() if self._idle else Client()
        reply = await client.ask(self._side.port, self._side.request(question, "coterie/default"))
        self._idle.append(client)
        body = bytes(reply.data).partition(b"\r\n\r\n")[2]
        if reply.status != 200:
            raise RuntimeError(f"the gateway answered {reply.status}: {body!r:.500}")
        text: str = json.loads(body)["choices"][0]["message"]["content"]
        return text


def _part(ours: Sample, loop: Sample, plan: Plan) -> Part:
    later = [1000 * (a - b) for a, b in zip(ours.walls_s, loop.walls_s, strict=True)]
    shortest_s, longest_s = SHORTEST_S * plan.blend_scale, LONGEST_S * plan.blend_scale
    words = f"""{plan.blends} clients ask for peer blends by {MEMBERS} members with one text ballot each (9 calls),
    each again once it was answered; they do not begin at the same moment. The members' waits of {shortest_s:g} to
    {longest_s:g} s are drawn from a hash, the same for both sides. The bare loop makes the same calls from the client's
    process: no gateway, no retries, budget or trace. The path is the least that the calls can take: the slowest answer,
    the slowest review, and the final answer."""
    p50, _, p99 = quantiles(later)
    targets = [
        Target("coterie ends later than the bare loop, p50", p50, most=5.0),
        Target("coterie ends later than the bare loop, p99", p99, most=15.0),
    ]
    return Part(f"{plan.blends} blends at once", words, list(_rows(ours, loop, later)), targets)


def _rows(ours: Sample, loop: Sample, later: Sequence[float]) -> Iterator[str]:
    yield "| | n | p50 | p90 | p99 | IQR |"
    yield "|---|---:|---:|---:|---:|---:|"
    rows = {
        f"{OURS}, beyond its path": ours.above_ms,
        f"{LOOP}, beyond its path": loop.above_ms,
        f"{OURS} later than the {LOOP}, pair by pair": later,
    }
    for name, values in rows.items():
        cells = " | ".join(f"{ms:.1f} ms" for ms in (*quantiles(values), spread(values)[2]))
        yield f"| {name} | {len(values)} | {cells} |"
    late = 1000 * statistics.median(loop.mock_s)
    yield f"| the endpoint itself is late by | {len(loop.mock_s)} | {late:.1f} ms | | | |"
