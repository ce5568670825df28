"""Rank and fuse: the shape of LLM-Blender."""

from __future__ import annotations

from dataclasses import dataclass, field

from coterie.fusers.aggregate import Aggregate
from coterie.judges.peer_review import PeerReview
from coterie.methods.steps import answered, check_rule, check_top_k, everyone, fuse_or_first, judged, standings, written
from coterie.policies import FullRanking
from coterie.protocols import Fuser, Judge, Policy, Run
from coterie.types import Request, Result


@dataclass(frozen=True)
class RankAndFuse:
    """A fuser's answer out of the K candidates that a judge and a rule put first.

    After LLM-Blender (2306.02561), with any judge and any fuser. Costs: a call a member, the
    judge's and the fuser's. If the fuser fails, the answer is the ranking's first, and a note says so.
    """

    members: tuple[str, ...]
    judge: Judge = field(default_factory=PeerReview)
    rule: str = "normalised_borda"
    top_k: int = 3
    fuser: Fuser = field(default_factory=Aggregate)
    policy: Policy = field(default_factory=FullRanking)
    """Who writes and is ranked, turn by turn ("Efficient Blending of Large Language Models", chapter 3)."""

    def __post_init__(self) -> None:
        check_top_k(self.top_k)
        check_rule(self.rule, self.judge)

    @property
    def asks(self) -> tuple[str, ...]:
        return everyone(self.members, self.judge, self.fuser)

    async def __call__(self, request: Request, run: Run) -> Result:
        plan = await run.plan(self.policy, self.members, self.top_k)
        if not plan.ranks:
            return await answered(self.fuser, request, await written(plan, self.members, request, run), run)
        candidates, judgements = await judged(plan, self.members, request, run, self.judge)
        if len(candidates) == 1:
            return Result(candidates[0], "only")
        ranking = run.rank(self.rule, judgements, candidates)
        best = standings(ranking, judgements, candidates, self.top_k)
        return await fuse_or_first(self.fuser, request, ranking, best, run)
