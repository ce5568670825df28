"""The table of one run: whose answers are there, who has a vote, and which answers have fallen to whom."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from coterie.judges.peer_review.duties import Seat, seated, stand_ins, way
from coterie.protocols import Arrival


class Table:
    """Reviewers and the answers that they review, some of which may never come.

    A member that was to write and did not has no vote: it hangs, or it is down.
    """

    def __init__(
        self, arrivals: Sequence[Arrival], reviewers: Sequence[str], each: int | None, rng: random.Random
    ) -> None:
        self._arrivals = arrivals
        self._authors = [arrival.author for arrival in arrivals]
        self._seats = seated(self._authors, reviewers, each, rng)
        self._own = {seat.reviewer: [a for a in arrivals if a.author == seat.reviewer] for seat in self._seats}
        self.reviewers = tuple(seat.reviewer for seat in self._seats)
        """Those who sit here, in their order round the table."""
        self.each = each or len(self._seats)
        """How many reviewers an answer is to have, and so how many of them a reviewer passes on its way."""

    def way(self, reviewer: str) -> Sequence[Seat]:
        return way(self._seats, reviewer)

    def on(self, seat: Seat, reviewer: str) -> Iterator[tuple[int, Arrival]]:
        """The answers on a seat, with their places, but for the reviewer's own."""
        return ((place, self._arrivals[place]) for place in seat.places if self._authors[place] != reviewer)

    # ---- who has a vote ----

    def votes(self, reviewer: str) -> bool:
        """True once it is certain that `reviewer` has a vote."""
        own = self._own[reviewer]
        return not own or any(arrival.arrived is not None for arrival in own)

    async def will_vote(self, reviewer: str) -> bool:
        """Whether `reviewer` has a vote, once that is known."""
        for arrival in self._own[reviewer]:
            if await arrival.candidate() is not None:
                return True
        return not self._own[reviewer]

    def own(self, reviewer: str) -> tuple[str, ...]:
        """The ids of a reviewer's own answers, as far as they are there: its review waited for the first of them."""
        return tuple(arrival.arrived.id for arrival in self._own[reviewer] if arrival.arrived is not None)

    # ---- when every answer is there ----

    def held(self) -> Mapping[str, tuple[int, ...]]:
        """By reviewer with a vote: the places of the answers that fall to it, of those that are there by now."""
        return {reviewer: tuple(self._held(reviewer)) for reviewer in self.reviewers if self.votes(reviewer)}

    def _held(self, reviewer: str) -> Iterator[int]:
        passed = 0
        for seat in self.way(reviewer):
            yield from (place for place, arrival in self.on(seat, reviewer) if arrival.arrived is not None)
            passed += self.votes(seat.reviewer)
            if passed == self.each:
                return

    def ids(self, places: Sequence[int]) -> tuple[str, ...]:
        there = (self._arrivals[place].arrived for place in places)
        return tuple(candidate.id for candidate in there if candidate is not None)

    def stand_ins(self) -> Mapping[str, Seat]:
        """By reviewer: who reviews in its place if it fails, at a seat with what is then to be reviewed."""
        return {name: Seat(other, places) for name, (other, places) in stand_ins(self.held(), self._authors).items()}

    async def complete(self) -> None:
        """Return when it is known of every answer whether there is one."""
        for arrival in self._arrivals:
            await arrival.candidate()
