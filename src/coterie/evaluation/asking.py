"""Putting examples before a judge: many at once, so that a ranker's batches stay full, and what it made of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from coterie.committee import Committee
from coterie.evaluation.labels import Ranks, comparisons_of
from coterie.examples import Comparison, Example
from coterie.protocols import Judge
from coterie.ranked import Ranked
from coterie.types import Limits, Message, Request

AT_ONCE = 64
"""Requests under way at a time: enough rows to choose a full batch of one length from, few enough to be held."""

PATIENCE = Limits(deadline_s=7 * 24 * 3600.0)
"""An evaluation waits: a deadline would turn a slow judge into a silent one."""


@dataclass(frozen=True)
class Ruled:
    """A judge and the rule that makes rankings of what it says."""

    name: str
    judge: Judge
    rule: str = "max_logits"


@dataclass(frozen=True)
class Asked:
    """What a judge made of examples."""

    name: str
    ranks: tuple[Ranks, ...]
    """For each example. Where the judge said nothing, all candidates are tied."""
    silent: int
    """Examples with several candidates of which it said nothing."""
    failures: int
    """Calls and forwards that failed."""
    why: str
    """The first reason why it said nothing, or failed; empty where it never did."""
    seconds: float

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before trusting its numbers."""
        if not (self.silent or self.failures):
            return ()
        said = f"said nothing of {self.silent} of {len(self.ranks)} examples, where its picks count as drawn by lot"
        return (f"{self.name} {said}; {self.failures} calls failed; first: {self.why or 'no reason given'}",)


async def ask_all(
    committee: Committee,
    ruled: Ruled,
    examples: Sequence[Example],
    *,
    at_once: int = AT_ONCE,
    seed: int = 0,
    on_done: Callable[[], None] = lambda: None,
) -> Asked:
    """What the judge makes of every example, `at_once` of them under way; `on_done` is called after each.

    The same seed gives the same draws, whatever is done first. A judge's defect ends the whole.
    """
    answers: dict[int, _Answer] = {}
    left = iter(enumerate(examples))
    began = time.monotonic()

    async def work() -> None:
        for n, example in left:  # shared: each takes the next one
            answers[n] = await _asked(committee, ruled, example, seed + n)
            on_done()

    workers = [asyncio.ensure_future(work()) for _ in range(max(1, min(at_once, len(examples))))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    told = [answers[n] for n in range(len(examples))]
    return Asked(
        ruled.name,
        tuple(answer.ranks for answer in told),
        sum(answer.silent for answer in told),
        sum(answer.failures for answer in told),
        next((answer.why for answer in told if answer.why), ""),
        time.monotonic() - began,
    )


@dataclass(frozen=True)
class _Answer:
    ranks: Ranks
    silent: bool = False
    failures: int = 0
    why: str = ""


async def _asked(committee: Committee, ruled: Ruled, example: Example, seed: int) -> _Answer:
    if not example.candidates:
        return _Answer(())
    ranked = await committee.arank(
        request_of(example),
        [(text.model, text.text) for text in example.candidates],
        judge=ruled.judge,
        rule=ruled.rule,
        limits=PATIENCE,
        seed=seed,
    )
    silent = len(ranked.candidates) > 1 and not any(judgement.about for judgement in ranked.judgements)
    return _Answer(ranked.ranks, silent, len(ranked.failures), _why(ranked))


async def compared_with_all(
    committee: Committee, judge: Judge, example: Example, text: str, *, seed: int = 0
) -> list[Comparison]:
    """What a judge of pairs says of `text` and each candidate, as `labels.rank_of_text` takes it.

    The text stands at place ``len(example.candidates)``. A pair of which the judge says nothing is left out.
    """
    new = len(example.candidates)

    async def beside(n: int) -> list[Comparison]:
        candidate = example.candidates[n]
        pair = [(candidate.model, candidate.text), ("", text)]
        ranked = await committee.arank(request_of(example), pair, judge=judge, limits=PATIENCE, seed=seed + n)
        said = comparisons_of(ranked.judgements, [c.id for c in ranked.candidates])
        return [replace(c, a=(n, new)[c.a], b=(n, new)[c.b]) for c in said]

    found = await asyncio.gather(*map(beside, range(new)))
    return [comparison for said in found for comparison in said]


def _why(ranked: Ranked) -> str:
    if ranked.failures:
        return f"{ranked.failures[0].member}: {ranked.failures[0].error}"
    return next((f"{j.judge}: {j.abstained}" for j in ranked.judgements if j.abstained), "")


def request_of(example: Example) -> Request:
    """What the candidates answer: the instruction as the system's turn, where there is an input beside it."""
    if example.instruction and example.input:
        return Request((Message("system", example.instruction), Message("user", example.input)))
    return Request((Message("user", example.source),))
