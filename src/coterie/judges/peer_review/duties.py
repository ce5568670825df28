"""Who reviews what: reviewers sit round a table, and an answer is reviewed by those who sit next after it.

So nobody plans for a member that does not write: the circle closes over it, and every answer that there is
still gets as many reviewers, who have equally much to do.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Seat:
    """A reviewer's place at the table, with the answers that lie on it."""

    reviewer: str
    places: tuple[int, ...]
    """Of answers: the reviewer's own, and perhaps some by those who do not review."""


def seated(authors: Sequence[str], reviewers: Sequence[str], each: int | None, rng: random.Random) -> list[Seat]:
    """`reviewers` round a table, and one answer by each of `authors`, as evenly as may be. Who sits where is drawn.

    Of more reviewers than could see two answers each, only so many sit down: a ballot on one answer ranks nothing.
    """
    drawn = rng.sample(reviewers, len(reviewers))
    if each is not None and each > 1:
        drawn = drawn[: max(each + 1, each * len(authors) // 2)]
    shares = _shares(len(authors), len(drawn))
    largest_first = sorted(rng.sample(range(len(drawn)), len(drawn)), key=shares.__getitem__, reverse=True)
    own = {name: tuple(place for place, author in enumerate(authors) if author == name) for name in drawn}
    drawn.sort(key=lambda name: len(own[name]), reverse=True)
    at = dict(zip(largest_first, drawn, strict=True))
    others = [place for place, author in enumerate(authors) if author not in own]
    rng.shuffle(others)
    table = []
    for seat, share in enumerate(shares):
        mine = own[at[seat]]
        room = max(0, share - len(mine))
        table.append(Seat(at[seat], (*mine, *others[:room])))
        del others[:room]
    return table


def _shares(number: int, seats: int) -> list[int]:
    """How many of so many answers lie on each seat: any few seats in a row hold equally many, or one more."""
    return [(n + 1) * number // seats - n * number // seats for n in range(seats)]


def way(table: Sequence[Seat], reviewer: str) -> Sequence[Seat]:
    """The seats in the order in which `reviewer` takes answers from them: those before it, nearest first, then its own.

    It stops when it has passed as many reviewers as each answer is to have.
    """
    at = next(n for n, seat in enumerate(table) if seat.reviewer == reviewer)
    return [*reversed(table[:at]), *reversed(table[at:])]


def stand_ins(held: Mapping[str, Sequence[int]], authors: Sequence[str]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """For each reviewer, who reviews in its place if it fails, and which of the answers that it holds.

    `held` is in the order round the table; whoever sits next and can do most stands in. Nobody gets its own answer,
    or one twice, whoever fails. Nobody stands in where everybody reviews everything, or for what would
    be a ballot on one answer out of several.
    """
    taken = {reviewer: set(places) for reviewer, places in held.items()}
    table = list(held)
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for at, reviewer in enumerate(table):
        free = {
            other: tuple(place for place in held[reviewer] if authors[place] != other and place not in taken[other])
            for other in (*table[at + 1 :], *table[:at])
        }
        best = max(free, key=lambda other: len(free[other]), default=reviewer)
        if best != reviewer and len(free[best]) >= max(1, min(2, len(held[reviewer]))):
            found[reviewer] = best, free[best]
            taken[best].update(free[best])
    return found
