"""One reviewer at work: who it is, what falls to it, and what every kind of ballot does alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from coterie.judges.peer_review.duties import Seat
from coterie.judges.peer_review.form import Form
from coterie.judges.peer_review.table import Table
from coterie.protocols import Arrival, Run
from coterie.types import BallotMode, Candidate, Card, Failure, FailureKind, Judgement, Request

T = TypeVar("T")

IDLE = "there is no answer for it to review"


@dataclass(frozen=True)
class Reviewer:
    """A member as a reviewer: how it reviews, and how much that counts."""

    card: Card
    mode: BallotMode
    form: Form
    weight: float = 1.0
    max_tokens: int = 400
    less_unconditional: bool = False

    @property
    def ends(self) -> tuple[float, float] | None:
        """The lowest and the highest score that it can give; ``None`` where its scale has no ends."""
        low, high = self.form.scale
        match self.mode:
            case BallotMode.POINTWISE:
                return low * len(self.form.criteria), high * len(self.form.criteria)
            case BallotMode.TEXT | BallotMode.SCORE_LOGPROB:
                return low, high
            case BallotMode.LIKELIHOOD:
                return None


@dataclass(frozen=True)
class Reviewing:
    """A reviewer's duty in one run."""

    reviewer: Reviewer
    request: Request
    run: Run
    table: Table
    seats: Sequence[Seat]
    """From which it takes answers, in this order, until it has passed as many reviewers as an answer is to have."""

    @property
    def name(self) -> str:
        return self.reviewer.card.name

    @property
    def form(self) -> Form:
        return self.reviewer.form

    # ---- what falls to it ----

    async def answers(self) -> list[Candidate]:
        """All that falls to it, in pool order, once it is known."""
        found: dict[int, Candidate] = {}
        counts = self.table.each < len(self.seats)  # else its way ends with the last seat, whoever has a vote
        passed = 0
        for seat in self.seats:
            for place, arrival in self.table.on(seat, self.name):
                if (candidate := arrival.arrived or await arrival.candidate()) is not None:
                    found[place] = candidate
            passed += counts and await self._passed(seat)
            if passed == self.table.each:
                break
        return [found[place] for place in sorted(found)]

    async def each(self, review: Callable[[Candidate], Awaitable[T]]) -> list[tuple[Candidate, T]]:
        """What `review` returns of each answer, in pool order. It begins as soon as the answer is there."""
        seats = iter(self.seats)

        async def along() -> dict[int, tuple[Candidate, T]]:
            """The reviews from one seat, and from another where nobody with a vote sits at this one."""
            said: dict[int, tuple[Candidate, T]] = {}
            for seat in seats:
                reviews = [of(place, arrival) for place, arrival in self.table.on(seat, self.name)]
                if len(reviews) > 1:
                    return said | _all(await self.run.gather([*reviews, beyond(seat)], every=True))
                said |= await reviews[0] if reviews else {}
                if await self._passed(seat):
                    break
            return said

        async def beyond(seat: Seat) -> dict[int, tuple[Candidate, T]]:
            return {} if await self._passed(seat) else await along()

        async def of(place: int, arrival: Arrival) -> dict[int, tuple[Candidate, T]]:
            candidate = await arrival.candidate()
            return {} if candidate is None else {place: (candidate, await review(candidate))}

        side_by_side = [along() for _ in range(min(self.table.each, len(self.seats)))]
        said = _all(await self.run.gather(side_by_side, every=True))
        return [said[place] for place in sorted(said)]

    async def _passed(self, seat: Seat) -> bool:
        """Whether somebody with a vote sits there. Nobody waits for its own answer: its way ends at its own seat."""
        return seat.reviewer == self.name or await self.table.will_vote(seat.reviewer)

    def needs(self, *candidates: Candidate) -> tuple[str, ...]:
        """What a call waited for that speaks of these: the answers, and the reviewer's own."""
        return (*(candidate.id for candidate in candidates), *self.table.own(self.name))

    # ---- where there is no ballot ----

    def abstain(self, why: str, calls: Sequence[str] = ()) -> Judgement:
        return Judgement.abstain(self.name, why, calls)

    def failed(self, failures: Sequence[Failure]) -> Judgement:
        """A ballot that was not given, and why: the first of the failures that is a reason by itself."""
        why = next((failure for failure in failures if failure.kind is not FailureKind.EXCLUDED), failures[0])
        if why.kind is FailureKind.CUT:
            return self.abstain(why.error)
        calls = () if why.kind is FailureKind.EXCLUDED else (why.call,)
        return self.abstain(f"its review failed: {why.error}", calls)

    @property
    def idle(self) -> Judgement:
        return self.abstain(IDLE)


def _all(said: Sequence[dict[int, T] | None]) -> dict[int, T]:
    return {place: review for some in said for place, review in (some or {}).items()}
