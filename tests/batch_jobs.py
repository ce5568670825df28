"""Batches in this process, over scripted members: test support, no test."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from coterie.batch.jobs import Begun, Job, begun
from coterie.batch.running import Stop
from coterie.config import Config
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.vote import Vote
from coterie.types import Price, Request

Json = Any

PRICE = Price(input_usd=1000.0, output_usd=1000.0)
"""A thousandth of a dollar a word."""


def quiet(what: str, done: int, total: int) -> None:
    """Watch nothing."""


def echo(request: Request, nth: int) -> Reply:
    """Slower for some than for others, so that rows end in another order than they began."""
    return Reply(f"echo {request.question}", latency_s=0.002 * (len(request.question) % 3))


def config(script: Callable[[Request, int], Reply | str] = echo, **settings: Any) -> Config:
    """One scripted member, alone in a vote."""
    settings.setdefault("price", PRICE)
    return Config({"ann": ScriptedMember("ann", script=script, **settings)}, {"default": Vote(("ann",))})


def written(path: Path, rows: Iterable[Mapping[str, Json]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prompts(path: Path, n: int) -> Path:
    return written(path, ({"id": f"r{k}", "prompt": f"word {'x' * (k % 7)} {k}"} for k in range(1, n + 1)))


def done(job: Job, made: Config, stop: Stop | None = None, told: Callable[[Begun], None] | None = None) -> Begun:
    """`job`, run as far as it comes; `told` is called after each row. Its output is written if it comes to its end."""
    with begun(job, quiet) as found:
        found.bind(made)
        asyncio.run(found.run(made, stop or Stop(), lambda: told(found) if told else None))
        if not found.left:
            found.write(quiet)
    return found


def read(path: Path) -> list[dict[str, Json]]:
    data = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def without_runs(rows: Iterable[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """`rows` without what no two runs share."""
    return [{name: value for name, value in row.items() if name != "run"} for row in rows]
