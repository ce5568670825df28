"""Length: the baseline that every other judge has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coterie.protocols import Run
from coterie.types import Candidate, Judgement, Request


@dataclass(frozen=True)
class Length:
    """Longer is better: a judge in earnest only as a baseline. Costs: no call.

    Judges trained or prompted on preferences are known to lean towards length, so whoever cannot
    beat this one has shown nothing.
    """

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:  # noqa: ARG002
        return [Judgement("length", tuple(c.id for c in candidates), tuple(float(len(c.text)) for c in candidates))]
