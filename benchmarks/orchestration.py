"""How far the wall time of a peer-blended answer lies above its critical path.

    python benchmarks/orchestration.py [--quick] [--write]

A mock pool in its own process waits 0.2 to 0.8 s a call, drawn from a hash. The critical path of a
request is what its calls had to wait at least, computed from the mock's draws and not from our trace: a
review waits for the answers that it speaks of and for its reviewer's own, the synthesis for all reviews. The
peer is a bare gather loop that sends the same calls, the reviews once all answers are there; both sides
take turns within the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bare_loop import BareLoop, open_session
from figures import paragraphs, progress, spread
from floors import floor_s, waited_s
from machine import setting
from mock_pool import allow_sockets, mock_pool, question, served
from mock_server import Served

HERE = Path(__file__).parent
REPORT = HERE.parent / "docs" / "benchmarks" / "orchestration.md"
PACKAGES = ("coterie", "aiohttp")
OURS, BARE = "coterie", "bare loop"

Ask = Callable[[str], Awaitable[object]]
"""Answers one question."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    members: tuple[int, ...] = (4, 16, 30)
    singles: int = 12
    """Requests one at a time, on each side."""
    batches: int = 4
    """Batches of `at_once` requests, on each side."""
    at_once: int = 32
    processes: int = 10
    scale: float = 1.0
    """The mock's waits are so many times as long."""


INTRODUCTION = """
Peer blending with one text ballot a member (2N + 1 calls) over a mock pool on loopback, in its own process, whose calls
wait 0.2 to 0.8 s each, drawn from a hash of model, stage and request. Any number of calls wait at once. The critical
path comes from the mock's draws and from whose answers it saw each call read: a review waits for the others' answers
and for its reviewer's own, and the synthesis waits for all reviews.

The peer is the bare loop: the same calls in `asyncio.gather` over aiohttp, without retries, budget, trace or checks. It
reviews once all answers are there, so where the slowest to answer is also the slowest to review it takes longer than
the path, and may take longer than the library; elsewhere it is what such calls cost at least in Python. Both sides take
turns in one run and meet the same waits; a first batch opens the connections and is not counted. The mock wakes a
little late itself; how much of the time above the path that is stands beside it (both in the median). CPU is what the
asking process spent, a request: it depends less on who else uses the machine than wall time does.

Whole processes find their modules compiled, as where the package was installed; a first run of each compiles them and
is not counted. Their CPU is that of start, request and end.
"""

QUICK = Plan(members=(4,), singles=1, batches=1, at_once=4, processes=1, scale=0.1)

TARGETS = {(4, 1): 1.01, (16, 1): 1.015, (30, 1): 1.02, (4, 32): 1.08, (16, 32): 1.2}
"""Highest median ratio to the critical path, by members and requests at once."""
TARGETS_BARE = {(30, 32): 1.15}
"""Highest median ratio to the bare loop."""


@dataclass
class Sample:
    """What one side took, in one setting."""

    side: str
    members: int
    at_once: int
    walls_s: list[float] = field(default_factory=list)
    paths_s: list[float] = field(default_factory=list)
    """The critical path of the request at the same place."""
    mock_s: list[float] = field(default_factory=list)
    """How much the mock itself, being late, added to that path."""
    prompt_bytes: list[int] = field(default_factory=list)
    """Bytes asked with, in all, of the request at the same place."""
    cpus_s: list[float] = field(default_factory=list)
    """CPU time of the asking process a request: of each batch, or of each process."""

    def add(self, wall_s: float, calls: Sequence[Served]) -> None:
        """Take in one request with the calls the mock served for it."""
        path_s, mock_s = critical_path_s(calls, self.members)
        self.walls_s.append(wall_s)
        self.paths_s.append(path_s)
        self.mock_s.append(mock_s)
        self.prompt_bytes.append(sum(call.prompt_bytes for call in calls))

    @property
    def ratios(self) -> list[float]:
        return [wall / path for wall, path in zip(self.walls_s, self.paths_s, strict=True)]

    @property
    def above_ms(self) -> list[float]:
        return [1000 * (wall - path) for wall, path in zip(self.walls_s, self.paths_s, strict=True)]


