"""Random: the baseline that knows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coterie.protocols import Run
from coterie.types import Candidate, Judgement, Request


@dataclass(frozen=True)
class Random:
    """A number between 0 and 1 for each candidate, drawn from the run's seed: a judge only as a baseline.

    A replay draws the same numbers, and a candidate keeps its own however many others stand beside it. Costs: no call.
    """

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:  # noqa: ARG002
        drawn = tuple(run.rng("random", candidate.id).random() for candidate in candidates)
        return [Judgement("random", tuple(candidate.id for candidate in candidates), drawn)]
