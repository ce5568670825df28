"""Majority vote: the answer that most members give."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.judges.agreement import Agreement, normal_form
from coterie.methods.steps import everyone, first
from coterie.protocols import Run
from coterie.types import Candidate, Ranking, Request, Result


@dataclass(frozen=True)
class Vote:
    """The majority's answer, by normalised exact match, in the words of its first author in pool order.

    After self-consistency (2203.11171) over members instead of samples. Needs: short answers.
    Costs: a call a member. Ties are broken by pool order, and said so.
    """

    members: tuple[str, ...]

    @property
    def judge(self) -> Agreement:
        return Agreement()

    @property
    def asks(self) -> tuple[str, ...]:
        return everyone(self.members)

    async def __call__(self, request: Request, run: Run) -> Result:
        candidates, judgements = await run.judged(self.members, request, self.judge)
        if len(candidates) == 1:
            return Result(candidates[0], "only")
        ranking = run.rank("mean", judgements, candidates)
        if rivals := _rivals(ranking, candidates):
            run.note(f"{rivals} different answers have the most votes; the pool's order decides")
        return Result(first(ranking, candidates), "voted", ranking)


def _rivals(ranking: Ranking, candidates: list[Candidate]) -> int:
    """How many different answers share the first place; 0 when there is one."""
    most = ranking.scores[ranking.best]
    answers = {normal_form(c.text) for c in candidates if ranking.scores[c.id] == most}
    return len(answers) if len(answers) > 1 else 0