def critical_path_s(calls: Sequence[Served], members: int) -> tuple[float, float]:
    """The least a request with these calls can take, and what the mock's own lateness added to that.

    Raises where the calls are not those of a full round.
    """
    made = Counter(call.stage for call in calls)
    if made != {"generate": members, "review": members, "fuse": 1}:
        raise RuntimeError(f"a full round of {members} members makes as many answers and reviews, not {dict(made)}")
    drawn_s = floor_s(calls)
    return drawn_s, floor_s(calls, wait=waited_s) - drawn_s


# ---- both sides -------------------------------------------------------------------------------


def names(members: int) -> list[str]:
    return [f"m{n}" for n in range(members)]


def config(base_url: str, members: int) -> dict[str, Any]:
    """The committee: every member answers, reviews once in text, and the first writes the answer."""
    pool = names(members)
    return {
        "members": {m: {"engine": "openai", "base_url": base_url, "model": m, "ballot": "text"} for m in pool},
        "methods": {"default": {"kind": "peer_blend", "members": pool, "top_k": 3, "aggregator": pool[0]}},
        "limits": {"deadline_s": 120},
    }


async def timed(ask: Ask, tags: Sequence[str]) -> list[float]:
    """Seconds that each request took, all sent at once."""

    async def one(tag: str) -> float:
        began = time.perf_counter()
        await ask(question(tag))
        return time.perf_counter() - began

    return await asyncio.gather(*(one(tag) for tag in tags))


async def take_turns(base_url: str, sides: dict[str, Ask], samples: dict[str, Sample], rounds: int) -> None:
    """Add `rounds` batches to each side's sample, turn by turn; both sides get the same waits.

    A first batch is not counted: it opens the connections.
    """
    for n in range(rounds + 1):
        turn = list(sides) if n % 2 else list(reversed(sides))
        for side in turn:
            sample = samples[side]
            tags = [f"{sample.members}-{sample.at_once}-{n}-{i}" for i in range(sample.at_once)]
            progress(f"{sample.members} members, {sample.at_once} at once, {n}/{rounds}, {side}")
            began_s = time.process_time()
            walls_s = await timed(sides[side], tags)
            cpu_s = time.process_time() - began_s
            calls = served(base_url)
            if n == 0:
                continue
            sample.cpus_s.append(cpu_s / len(tags))
            for wall_s, tag in zip(walls_s, tags, strict=True):
                sample.add(wall_s, calls[tag])


async def measure(base_url: str, plan: Plan) -> list[Sample]:
    """Samples of both sides in every setting, within this process."""
    from coterie import Committee

    samples: list[Sample] = []
    for members in plan.members:
        async with Committee.from_config(config(base_url, members)) as committee, open_session() as session:
            bare = BareLoop(session, base_url, names(members))
            sides: dict[str, Ask] = {OURS: committee.aask, BARE: bare.ask}
            for at_once, rounds in ((1, plan.singles), (plan.at_once, plan.batches)):
                pair = {side: Sample(side, members, at_once) for side in sides}
                await take_turns(base_url, sides, pair, rounds)
                samples += pair.values()
    return samples


def measure_processes(base_url: str, plan: Plan, members: int = 4) -> list[Sample]:
    """Samples of both sides as whole processes: start, one request, end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "committee.json")  # JSON is YAML
        path.write_text(json.dumps(config(base_url, members)), encoding="utf-8")
        command = Path(sys.executable).with_name("coterie")
        commands = {
            OURS: [str(command), "ask", "--json", "--config", str(path)],
            BARE: [sys.executable, str(HERE / "bare_loop.py"), "--base-url", base_url, "--members", str(members)],
        }
        samples = {side: Sample(side, members, 1) for side in commands}
        for n in range(plan.processes + 1):
            for side, words in commands.items():
                progress(f"whole processes, {n}/{plan.processes}, {side}")
                wall_s, cpu_s = process_s([*words, question(f"p{n}")], compiled_in(folder))
                calls = served(base_url)[f"p{n}"]
                if n > 0:  # the first one compiles
                    samples[side].add(wall_s, calls)
                    samples[side].cpus_s.append(cpu_s)
    return list(samples.values())


def compiled_in(folder: str) -> dict[str, str]:
    """An environment in which modules are compiled once, as they are where a package is installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder}


