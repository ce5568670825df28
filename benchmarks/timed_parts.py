"""A ranker and a fuser that take as long as real ones were measured to take, and do nothing else.

So the orchestration around them is real, on a machine that has no card for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from coterie.protocols import Emit, Run
from coterie.types import Candidate, Failure, Judgement, Request, Standing
from stage_times import score

FUSED = "Paris is the capital of France and its largest city by far, on the Seine in the north of the country. " * 5


@dataclass(frozen=True)
class TimedRanker:
    """Reads every ordered pair of candidates at so many pairs a second, and finds their authors' scores."""

    pairs_per_s: float

    async def judge(
        self,
        request: Request,  # noqa: ARG002
        candidates: Sequence[Candidate],
        run: Run,
    ) -> Sequence[Judgement]:
        pairs = list(permutations(candidates, 2))
        reading = asyncio.sleep(len(pairs) / self.pairs_per_s)
        done = await run.work("pair_ranker", reading, stage="rank", needs=[c.id for c in candidates])
        if isinstance(done, Failure):
            return [Judgement.abstain("pair_ranker", done.error)]
        work, _ = done
        return [
            Judgement("pair_ranker", (a.id, b.id), (score(a.author), score(b.author)), calls=(work,)) for a, b in pairs
        ]


@dataclass(frozen=True)
class TimedFuser:
    """Writes its text in so many seconds."""

    seconds: float

    async def fuse(
        self,
        request: Request,  # noqa: ARG002
        best: Sequence[Standing],
        run: Run,
    ) -> Candidate | Failure:
        return await run.write("gen_fuser", self._written, [standing.candidate for standing in best])

    async def _written(self, emit: Emit | None) -> str:  # noqa: ARG002
        await asyncio.sleep(self.seconds)
        return FUSED
