"""Peer-reviewed blending: members answer, review each other, and one of them writes the final answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coterie.fusers.aggregate import Aggregate
from coterie.judges.peer_review import PeerReview
from coterie.methods.steps import check_rule, everyone, fuse_or_first, standings
from coterie.protocols import Run
from coterie.types import BallotMode, Candidate, Judgement, Ranking, Request, Result


@dataclass(frozen=True)
class PeerBlend:
    """The aggregator's answer out of the K candidates that the members' ballots put first.

    After "Efficient Blending of Large Language Models", chapters 4 and 5. Costs: 2N + 1 calls for N
    members with one ballot each. Where every ballot abstains the order is the pool's; where the
    aggregator fails the answer is the ranking's first; both are said in a note.
    """

    members: tuple[str, ...]
    """Who answers."""
    top_k: int = 3
    aggregator: str | None = None
    """Who writes the final answer; the author of the best candidate where left out."""
    reviewers: tuple[str, ...] | None = None
    """Who reviews; those who answered where left out."""
    ballots: Mapping[str, BallotMode] = field(default_factory=dict, hash=False)
    """How a member reviews, where it is not to be as its own configuration says."""
    rule: str = "normalised_borda"

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {self.top_k!r}")
        check_rule(self.rule, self.judge)

    @property
    def judge(self) -> PeerReview:
        return PeerReview(self.reviewers, self.ballots)

    @property
    def fuser(self) -> Aggregate:
        return Aggregate(self.aggregator)

    @property
    def asks(self) -> tuple[str, ...]:
        return everyone(self.members, self.judge, self.fuser)

    async def __call__(self, request: Request, run: Run) -> Result:
        candidates = await run.generate(self.members, request)
        if len(candidates) == 1:
            return Result(candidates[0], "only")
        judgements = await run.judge(self.judge, request, candidates)
        ranking = self._rank(judgements, candidates, run)
        best = standings(ranking, judgements, candidates)[: self.top_k]
        return await fuse_or_first(self.fuser, request, ranking, best, run)

    def _rank(self, judgements: Sequence[Judgement], candidates: Sequence[Candidate], run: Run) -> Ranking:
        """By the rule; by mean scores where no reviewer saw two answers, which is weak and said so."""
        spoken = [judgement for judgement in judgements if judgement.about]
        if not spoken or any(len(judgement.about) > 1 for judgement in spoken):
            return run.rank(self.rule, judgements, candidates)
        run.note(
            "a weak ranking: no reviewer saw two answers (a committee of two), "
            "so mean scores of different reviewers decide"
        )
        return run.rank("mean", judgements, candidates)
