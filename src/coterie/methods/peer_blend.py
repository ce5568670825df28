"""Peer-reviewed blending: members answer, review each other, and the ballots decide what becomes the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from coterie.fusers.aggregate import Aggregate
from coterie.judges.peer_review import PeerReview
from coterie.methods.roles import as_generator, instruction
from coterie.methods.steps import answered, check_rule, check_top_k, everyone, fuse_or_first, judged, standings, written
from coterie.policies import FullRanking
from coterie.protocols import Aim, Fuser, Policy, Run
from coterie.types import Candidate, Judgement, Ranking, Request, Result

Final = Literal["select", "aggregate", "fuse"]


@dataclass(frozen=True)
class PeerBlend:
    """The answer that members' ballots on each other's candidates lead to.

    After "Efficient Blending of Large Language Models", chapters 3 to 5. Costs: N calls that write, one review
    a reviewer (N times k where every answer is reviewed on its own by k), and one that makes the final
    answer unless it is selected. Where every ballot abstains the order is the pool's; where the
    final call fails the answer is the ranking's first; both are said in a note.
    """

    members: tuple[str, ...]
    """Who answers: the thesis' generators."""
    top_k: int = 3
    """How many of the best are made into the answer."""
    aggregator: str | None = None
    """Who aggregates; the author of the best candidate where left out."""
    final: Final = "aggregate"
    """`select`: the ranking's first, verbatim (4.4.1), so that JSON and tool calls stay valid. `aggregate`: the
    aggregator chooses one of the best K or synthesises, shown scores and reviews (5.1.3). `fuse`: the author of the
    first fuses the best K, shown their texts alone."""
    review: PeerReview = PeerReview()  # noqa: RUF009 - it is frozen
    """Who reviews, and how: the thesis' evaluators."""
    rule: str = "normalised_borda"
    policy: Policy = field(default_factory=FullRanking)
    """Who writes and is reviewed, turn by turn."""
    style: str = "plain"
    """How members are told to write: `plain`, `comprehensive`, `concise`, or an instruction in words."""
    aggregator_instruction: str | None = None
    """Says instead of our words what the aggregator, or whoever fuses, is to make of the answers."""
    early_stop: bool = True
    """Ballots that cannot change the answer any more are not waited for. An aggregator reads all of them, and a policy
    that remembers learns from all of them."""

    def __post_init__(self) -> None:
        check_top_k(self.top_k)
        check_rule(self.rule, self.judge)
        instruction(self.style)
        if self.aggregator is not None and self.final != "aggregate":
            raise ValueError(
                f"final={self.final!r} asks no aggregator, so {self.aggregator!r} would have nothing to do"
            )
        if self.aggregator_instruction is not None and self.final == "select":
            raise ValueError(
                "final='select' asks nobody to write, so aggregator_instruction would tell nobody anything"
            )

    @property
    def judge(self) -> PeerReview:
        return self.review

    @property
    def fuser(self) -> Fuser | None:
        match self.final:
            case "select":
                return None
            case "aggregate":
                return Aggregate(self.aggregator, instruction=self.aggregator_instruction)
            case "fuse":
                return Aggregate(shows_reviews=False, instruction=self.aggregator_instruction)

    @property
    def asks(self) -> tuple[str, ...]:
        return everyone(self.members, self.judge, self.fuser)

    async def __call__(self, request: Request, run: Run) -> Result:
        plan = await run.plan(self.policy, self.members, self._top_k)
        asked = as_generator(request, self.style)
        if not plan.ranks:
            return await answered(self.fuser, request, await written(plan, self.members, asked, run), run)
        candidates, judgements = await judged(plan, self.members, asked, run, self.judge, self._aim)
        if len(candidates) == 1:
            return Result(candidates[0], "only")
        ranking = self._rank(judgements, candidates, run)
        best = standings(ranking, judgements, candidates, self._top_k)
        return await fuse_or_first(self.fuser, request, ranking, best, run)

    @property
    def _aim(self) -> Aim | None:
        """What ballots are wanted for; ``None`` where each is read."""
        if not self.early_stop or not self.policy.memoryless or (self.final == "aggregate" and self.top_k > 1):
            return None
        return Aim(self.rule, self._top_k)

    @property
    def _top_k(self) -> int:
        """K; 1 where one is selected, so that nobody writes in vain on a turn without ranking."""
        return 1 if self.final == "select" else self.top_k

    def _rank(self, judgements: Sequence[Judgement], candidates: Sequence[Candidate], run: Run) -> Ranking:
        """By the rule; by mean scores where no reviewer saw two answers, which is weak and said so."""
        spoken = [judgement for judgement in judgements if judgement.about]
        if not spoken or any(len(judgement.about) > 1 for judgement in spoken):
            return run.rank(self.rule, judgements, candidates)
        cause = " (a committee of two)" if len(candidates) == 2 else ""
        if len({self.review.mode(said.judge, run.cards.get(said.judge)) for said in spoken}) > 1:
            run.note(
                f"no ranking: no reviewer saw two answers{cause}, and the reviewers' scales have nothing in common"
            )
            return run.rank(self.rule, [], candidates)
        run.note(f"a weak ranking: no reviewer saw two answers{cause}, so mean scores of different reviewers decide")
        return run.rank("mean", judgements, candidates)
