"""The conversation of `ten_questions` led through a committee: its members, its two judges, and a client that asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from coterie import Answer, Committee, Judgement, PeerBlend, RankAndFuse, Request, ScriptedMember
from coterie.protocols import Method, Policy, Run
from coterie.store import Database
from coterie.trace import CallStarted, TurnPlanned
from coterie.types import Candidate, Message, Place
from ten_questions import ORDERS, POOL, K, shown

QUESTIONS = tuple(f"question {number}" for number in range(1, len(ORDERS) + 1))


def order_of(question: str) -> str:
    """The order that is written down for a question."""
    return ORDERS[QUESTIONS.index(question)]


def said(name: str, question: str) -> str:
    """What a member answers."""
    return f"{name} on {question}"


def members(latency_s: float = 0.0) -> list[ScriptedMember]:
    """Five who answer as told, fuse what they are shown, and find likely what stands high in a question's order."""
    likely = {said(name, q): -float(order_of(q).index(name)) for q in QUESTIONS for name in POOL}

    def writes(name: str) -> ScriptedMember:
        def script(request: Request, number: int) -> str:
            if request.question.startswith("Several assistants answered"):
                return f"fused by {name}"
            return said(name, request.question)

        return ScriptedMember(name, script=script, likelihoods=likely, latency_s=latency_s)

    return [writes(name) for name in POOL]


@dataclass(frozen=True)
class Written:
    """A judge that goes by the written orders, with Borda's points."""

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        order = order_of(request.question)
        standing = sorted(candidates, key=lambda candidate: order.index(candidate.author))
        points = [float(len(standing) - place) for place in range(1, len(standing) + 1)]
        return [Judgement("written", tuple(candidate.id for candidate in standing), tuple(points))]


def by_judge(policy: Policy, pool: Sequence[str] = POOL, top_k: int = K) -> Method:
    """A method whose judge gives the written points."""
    return RankAndFuse(tuple(pool), judge=Written(), rule="mean", top_k=top_k, policy=policy)


def by_peers(policy: Policy) -> Method:
    """A method whose members rank each other, all by the written orders."""
    return PeerBlend(POOL, top_k=K, policy=policy)


def committee(method: Method, store: Database | None = None, **more: Method) -> Committee:
    return Committee(members(), {"default": method, **more}, store=store)


@dataclass
class Client:
    """A chat program that sends everything again."""

    committee: Committee
    place: Place = Place()  # noqa: RUF009 - it is frozen
    alone: bool = False
    """It sends the newest message alone, and leaves the rest to the id."""
    messages: tuple[Message, ...] = ()
    answers: list[Answer] = field(default_factory=list)

    async def ask(self, question: str, method: str = "default", **how: Any) -> str:
        """The plan of the turn, shown: what the trace says was planned, and who was asked in fact."""
        sent = (*(() if self.alone else self.messages), Message("user", question))
        answer = await self.committee.aask(sent, method, conversation=self.place, **how)
        self.messages = (*sent, Message("assistant", answer.text))
        self.answers.append(answer)
        planned = self.planned
        written = [call.member for call in answer.trace.of(CallStarted) if call.stage == "generate"]
        assert written == list(planned.plan.members)
        assert (answer.ranking is not None) == planned.plan.ranks
        return shown(planned.plan)

    @property
    def planned(self) -> TurnPlanned:
        """What was planned for the last turn."""
        return next(self.answers[-1].trace.of(TurnPlanned))

    def again(self, **other: Any) -> Client:
        """One that stands where this one does."""
        return replace(self, answers=[*self.answers], **other)

    async def talk(self, questions: Sequence[str] = QUESTIONS, **how: Any) -> str:
        return " ".join([await self.ask(question, **how) for question in questions])


PLANS: Mapping[str, str] = {
    "full_ranking": "abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2",
    "dynamic_elimination": "abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abd>2 abd>2 abd>2 abd>2 abd>2",
    "alternate_ranking": "abcde>2 ba abcde>2 db abcde>2 ad abcde>2 ec abcde>2 ca",
    "fixed_interval": "abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2 abcde>2",
    "first_k": "ab ab ab ab ab ab ab ab ab ab",
}
"""The plans that `test_policies_ten_questions` works out by hand, for the policies that draw nothing."""
