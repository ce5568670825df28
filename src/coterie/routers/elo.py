"""Elo ratings of members that are compared two at a time."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, MutableSequence, Sequence
from dataclasses import dataclass, field

from coterie.prospects import Scale

INITIAL = 1000.0
"""Elo points of whoever has not been compared yet. Only differences of ratings mean anything."""

Battle = tuple[int, int, float]
"""Two places among the members, and the result for the first: 1 it was better, 0 it was worse, 1/2 a tie."""


def expected(own: float, other: float) -> float:
    """The result that the ratings foretell, E = 1 / (1 + 10^((other - own) / 400)), in [0, 1]."""
    return Scale.ELO.preference(own, other)


def gained(own: float, other: float, result: float, k: float) -> float:
    """Elo points that the first gains from a battle and the second loses by it: K (S - E)."""
    return k * (result - expected(own, other))


def replay(ratings: MutableSequence[float], battles: Iterable[Battle], k: float) -> None:
    """Afterwards `ratings` have been through `battles`, one after the other; their sum is as it was.

    The same as `gained` for each, written out because a decision may replay a thousand.
    """
    for first, second, result in battles:
        own, other = ratings[first], ratings[second]
        moved = k * (result - 1.0 / (1.0 + 10.0 ** ((other - own) / 400.0)))
        ratings[first] = own + moved
        ratings[second] = other - moved


@dataclass(eq=False)
class Ratings:
    """Ratings that follow battles as they come, and the mean of each over those that its member was in.

    A battle changes the ratings of two and the means of two, whatever the number of members.
    """

    k: float = 32.0
    """The most that one battle can move a rating, in Elo points."""
    final: array[float] = field(default_factory=lambda: array("d"))
    """After the last battle, one a member."""
    totals: array[float] = field(default_factory=lambda: array("d"))
    """The sum of the ratings that a member had after each of its battles."""
    counts: array[int] = field(default_factory=lambda: array("q"))
    """How many battles a member was in."""

    def __len__(self) -> int:
        return len(self.final)

    def join(self) -> None:
        """Afterwards there is a member more, at the initial rating."""
        self.final.append(INITIAL)
        self.totals.append(0.0)
        self.counts.append(0)

    def add(self, battles: Iterable[Battle]) -> None:
        """Afterwards the ratings have been through `battles`."""
        final, totals, counts, k = self.final, self.totals, self.counts, self.k
        for first, second, result in battles:
            replay(final, ((first, second, result),), k)
            for member in (first, second):
                totals[member] += final[member]
                counts[member] += 1

    def restore(self, final: Sequence[float], totals: Sequence[float], counts: Sequence[int]) -> None:
        """Afterwards they are those of as many members. Raises `ValueError` for others, or what is no rating."""
        if not len(final) == len(totals) == len(counts) == len(self):
            raise ValueError(f"{len(self)} members have {len(final)}, {len(totals)} and {len(counts)} numbers")
        self.final, self.totals = array("d", map(float, final)), array("d", map(float, totals))
        self.counts = array("q", map(int, counts))

    def averages(self) -> Sequence[float]:
        """The mean rating of each over its own battles; the initial rating of whoever was in none."""
        return [total / count if count else INITIAL for total, count in zip(self.totals, self.counts, strict=True)]
