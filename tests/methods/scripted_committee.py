"""A committee of scripted members for the tests of methods: who answers what, reviews how and fuses into what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from coterie import Answer, Committee, Limits, Reply, Request, ScriptedMember, Trace
from coterie.members.scripted import ScriptedModel
from coterie.protocols import Method
from review_prompts import honest

QUESTION = "What is the capital of France?"
UNLIMITED = Limits()

Stage = Literal["generate", "review", "fuse"]
Said = Reply | str


def stage_of(request: Request) -> Stage:
    """What a member is asked for, by the prompt."""
    said = request.messages[-1].text
    if said.startswith("You are reviewing"):
        return "review"
    return "fuse" if said.startswith("Several assistants answered") else "generate"


def answers_in(prompt: str) -> dict[str, str]:
    """The quoted answers of a review or of an aggregator's prompt, by label."""
    return dict(re.findall(r'<answer-\w+ id="(\w+)">\n(.*?)\n</answer-\w+>', prompt, re.DOTALL))


def by(score: Callable[[str], float]) -> Callable[[str], Said]:
    """A review that scores every answer by a rule, in whatever ballot it is asked for."""
    return honest(score, reason="")


def fixed(**scores: float) -> Callable[[str], Said]:
    """A review that scores answers as told, by their text."""
    return by(lambda text: scores[text])


LONGER_IS_BETTER = by(lambda text: min(5, len(text)))


@dataclass
class Cast:
    """What one member says at each stage, and what it was asked."""

    name: str
    answer: Said = ""
    review: Said | Callable[[str], Said] = LONGER_IS_BETTER
    fused: Said | Callable[[str], Said] = "fused"
    asked: list[tuple[Stage, str]] = field(default_factory=list)

    def member(self, **how: Any) -> ScriptedMember:
        return replace(ScriptedMember(self.name, script=self._say), **how)

    def _say(self, request: Request, number: int) -> Said:
        stage, prompt = stage_of(request), request.messages[-1].text
        self.asked.append((stage, prompt))
        said = {"generate": self.answer or self.name, "review": self.review, "fuse": self.fused}[stage]
        return said(prompt) if callable(said) else said

    def prompts(self, stage: Stage) -> list[str]:
        return [prompt for at, prompt in self.asked if at == stage]


@dataclass
class Asked:
    """An answer, the trace of how it came about, and what is still going on afterwards."""

    answer: Answer
    trace: Trace
    active: int


def ask(
    members: Sequence[Cast | ScriptedMember],
    method: Method,
    limits: Limits = UNLIMITED,
    seed: int = 1,
    how: Mapping[str, Any] | None = None,
) -> Asked:
    """What the committee answers."""
    pool = [member if isinstance(member, ScriptedMember) else member.member() for member in members]

    async def work() -> Asked:
        traces: list[Trace] = []
        async with Committee(pool, {"default": method}, limits) as committee:
            seats = await committee.aopen()
            answer = await committee.aask(QUESTION, seed=seed, on_trace=traces.append, **(how or {}))
            models = [seat.model for seat in seats.values() if isinstance(seat.model, ScriptedModel)]
            return Asked(answer, traces[0], sum(model.active for model in models))

    return asyncio.run(work())
