"""What the gateway adds, beside nothing, a bare forwarder and LiteLLM's proxy.

    python benchmarks/gateway.py [--quick] [--only PART ...] [--write]
    python benchmarks/gateway.py --soak [--quick] [--write]

Every side is a process of its own in front of one mock endpoint on loopback. A side that cannot be installed or does
not start is left out, and the report says so. The soak is apart: 100,000 requests of all kinds, and how much memory
the gateway holds meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import gateway_page
from figures import progress
from gateway_blend import blends
from gateway_litellm import litellm
from gateway_load import Broken
from gateway_ordinary import ordinary
from gateway_page import Part
from gateway_plan import QUICK, Plan
from gateway_rates import open_loop, throughput
from gateway_sides import Command, NotStarted, Side, commands, sides, upstream
from gateway_soak import soak
from gateway_times import cold_starts, large_bodies, overhead, streaming, warm
from mock_pool import allow_sockets

BESIDE: Mapping[str, Callable[[Sequence[Side], Plan], Awaitable[Part]]] = {
    "overhead": overhead,
    "throughput": throughput,
    "ordinary": ordinary,
    "open-loop": open_loop,
    "streaming": streaming,
    "body": large_bodies,
}
"""Parts in which all sides are up beside each other."""

PARTS = (*BESIDE, "blend", "start")


async def measure(wanted: Sequence[str], plan: Plan, problems: list[str]) -> list[Part]:
    """The wanted parts. Who cannot be measured is told in `problems`."""
    with tempfile.TemporaryDirectory() as folder, upstream() as direct:
        known = [*commands(direct.port, Path(folder)), *_peers(direct.port, Path(folder), problems)]
        parts: list[Part] = []
        if beside := [name for name in wanted if name in BESIDE]:
            with sides(known, direct, problems) as running:
                await warm(running)
                parts += [part for name in beside if (part := await _part(name, BESIDE[name](running, plan), problems))]
        if "blend" in wanted and (part := await _part("blend", blends(plan), problems)):
            parts.append(part)
        if "start" in wanted:
            there = [command for command in known if not any(command.name in said for said in problems)]
            parts.append(cold_starts(there, plan))
    return parts


async def _part(name: str, measuring: Awaitable[Part], problems: list[str]) -> Part | None:
    """The part; ``None``, and told in `problems`, where a side failed in it."""
    try:
        return await measuring
    except (Broken, NotStarted, OSError, RuntimeError) as error:
        traceback.print_exc()
        problems.append(f"the part {name}, in which something failed ({type(error).__name__})")
        return None


def _peers(port: int, folder: Path, problems: list[str]) -> list[Command]:
    try:
        return [litellm(port, folder)]
    except NotStarted as error:
        problems.append(str(error))
        return []


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """On uvloop where that is, as the gateway itself."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a smoke run, whose numbers mean nothing")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--soak", action="store_true", help="100,000 requests of all kinds instead, and the memory")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/gateway.md")
    args = parser.parse_args()
    if args.write and (args.quick or args.only):
        parser.error("a page is written of everything, at full length: leave out --quick and --only")
    allow_sockets()
    plan = QUICK if args.quick else Plan()
    command = " ".join(["python", "benchmarks/gateway.py", *sys.argv[1:]])
    problems: list[str] = []
    if args.soak:
        said = gateway_page.soak_section(run(soak(plan)), command)
        written = {"soak": said}
    else:
        parts = run(measure(args.only or PARTS, plan, problems))
        said = gateway_page.page(parts, command, problems)
        written = {"measured": said}
    progress("")
    print(said)
    if args.write:
        gateway_page.write(**written)


if __name__ == "__main__":
    main()
