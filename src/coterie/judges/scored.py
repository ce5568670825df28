"""One judgement a candidate, out of a score that the judge computes itself."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence

from coterie.protocols import Run
from coterie.types import Candidate, Failure, Judgement


async def scored(
    judge: str, job: Awaitable[Sequence[float | None]], candidates: Sequence[Candidate], run: Run
) -> list[Judgement]:
    """What `job` says of each candidate, its time recorded as the run's work; one abstention at the deadline.

    ``None``, or what is no number, is an abstention about that candidate.
    """
    done = await run.work(judge, job, stage="rank", needs=[candidate.id for candidate in candidates])
    if isinstance(done, Failure):
        return [Judgement.abstain(judge, done.error)]
    work, scores = done
    return [
        Judgement(judge, (candidate.id,), (score,), calls=(work,))
        if score is not None and math.isfinite(score)
        else Judgement.abstain(judge, f"nothing to be said of {candidate.id!r}: its score is {score!r}", (work,))
        for candidate, score in zip(candidates, scores, strict=True)
    ]
