"""All reviewers at work on one request, side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from coterie.judges.peer_review.duties import Seat
from coterie.judges.peer_review.expected import expected
from coterie.judges.peer_review.likelihood import likelihood
from coterie.judges.peer_review.listwise import listwise
from coterie.judges.peer_review.pointwise import pointwise
from coterie.judges.peer_review.reviewing import Reviewer, Reviewing
from coterie.judges.peer_review.table import Table
from coterie.protocols import Run
from coterie.types import BallotMode, Judgement, Outstanding, Request

_CAST: Mapping[BallotMode, Callable[[Reviewing], Awaitable[Judgement]]] = {
    BallotMode.TEXT: listwise,
    BallotMode.POINTWISE: pointwise,
    BallotMode.SCORE_LOGPROB: expected,
    BallotMode.LIKELIHOOD: likelihood,
}

_CUT = "cut: enough others had answered and the grace time was over"
_SETTLED = "cut: it could not change the outcome any more"


class Sitting:
    """The ballots of those who sit round one table."""

    def __init__(self, reviewers: Mapping[str, Reviewer], table: Table, request: Request, run: Run) -> None:
        self._reviewers = reviewers
        self._table = table
        self._request = request
        self._run = run
        self._silent: dict[str, tuple[Judgement, str]] = {}
        """By reviewer: its abstention, and who was asked in its place."""
        self._settled = False
        self._awaited: Mapping[str, Outstanding] = {}

    async def ballots(self) -> Mapping[str, Sequence[Judgement]]:
        """By reviewer, what was said in its turn: by itself, and where it abstained by its stand-in too.

        Nothing of a reviewer whose own answer did not come.
        """
        names = self._table.reviewers
        given = await self._run.gather([self._turn(name) for name in names], until=self._enough)
        return {name: tuple(self._said(name, ballot)) for name, ballot in zip(names, given, strict=True)}

    def _said(self, name: str, ballot: Judgement | None) -> Iterator[Judgement]:
        if not self._table.votes(name):
            return
        last = name
        if name in self._silent:
            abstention, last = self._silent[name]
            yield abstention
        yield ballot or Judgement.abstain(last, _SETTLED if self._settled else _CUT)

    # ---- one reviewer's turn ----

    async def _turn(self, name: str) -> Judgement | None:
        """Its ballot, or that of its stand-in where it abstains; ``None`` once its own answer will not come."""
        ballot = await self._ballot(name, self._table.way(name))
        if ballot is None or ballot.about or self._run.expired:
            return ballot
        if ballot.abstained in (_CUT, _SETTLED):  # in a replay of a run in which nobody waited for it
            return ballot
        await self._table.complete()
        seat = self._table.stand_ins().get(name)
        if seat is None:
            return ballot
        self._silent[name] = ballot, seat.reviewer
        return await self._ballot(seat.reviewer, [seat])

    async def _ballot(self, name: str, seats: Sequence[Seat]) -> Judgement | None:
        """The ballot of a member on what lies on these seats; ``None`` where its own answer does not come.

        Nobody is asked to review before it has answered: who is in trouble would be in more, and its ballot would not
        count.
        """
        if not await self._table.will_vote(name):
            return None
        reviewer = self._reviewers[name]
        ballot = await _CAST[reviewer.mode](Reviewing(reviewer, self._request, self._run, self._table, seats))
        return replace(ballot, weight=reviewer.weight) if ballot.about else ballot

    # ---- when to stop ----

    def _enough(self, given: Sequence[Judgement | None]) -> bool:
        """True once the run has decided. Where no ballot compares two answers methods rank otherwise, so not before."""
        cast = [ballot for ballot in given if ballot is not None]
        if not any(len(ballot.about) > 1 for ballot in cast) or not self._run.decided(cast, ()):
            return False  # with nothing outstanding it is decided, unless nobody wants it to be
        self._awaited = self._awaited or dict(self._outstanding())
        said = dict(zip(self._table.reviewers, given, strict=True))
        self._settled = self._run.decided(cast, [out for name, out in self._awaited.items() if said[name] is None])
        return self._settled

    def _outstanding(self) -> Iterator[tuple[str, Outstanding]]:
        """By reviewer with a vote: what may come in its turn, from its stand-in too, once every answer is there."""
        stand_ins = self._table.stand_ins()
        for name, places in self._table.held().items():
            seat = stand_ins.get(name)
            speaking = [self._reviewers[name], *([self._reviewers[seat.reviewer]] if seat else [])]
            ends = [reviewer.ends for reviewer in speaking if reviewer.ends is not None]
            bounded = len(ends) == len(speaking)
            yield (
                name,
                Outstanding(
                    self._table.ids(places),
                    max(reviewer.weight for reviewer in speaking),
                    min(low for low, _ in ends) if bounded else None,
                    max(high for _, high in ends) if bounded else None,
                ),
            )
