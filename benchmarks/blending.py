"""What a blended answer takes: LLM-Blender and Peer-Blending on equal hardware, full and under each policy.

    python benchmarks/blending.py [--quick] [--write]

A committee behind HTTP mocks in a process of their own, which wait as long as the thesis' members took (table 6.3).
A ranker and a fuser wait as long as real ones were measured to take on a stated GPU. Each wall time stands beside the
least that its stage times allow (`floors.py`), computed from the mock's own waits and not from our trace. All
sides take turns within the run; calls, tokens and money are checked against formula, trace and mock.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from asking import Sample, ask, committee
from blending_page import page
from blending_tables import Found
from coterie import Committee
from coterie.policies import (
    AlternateRanking,
    DynamicElimination,
    FirstK,
    FixedInterval,
    FullRanking,
    RandomK,
    RandomPick,
)
from coterie.types import Message, Place
from figures import progress
from mock_pool import Told, allow_sockets, mock_pool
from saving import Costed, Saving
from sides import ROUNDS, SIDES, SLOW, TEXT_WRITTEN, Side, least_s
from stage_times import in_thesis, pool

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks" / "blending.md"

POLICIES: Mapping[str, Costed] = {
    "full_ranking": FullRanking(),
    "dynamic_elimination": DynamicElimination(),
    "alternate_ranking": AlternateRanking(),
    "fixed_interval": FixedInterval(),
    "fixed_interval, rank_survivors: false": FixedInterval(rank_survivors=False),
    "first_k": FirstK(),
    "random_k": RandomK(),
    "random_pick": RandomPick(),
}


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    sizes: tuple[int, ...] = (2, 5, 10, 20, 30)
    rounds: int = 4
    """Questions to each side that is Peer-Blending."""
    few_sizes: tuple[int, ...] = (2, 10, 30)
    """Sizes at which `SLOW` sides and further rounds of reviews are measured."""
    slow_rounds: int = 2
    review_rounds: int = 3
    scale: float = 1.0
    conversations: int = 3
    """Of an interval, which is a round of all policies."""
    turns: tuple[int, ...] = (7, 10)
    intervals: int = 2
    policy_members: int = 10
    policy_scale: float = 0.1
    """In conversations the mock's waits are so many times as long: there are many of them."""


QUICK = Plan(
    sizes=(2, 5),
    rounds=1,
    few_sizes=(5,),
    slow_rounds=1,
    review_rounds=1,
    scale=0.1,
    turns=(3, 4),
    intervals=1,
    policy_scale=0.05,
)


# ---- sides ------------------------------------------------------------------------------------


def asked_in(plan: Plan, members: int, number: int) -> list[Side]:
    """Who is asked in round `number`, the first of which is not counted: it opens connections."""
    asked: list[Side] = [side for side in SIDES if side not in SLOW]
    if members in plan.few_sizes and number <= plan.review_rounds:
        asked += ROUNDS
    if members in plan.few_sizes and 0 < number <= plan.slow_rounds:
        asked += SLOW
    return asked if number % 2 else asked[::-1]


async def measure(base_url: str, plan: Plan, members: int, told: Told) -> list[Sample]:
    """Questions to every side with so many members, turn by turn."""
    names = pool(members)
    every: list[Side] = [*SIDES, *ROUNDS]
    samples = {side.name: Sample(side, members, plan.scale) for side in every}
    async with AsyncExitStack() as stack:
        asked = {
            at_once: await stack.enter_async_context(_committee(base_url, names, at_once, every, plan.scale))
            for at_once in {side.at_once for side in every}
        }
        for number in range(plan.rounds + 1):
            for side in asked_in(plan, members, number):
                progress(f"{members} members, {number}/{plan.rounds}, {side.name}")
                found = await ask(asked[side.at_once], base_url, side.name, f"{members}-{number}")
                if number:
                    samples[side.name].add(found)
    kept = [sample for sample in samples.values() if sample.walls_s]
    for sample in kept:
        _check_floors(sample, told)
    return kept


