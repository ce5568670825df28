"""Rows a second of a batch: a bare loop over the committee as the limit, `coterie batch`, and the same on Ray.

    python benchmarks/batch.py            # without Ray
    python benchmarks/batch.py --ray      # with it, in an environment that has it (make ray)

Members are scripted, so that nothing is measured but what lies around a call. Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from coterie.batch.jobs import Begun, Job, begun
from coterie.batch.running import Stop
from coterie.committee import Committee
from coterie.config import Config
from coterie.members.scripted import ScriptedMember
from coterie.methods.vote import Vote
from figures import progress
from machine import setting

REPEATS = 3
AT_ONCE = 32


@dataclass(frozen=True)
class Load:
    """What is asked."""

    rows: int
    latency_s: float
    """Of each of a row's two calls, which run side by side."""

    @property
    def config(self) -> Config:
        members = {name: ScriptedMember(name, ("Paris",), latency_s=self.latency_s) for name in ("ann", "bob")}
        return Config(members, {"default": Vote(("ann", "bob"))})

    @property
    def prompts(self) -> list[str]:
        return [f"Question {n}: which city is the capital? {'Think. ' * 40}" for n in range(self.rows)]


LOADS = (Load(4000, 0.0), Load(2000, 0.1))
ONE = Load(1, 0.0)

Side = Callable[[Load, Path], None]


def bare(load: Load, folder: Path) -> None:  # noqa: ARG001
    """The committee's own answers, with no file, no journal and no result kept: the limit."""

    async def asked() -> None:
        left = iter(load.prompts)

        async def work() -> None:
            for prompt in left:
                await committee.aask(prompt, seed=0)

        async with Committee.from_config(load.config) as committee:
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    asyncio.run(asked())


def local(load: Load, folder: Path) -> None:
    """What `coterie batch` does once it has loaded."""
    _whole(load, folder, AT_ONCE, lambda found: asyncio.run(found.run(load.config, Stop())))


def on_ray(actors: int) -> Side:
    """The same with `--ray`, as many rows under way in all, Ray's start and end included."""
    from coterie.batch import on_ray as ray

    def side(load: Load, folder: Path) -> None:
        cluster = ray.Cluster(actors=actors)
        _whole(
            load, folder, AT_ONCE // actors, lambda found: ray.run(found, load.config, cluster, Event(), lambda: None)
        )

    return side


def _whole(load: Load, folder: Path, at_once: int, run: Callable[[Begun], object]) -> None:
    source, output = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in load.prompts))
    output.unlink(missing_ok=True)
    with begun(Job(source, output, at_once=at_once), _quiet) as found:
        run(found)
        assert not found.left
        found.write(_quiet)


def _quiet(what: str, done: int, total: int) -> None:
    pass


def seconds(side: Side, load: Load) -> list[float]:
    """Of each repeat."""
    took = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            side(load, Path(folder))
            took.append(time.perf_counter() - began)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ray", action="store_true")
    wanted = parser.parse_args()
    sides: dict[str, Side] = {"bare loop over the committee": bare, "coterie batch": local}
    if wanted.ray:
        sides |= {f"coterie batch --ray --ray-actors {n}": on_ray(n) for n in (1, 2)}
    local(ONE, Path(tempfile.mkdtemp()))  # what is loaded once is no part of any side
    print("\n".join(setting(["ray"] if wanted.ray and importlib.util.find_spec("ray") else [])))
    print(f"- {REPEATS} repeats, median and (least to most); {AT_ONCE} rows under way in all\n")
    print("| | rows | a call takes | seconds | rows a second |\n|---|---|---|---|---|")
    for load in (*LOADS, ONE) if wanted.ray else LOADS:
        for name, side in sides.items():
            if load is ONE and "--ray" not in name:  # what starting Ray takes
                continue
            progress(f"{name}: {load.rows} rows of {load.latency_s:g} s")
            took = seconds(side, load)
            median = statistics.median(took)
            said = f"{median:.2f} ({min(took):.2f} to {max(took):.2f})"
            print(f"| {name} | {load.rows} | {load.latency_s * 1000:g} ms | {said} | {load.rows / median:,.0f} |")


if __name__ == "__main__":
    main()
