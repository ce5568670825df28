"""Best of N: every member answers, a judge decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from coterie.judges.agreement import Agreement
from coterie.methods.steps import check_rule, everyone, first
from coterie.protocols import Judge, Run
from coterie.types import Request, Result


@dataclass(frozen=True)
class BestOf:
    """The candidate that the judge puts first, verbatim.

    Needs: any judge. Costs: a call a member, and the judge's. Prefer `rank_and_fuse` where the
    best answer may have to be put together from several.
    """

    members: tuple[str, ...]
    judge: Judge = field(default_factory=Agreement)
    rule: str = "mean"
    """How judgements become a ranking; `mean` for judges with one scale, `normalised_borda` for several judges."""

    def __post_init__(self) -> None:
        check_rule(self.rule, self.judge)

    @property
    def asks(self) -> tuple[str, ...]:
        return everyone(self.members, self.judge)

    async def __call__(self, request: Request, run: Run) -> Result:
        candidates, judgements = await run.judged(self.members, request, self.judge)
        if len(candidates) == 1:
            return Result(candidates[0], "only")
        ranking = run.rank(self.rule, judgements, candidates)
        return Result(first(ranking, candidates), "ranked", ranking)
