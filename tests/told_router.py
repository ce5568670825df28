"""A router whose prospects are written down, and one that counts what it is told: for tests of what stands behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coterie.errors import RouterError
from coterie.prospects import Lesson, Prospect, Prospects, Scale
from coterie.protocols import Run
from coterie.types import Json, Request


@dataclass(frozen=True)
class Told:
    """Expects what it was told to."""

    qualities: Mapping[str, float] = field(default_factory=dict)
    output_tokens: float | None = None

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        found = tuple(
            Prospect(member, self.qualities.get(member), output_tokens=self.output_tokens) for member in members
        )
        return Prospects("told", Scale.SCORE, found, "what it was told")


@dataclass(frozen=True)
class Away:
    """Cannot say anything now."""

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        raise RouterError("its encoder is away")


@dataclass(frozen=True)
class Slow:
    """Takes its time."""

    latency_s: float

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        await asyncio.sleep(self.latency_s)
        return Prospects("slow", Scale.SCORE, tuple(Prospect(member, 0.5) for member in members))


@dataclass(frozen=True)
class Counting:
    """Expects of each member the mean of the ratings it was given: the least that learns."""

    name: str = "counting"

    @property
    def journal(self) -> str:
        return f"test:{self.name}"

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        entries = await (await run.journals()).since(self.journal, 0)
        ratings: dict[str, list[float]] = {}
        for entry in entries:
            ratings.setdefault(entry.value["member"], []).append(entry.value["rating"])
        means = {member: sum(given) / len(given) for member, given in ratings.items()}
        found = tuple(Prospect(member, means.get(member)) for member in members)
        return Prospects("counting", Scale.SCORE, found, f"{len(entries)} ratings")

    async def features(self, request: Request, run: Run) -> Json:
        return {"words": len(request.question.split())}

    def entries(self, lesson: Lesson) -> Sequence[Json]:
        if lesson.feedback.rating is None:
            return []
        return [{"member": member, "rating": lesson.feedback.rating} for member in lesson.routed.chosen]
