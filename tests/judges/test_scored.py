"""A judgement for each score, and an abstention for what is none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from coterie.judges.scored import scored
from coterie.run import LiveRun
from coterie.trace import WorkDone
from coterie.types import Candidate, Judgement, Limits, Request

REQUEST = Request.of("Who?")
CANDIDATES = [Candidate(f"c{n}", "a", "text") for n in range(4)]


def judged(scores: Sequence[float | None], *, deadline_s: float = 60, takes_s: float = 0) -> list[Judgement]:
    async def job() -> Sequence[float | None]:
        await asyncio.sleep(takes_s)
        return scores

    async def work() -> list[Judgement]:
        run = LiveRun(REQUEST, {}, Limits(deadline_s=deadline_s), seed=1)
        made = await scored("mine", job(), CANDIDATES[: len(scores)], run)
        works = {event.work for event in run.ledger.trace.of(WorkDone)}
        assert {call for judgement in made for call in judgement.calls} <= works
        return made

    return asyncio.run(work())


def test_what_is_no_score_is_an_abstention_about_one_candidate() -> None:
    made = judged([1.5, None, float("nan"), float("-inf")])
    assert [(judgement.about, judgement.scores) for judgement in made] == [(("c0",), (1.5,)), *[((), ())] * 3]
    assert ["'c1'" in made[1].abstained, "nan" in made[2].abstained, "-inf" in made[3].abstained] == [True] * 3
    assert all(len(judgement.calls) == 1 for judgement in made)


def test_no_candidate_is_no_judgement() -> None:
    assert judged([]) == []


def test_at_the_deadline_it_abstains_once() -> None:
    (made,) = judged([1.0, 2.0], deadline_s=0.05, takes_s=5)
    assert made.about == ()
    assert "deadline" in made.abstained
