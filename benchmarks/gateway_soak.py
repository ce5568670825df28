"""A hundred thousand requests of all kinds, and the memory that the gateway holds meanwhile.

Plain answers, streams, peer blends, clients that hang up half-way and endpoints that make faults, drawn with a fixed
seed. What each must be answered with is known, so an answer of another kind is counted as wrong.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import Any

from figures import progress
from gateway_load import END_OF_CHUNKS, Broken, Client, Reply
from gateway_page import Part, Target
from gateway_plan import Plan
from gateway_sides import OURS, Side, commands, upstream
from gateway_upstream import FAULTS
from mock_pool import mock_pool, question, served
from orchestration import config as blend_config

AT_ONCE = 32
SHARES = {"plain": 0.80, "stream": 0.08, "blend": 0.02, "hang up": 0.05, "fault": 0.05}
"""How much of the requests is of each kind."""

WAITS = 0.02
"""The blends' members wait so many times the usual 0.2 to 0.8 s."""

WARM = 0.1
"""So much of the requests comes before memory is compared with."""

MOST_GROWTH = 0.05
SAMPLE_S = 0.5

FAULT_STATUS = {429, 502, 503}
"""What a client is answered whose only endpoint makes faults; one that keeps making them is left alone for a while."""


@dataclass
class Soak:
    """How far it has come."""

    side: Side
    requests: int
    done: Counter[str] = field(default_factory=Counter)
    """Requests that ended as they should, by kind."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Those that did not, by kind and how they ended."""
    sizes: list[tuple[int, float]] = field(default_factory=list)
    """Requests so far, and MiB."""

    @property
    def ended(self) -> int:
        return self.done.total() + self.wrong.total()

    async def ask(self, kinds: Iterator[str]) -> None:
        """Ask until there is nothing left to ask."""
        client = Client()
        for kind in kinds:
            try:
                how = await self._one(kind, client)
            except (Broken, OSError) as error:
                how = type(error).__name__
            if how:
                self.wrong[f"{kind}: {how}"] += 1
            else:
                self.done[kind] += 1

    async def _one(self, kind: str, client: Client) -> str:
        """How a request of that kind ended, where that is not as it should."""
        port, tag = self.side.port, str(self.ended)
        match kind:
            case "plain":
                return _unless_200(await client.ask(port, self.side.request(question(tag))))
            case "stream":
                return _stream_wrong(await client.ask(port, self.side.request(question(tag), "short", stream=True)))
            case "blend":
                return _unless_200(await client.ask(port, self.side.request(question(tag), "coterie/blend")))
            case "hang up":
                return await self._hung_up(client, tag)
            case _:
                name = random.choice([*FAULTS]).decode()
                status = (await client.ask(port, self.side.request(question(tag), name))).status
                return "" if status in FAULT_STATUS else f"{name} {status}"

    async def _hung_up(self, client: Client, tag: str) -> str:
        """Ask for a stream or for a blend, and hang up before it can be there."""
        more: dict[str, Any] = random.choice([{"model": "mock", "stream": True}, {"model": "coterie/blend"}])
        asking = asyncio.ensure_future(client.ask(self.side.port, self.side.request(question(tag), **more)))
        await asyncio.sleep(random.uniform(0.001, 0.01))
        client.close()
        with suppress(Broken, OSError):
            await asking
        return ""

    async def watch(self, base_url: str) -> None:
        """Note memory until cancelled, and keep the mock's log of calls short."""
        loop = asyncio.get_running_loop()
        while True:
            self.sizes.append((self.ended, self.side.rss_mib))
            progress(f"soak, {self.ended:,}/{self.requests:,}, {self.sizes[-1][1]:.1f} MiB")
            await loop.run_in_executor(None, served, base_url)
            await asyncio.sleep(SAMPLE_S)


async def soak(plan: Plan) -> Part:
    """Ask `plan.soak_requests` times, and report what came of it. Raises `NotStarted`."""
    random.seed(6)
    kinds = iter(random.choices([*SHARES], [*SHARES.values()], k=plan.soak_requests))
    with tempfile.TemporaryDirectory() as folder, upstream() as direct, mock_pool(WAITS) as base_url:
        ours = next(one for one in commands(direct.port, Path(folder), _more(direct, base_url)) if one.name == OURS)
        with ours.started() as side:
            run = Soak(side, plan.soak_requests)
            began = time.perf_counter()
            watching = asyncio.ensure_future(run.watch(base_url))
            await asyncio.gather(*(run.ask(kinds) for _ in range(AT_ONCE)))
            took_s = time.perf_counter() - began
            watching.cancel()
            run.sizes.append((run.ended, side.rss_mib))
    return _part(run, took_s)


def _more(direct: Side, base_url: str) -> dict[str, Mapping[str, Any]]:
    """What the gateway serves beside the plain member: short streams, blends, and members that make faults."""
    pool = blend_config(base_url, 4)
    at = {"engine": "openai", "base_url": f"http://127.0.0.1:{direct.port}/v1", "retries": 0}
    faulty = {name.decode(): {**at, "model": name.decode()} for name in FAULTS}
    members = {**pool["members"], **faulty, "short": {**at, "model": "chunks-8"}}
    return {"members": members, "methods": {"blend": pool["methods"]["default"]}}


def _unless_200(reply: Reply) -> str:
    return "" if reply.status == 200 else str(reply.status)


def _stream_wrong(reply: Reply) -> str:
    if reply.status != 200:
        return str(reply.status)
    return "" if reply.data.endswith(END_OF_CHUNKS) and b"data: [DONE]" in reply.data else "no end"


def _part(run: Soak, took_s: float) -> Part:
    warm = [(n, mib) for n, mib in run.sizes if n >= WARM * run.requests]
    slope, _ = linear_regression(*zip(*warm, strict=True)) if len(warm) > 1 else (0.0, 0.0)
    first, last = warm[0][1], warm[-1][1]
    words = f"""{run.ended:,} requests, {AT_ONCE} at once, in {took_s:.0f} s: {_shares()}. Memory is what the gateway's
    process holds (RSS), noted every {SAMPLE_S:g} s. It is compared with what it was after the first
    {100 * WARM:.0f} % of the requests."""
    rows = ["| requests | memory |", "|---:|---:|", *_size_rows(run)]
    rows += ["", "| kind | ended as it should |", "|---|---:|", *(f"| {k} | {n:,} |" for k, n in run.done.items())]
    rows += ["", f"Slope: {1000 * slope:+.3f} MiB a thousand requests. {_wrong(run)}"]
    targets = [
        Target("memory grows by", 100 * (last / first - 1), most=100 * MOST_GROWTH, unit="%"),
        Target("requests that ended otherwise", run.wrong.total(), most=0, unit=""),
    ]
    return Part("Soak", words, rows, targets)


def _shares() -> str:
    return ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in SHARES.items())


def _size_rows(run: Soak) -> Iterator[str]:
    for n in range(11):
        at = n * run.requests / 10
        requests, mib = min(run.sizes, key=lambda sample: abs(sample[0] - at))
        yield f"| {requests:,} | {mib:.1f} MiB |"


def _wrong(run: Soak) -> str:
    if not run.wrong:
        return "Every request ended as it should."
    return "Ended otherwise: " + ", ".join(f"{how} ({n})" for how, n in run.wrong.most_common(10)) + "."
