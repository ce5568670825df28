"""Random: the baseline that knows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coterie.prospects import Prospect, Prospects, Scale
from coterie.protocols import Run
from coterie.types import Request


@dataclass(frozen=True)
class Random:
    """Expects a number between 0 and 1 of each member, drawn from the run's seed: a router only as a baseline.

    Under any decision it chooses at random, as RouteLLM's random router does (2406.18665): a threshold of it is a share
    of calls. A replay draws the same numbers, and a member keeps its own however many others stand beside it. Costs: no
    time.
    """

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:  # noqa: ARG002
        told = tuple(Prospect(member, run.rng("random router", member).random()) for member in members)
        return Prospects("random", Scale.SCORE, told, "drawn at random")