def _committee(
    base_url: str, names: Sequence[str], at_once: int | None, every: Sequence[Side], scale: float
) -> Committee:
    methods = {side.name: side.method(names, scale=scale) for side in every if side.at_once == at_once}
    return committee(base_url, names, at_once, methods)


def _check_floors(sample: Sample, told: Told) -> None:
    """Raises `RuntimeError` where the mock's waits and mere arithmetic disagree about the least time."""
    if getattr(sample.side, "each", None) is not None:
        return  # who reviews whom was drawn
    for turn, floor in zip(sample.turns, sample.floors_s, strict=True):
        wanted = sample.scale * least_s(sample.side, turn, told)
        if not math.isclose(floor, wanted, rel_tol=1e-9):
            raise RuntimeError(f"{sample.side.name!r}: the mock waited for {floor} s on {turn}, not {wanted}")


# ---- policies ---------------------------------------------------------------------------------


async def measure_policies(base_url: str, plan: Plan, told: Told) -> dict[tuple[str, int], list[Sample]]:
    """By policy and number of turns: a sample for each interval, whose conversations all policies hold in turn."""
    names = pool(plan.policy_members)
    side = TEXT_WRITTEN
    methods = {name: side.method(names, policy, plan.policy_scale) for name, policy in POLICIES.items()}
    found: dict[tuple[str, int], list[Sample]] = {(name, turns): [] for turns in plan.turns for name in POLICIES}
    async with committee(base_url, names, side.at_once, methods) as asked:
        await ask(asked, base_url, "full_ranking", "warm")
        for turns in plan.turns:
            for interval in range(plan.intervals):
                held = {name: Sample(side, plan.policy_members, plan.policy_scale) for name in POLICIES}
                for number in range(plan.conversations):
                    order = list(POLICIES) if (interval + number) % 2 else list(POLICIES)[::-1]
                    for name in order:
                        progress(f"{turns} turns, interval {interval + 1}, conversation {number + 1}, {name}")
                        place = Place(f"{name}-{turns}-{interval}-{number}", f"{turns}-{interval}", turns)
                        await talk(asked, base_url, name, place, held[name])
                for name, sample in held.items():
                    _check_floors(sample, told)
                    found[name, turns].append(sample)
    return found


async def talk(asked: Committee, base_url: str, method: str, place: Place, sample: Sample) -> None:
    """Add all turns of one conversation to `sample`."""
    assert place.turns is not None
    said: list[Message] = []
    for turn in range(place.turns):
        tag = f"{place.scope}-{turn}"
        found = await ask(asked, base_url, method, tag, said, conversation=place, seed=turn)
        sample.add(found)
        said = [*found.answer.trace.started.request.messages, Message("assistant", found.answer.text)]


# ---- the whole --------------------------------------------------------------------------------


async def measure_all(plan: Plan) -> Found:
    told = in_thesis(pool(max(*plan.sizes, plan.policy_members)))
    samples: list[Sample] = []
    with mock_pool(plan.scale, told) as base_url:
        for members in plan.sizes:
            samples += await measure(base_url, plan, members, told)
    with mock_pool(plan.policy_scale, told) as base_url:
        held = await measure_policies(base_url, plan, told)
    savings = [
        Saving(name, POLICIES[name], turns, intervals, held["full_ranking", turns], told)
        for (name, turns), intervals in held.items()
    ]
    return Found(samples, savings, POLICIES, told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a smoke run of less than a minute, with short waits")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/blending.md")
    args = parser.parse_args()
    if args.quick and args.write:
        parser.error("--quick shows that the benchmark runs; its numbers are not worth writing down")
    allow_sockets()
    found = asyncio.run(measure_all(QUICK if args.quick else Plan()))
    progress("")
    text = page(found, " ".join(["python", "benchmarks/blending.py", *sys.argv[1:]]))
    print(text)
    if args.write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