def process_s(words: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU time of a process from start to end. Raises where it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{words[0]} ended with status {done.returncode}: {done.stderr}")
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# ---- report -----------------------------------------------------------------------------------


def pairs(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """Ours and the bare loop's, setting by setting."""
    yield from zip(samples[::2], samples[1::2], strict=True)


def ratio_rows(samples: Sequence[Sample]) -> Iterator[str]:
    yield "| members | at once | side | n | wall / path: p50 | p90 | IQR | above | of it the mock | CPU | target |"
    yield "|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for sample in samples:
        median, p90, iqr = spread(sample.ratios)
        above_ms, mock_ms = statistics.median(sample.above_ms), 1000 * statistics.median(sample.mock_s)
        target = TARGETS.get((sample.members, sample.at_once)) if sample.side == OURS else None
        yield (
            f"| {sample.members} | {sample.at_once} | {sample.side} | {len(sample.ratios)} | {median:.4f} | {p90:.4f} "
            f"| {iqr:.4f} | {above_ms:.1f} ms | {mock_ms:.1f} ms | {1000 * statistics.median(sample.cpus_s):.1f} ms "
            f"| {f'<= {target}' if target else ''} |"
        )


def against_rows(samples: Sequence[Sample]) -> Iterator[str]:
    yield "| members | at once | coterie / bare loop, wall: p50 | p90 | IQR | prompt bytes | target |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for ours, bare in pairs(samples):
        median, p90, iqr = spread([a / b for a, b in zip(ours.walls_s, bare.walls_s, strict=True)])
        sizes = sum(ours.prompt_bytes) / sum(bare.prompt_bytes)
        target = TARGETS_BARE.get((ours.members, ours.at_once))
        yield (
            f"| {ours.members} | {ours.at_once} | {median:.4f} | {p90:.4f} | {iqr:.4f} "
            f"| {sizes:.2f} | {f'<= {target}' if target else ''} |"
        )


def process_rows(samples: Sequence[Sample]) -> Iterator[str]:
    yield "| side | n | wall minus critical path: p50 | p90 | IQR | CPU: p50 |"
    yield "|---|---:|---:|---:|---:|---:|"
    for sample in samples:
        median, p90, iqr = spread(sample.above_ms)
        times = (median, p90, iqr, 1000 * statistics.median(sample.cpus_s))
        yield f"| {sample.side} | {len(sample.walls_s)} | {' | '.join(f'{ms:.0f} ms' for ms in times)} |"


def report(samples: Sequence[Sample], processes: Sequence[Sample], command: str) -> str:
    """The whole page."""
    lines = [
        "# Orchestration: wall time over the critical path",
        "",
        *paragraphs(INTRODUCTION),
        *setting(PACKAGES),
        f"- Command: `{command}`",
        "",
        "## Within a process",
        "",
        *ratio_rows(samples),
        "",
        "Pair by pair, and how many bytes the library's prompts have for each of the bare loop's:",
        "",
        *against_rows(samples),
        "",
        "## As a process: start, one request at 4 members, end",
        "",
        *process_rows(processes),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a smoke run of a few seconds, with short waits")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/orchestration.md")
    args = parser.parse_args()
    if args.quick and args.write:
        parser.error("--quick shows that the benchmark runs; its numbers are not worth writing down")
    allow_sockets()
    plan = QUICK if args.quick else Plan()
    with mock_pool(plan.scale) as base_url:
        samples = asyncio.run(measure(base_url, plan))
        processes = measure_processes(base_url, plan)
    progress("")
    page = report(samples, processes, " ".join(["python", "benchmarks/orchestration.py", *sys.argv[1:]]))
    print(page)
    if args.write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
