"""Candidates on their way, and a judge that begins before they are all there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from coterie import Limits, NoAnswer, Reply, Request, ScriptedMember
from coterie.members.scripted import ScriptedModel
from coterie.protocols import Aim, Arrival, Run
from coterie.run import LiveRun, Seat
from coterie.run.arriving import Awaited, awaited
from coterie.trace import JudgementMade
from coterie.types import Candidate, Failure, FailureKind, Judgement, Outstanding

QUESTION = Request.of("What?")
ANN = Candidate("c1", "ann", "Paris")
FAILED = Failure("ann", "HTTP 500", FailureKind.HTTP)


async def said(outcome: Candidate | Failure, seconds: float = 0.01) -> Candidate | Failure:
    await asyncio.sleep(seconds)
    return outcome


# ---- one arrival ------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "arrived"), [(ANN, ANN), (FAILED, None)])
def test_any_number_may_wait_and_all_are_told(outcome: Candidate | Failure, arrived: Candidate | None) -> None:
    async def work() -> None:
        [arrival] = awaited(["ann"])
        waiting = [asyncio.ensure_future(arrival.candidate()) for _ in range(3)]
        assert (arrival.author, arrival.arrived) == ("ann", None)
        assert await arrival.by(said(outcome)) == outcome
        assert await asyncio.gather(*waiting) == [arrived] * 3
        assert (arrival.arrived, await arrival.candidate()) == (arrived, arrived)

    asyncio.run(work())


def test_who_stops_waiting_takes_it_from_nobody() -> None:
    async def work() -> None:
        arrival = Awaited("ann")
        impatient, patient = (asyncio.ensure_future(arrival.candidate()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        assert await arrival.by(said(ANN)) == ANN
        assert await patient == ANN

    asyncio.run(work())


def test_a_call_that_is_cut_or_breaks_leaves_no_candidate() -> None:
    async def broken() -> Candidate:
        raise KeyError("a defect")

    async def work() -> None:
        cut, breaking = awaited(["ann", "bob"])
        task = cut.by(said(ANN, 5))
        await asyncio.sleep(0)
        task.cancel()
        assert await cut.candidate() is None
        with pytest.raises(KeyError, match="a defect"):
            await breaking.by(broken())
        assert await breaking.candidate() is None

    asyncio.run(work())


def test_a_call_that_is_cancelled_before_it_began_is_nobodys_loose_end() -> None:
    async def work() -> None:
        arrival = Awaited("ann")
        arrival.by(said(ANN)).cancel()
        assert await arrival.candidate() is None

    asyncio.run(work())


def test_giving_up_changes_nothing_that_is_known() -> None:
    async def work() -> None:
        here, gone = awaited(["ann", "bob"])
        await here.by(said(ANN))
        here.give_up()
        gone.give_up()
        gone.give_up()
        assert (here.arrived, await gone.candidate()) == (ANN, None)

    asyncio.run(work())


# ---- a judge that begins early ----------------------------------------------------------------


@dataclass
class Early:
    """A judge that writes down when it saw what."""

    aims: list[bool] = field(default_factory=list)
    seen: list[str | None] = field(default_factory=list)
    breaks: bool = False
    cancelled: bool = False

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        raise AssertionError("it can begin early")

    async def judge_early(self, request: Request, arrivals: Sequence[Arrival], run: Run) -> Sequence[Judgement]:
        try:
            return await self._judged(arrivals, run)
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def _judged(self, arrivals: Sequence[Arrival], run: Run) -> Sequence[Judgement]:
        self.aims.append(run.decided([], []))
        for arrival in arrivals:
            candidate = await arrival.candidate()
            self.seen.append(candidate.author if candidate else None)
        if self.breaks:
            raise KeyError("a defect of the judge's")
        await asyncio.sleep(0.01)
        self.aims.append(run.decided([], []))
        self.aims.append(run.decided([], [Outstanding(("c1", "c2"))]))
        return [Judgement("early", ("c1", "c2"), (1.0, 2.0))]


def judged(judge: Early, *members: ScriptedMember, aim: Aim | None = None, limits: Limits | None = None) -> LiveRun:
    async def work() -> LiveRun:
        seats = {member.name: Seat(member.card, ScriptedModel(member)) for member in members}
        run = LiveRun(QUESTION, seats, limits or Limits())
        try:
            await run.judged(list(seats), QUESTION, judge, aim)
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}
        return run

    return asyncio.run(work())


PARIS, LYON = ScriptedMember("ann", ("Paris",)), ScriptedMember("bob", (Reply("Lyon", latency_s=0.03),))
DOWN = ScriptedMember("cat", (Reply(fail=FailureKind.HTTP, error="HTTP 500"),))


def test_it_sees_candidates_as_they_come_and_its_judgements_are_recorded() -> None:
    judge = Early()
    run = judged(judge, PARIS, LYON, DOWN)
    assert judge.seen == ["ann", "bob", None]
    assert [event.judgement.judge for event in run.ledger.trace.of(JudgementMade)] == ["early"]


@pytest.mark.parametrize(("aim", "decided"), [(None, [False, False, False]), (Aim("borda"), [False, True, False])])
def test_nothing_is_decided_without_an_aim_or_before_every_answer_is_there(
    aim: Aim | None, decided: list[bool]
) -> None:
    judge = Early()
    judged(judge, PARIS, LYON, aim=aim)
    assert judge.aims == decided


def test_a_single_candidate_needs_no_judgement() -> None:
    judge = Early()
    run = judged(judge, PARIS, DOWN)
    assert list(run.ledger.trace.of(JudgementMade)) == []
    assert judge.cancelled


def test_where_there_is_no_candidate_nobody_is_asked_to_judge() -> None:
    judge = Early(breaks=True)
    with pytest.raises(NoAnswer):
        judged(judge, DOWN)
    assert judge.seen in ([], [None])


def test_what_the_judge_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="a defect of the judge's"):
        judged(Early(breaks=True), PARIS, LYON)
