"""The judge: who reviews, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coterie.judges.peer_review.form import Form
from coterie.judges.peer_review.reviewing import IDLE, Reviewer
from coterie.judges.peer_review.sitting import Sitting
from coterie.judges.peer_review.table import Table
from coterie.protocols import Arrival, Run
from coterie.types import BallotMode, Candidate, Capability, Card, Judgement, Request


@dataclass(frozen=True)
class PeerReview:
    """One ballot from every reviewer on candidates that are not its own.

    After "Efficient Blending of Large Language Models" 4.3 and 5.1.3. Each reviewer sees the others' answers in an
    order and under labels drawn for it alone, so that neither place nor name helps anybody. Needs: at
    least two candidates by different members. Costs: one call a reviewer; with `pointwise` and
    `score_logprob` ballots one for each answer it reviews. A reviewer that fails, cannot review or
    writes what cannot be read abstains; where not everybody reviews everything, somebody stands in for it.
    """

    reviewers: tuple[str, ...] | None = None
    """Who reviews; the candidates' authors where left out."""
    reviewers_each: int | None = None
    """How many review each answer, drawn so that all have equally much to do; everybody where left out."""
    ballot: BallotMode | None = None
    """How everybody reviews; each as its own configuration says where left out."""
    ballots: Mapping[str, BallotMode] = field(default_factory=dict, hash=False)
    """How single members review, where it is not to be like that."""
    form: Form = Form()  # noqa: RUF009 - it is frozen
    """What reviewers judge by, in ballots that ask for it."""
    weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    """How much a reviewer's ballot counts, 1 where left out: `coterie calibrate reviewers` learns them.

    Whose ballot would count for nothing is not asked for one.
    """
    less_unconditional: bool = False
    """Likelihood ballots subtract the answer's log-probability without the conversation."""
    max_tokens: int = 400
    """Room for a written ballot; more where many candidates need it."""

    def __post_init__(self) -> None:
        if self.reviewers is not None and not len(set(self.reviewers)) == len(self.reviewers) > 0:
            raise ValueError(f"reviewers must name somebody, and everybody once, unlike {self.reviewers!r}")
        if self.reviewers_each is not None and self.reviewers_each < 1:
            raise ValueError(f"reviewers_each must be at least 1, not {self.reviewers_each!r}")
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"the weight of {name!r} must be 0 or more, not {weight!r}")
        if BallotMode.SCORE_LOGPROB in (self.ballot, *self.ballots.values()) and not self.form.is_one_digit:
            raise ValueError(f"score_logprob ballots are one digit, and the scale is {self.form.scale!r}")

    @property
    def asks(self) -> tuple[str, ...]:
        return self.reviewers or ()

    def mode(self, name: str, card: Card | None) -> BallotMode | None:
        """How a member reviews; ``None`` where it cannot."""
        return self.ballots.get(name) or self.ballot or (card.ballot if card else None)

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        return await self.judge_early(request, [_Here(candidate) for candidate in candidates], run)

    async def judge_early(self, request: Request, arrivals: Sequence[Arrival], run: Run) -> Sequence[Judgement]:
        """The reviewers' ballots. Each answer is reviewed as soon as it is there, where the ballot speaks of it alone.

        A member that was to write and did not has no vote: it hangs, or it is down.
        """
        names = self.reviewers or tuple(dict.fromkeys(arrival.author for arrival in arrivals))
        found = {name: self._able(name, run) for name in names}
        able = {name: reviewer for name, reviewer in found.items() if isinstance(reviewer, Reviewer)}
        table = Table(arrivals, tuple(able), self.reviewers_each, run.rng("duties"))
        ballots = await Sitting(able, table, request, run).ballots()
        gone = {a.author for a in arrivals} - {a.author for a in arrivals if a.arrived is not None}
        judgements: list[Judgement] = []
        for name, reviewer in found.items():
            if ballots.get(name):
                judgements += ballots[name]
            elif name not in gone:
                judgements.append(Judgement.abstain(name, IDLE if isinstance(reviewer, Reviewer) else reviewer))
            elif self.reviewers is not None:
                judgements.append(Judgement.abstain(name, "its own answer did not come"))
        return judgements

    def _able(self, name: str, run: Run) -> Reviewer | str:
        """The member as a reviewer, or why it is not asked."""
        card = run.cards.get(name)
        mode, weight = self.mode(name, card), self.weights.get(name, 1.0)
        if card is None or mode is None or Capability.REVIEW not in card.capabilities:
            return "it cannot review"
        if mode is BallotMode.LIKELIHOOD and Capability.LIKELIHOOD not in card.capabilities:
            return "it gives no log-probabilities of given texts"
        if mode is BallotMode.SCORE_LOGPROB and Capability.LOGPROBS not in card.capabilities:
            return "it gives no log-probabilities of what it writes"
        if mode is BallotMode.SCORE_LOGPROB and not self.form.is_one_digit:
            return f"a score of the scale {self.form.scale!r} may take more than the one digit of its ballot"
        if weight == 0:
            return "its ballot would weigh nothing"
        return Reviewer(card, mode, self.form, weight, self.max_tokens, self.less_unconditional)


@dataclass(frozen=True)
class _Here:
    """An arrival that has arrived."""

    arrived: Candidate

    @property
    def author(self) -> str:
        return self.arrived.author

    async def candidate(self) -> Candidate:
        return self.arrived
