"""Tournaments: which comparisons to ask for, in rounds of independent ones, and what they decide.

A tournament is a generator: it yields a round of pairs, is sent one margin for each (positive when the
first of the pair is better), and returns an `Outcome`. Nothing here compares anything, so the same
tournament serves a GPU that wants large rounds and a person who answers one question at a time.

The number of comparisons is of unordered pairs; a ranker that reads both orders makes two forwards of each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

Round = list[tuple[int, int]]
"""Pairs of places in the field."""


@dataclass(frozen=True)
class Outcome:
    """What a tournament has decided."""

    best: tuple[int, ...]
    """The first places, best first: as many as were asked for."""
    comparisons: int
    """Unordered pairs compared."""
    rounds: int


Tournament = Generator[Round, Sequence[float], Outcome]


def play(tournament: Tournament, compare: Callable[[Round], Sequence[float]]) -> Outcome:
    """The outcome, with `compare` answering every round."""
    try:
        asked = next(tournament)
        while True:
            asked = tournament.send(compare(asked))
    except StopIteration as ended:
        outcome: Outcome = ended.value
        return outcome


def full(n: int) -> Tournament:
    """Everybody against everybody in one round: N (N - 1) / 2 comparisons. Ordered by summed margins."""
    pairs = list(combinations(range(n), 2))
    sums = [0.0] * n
    if pairs:
        for (a, b), margin in zip(pairs, (yield pairs), strict=True):
            sums[a] += margin
            sums[b] -= margin
    return Outcome(tuple(sorted(range(n), key=lambda i: -sums[i])), len(pairs), 1 if pairs else 0)


def bubble(n: int, rng: random.Random | None = None, *, worst: bool = False) -> Tournament:
    """The best (or worst) one by LLM-Blender's bubble: N - 1 comparisons, one after another.

    Neighbours in a random order (the given one without `rng`) are compared, and the winner goes on; a
    tie lets the later one go on, as the reference does.
    """
    order = list(range(n))
    if rng is not None:
        rng.shuffle(order)
    if not order:
        return Outcome((), 0, 0)
    standing = order[0]
    for challenger in order[1:]:
        (margin,) = yield [(standing, challenger)]
        keeps = margin < 0 if worst else margin > 0
        standing = standing if keeps else challenger
    return Outcome((standing,), n - 1, n - 1)


def top_k(n: int, k: int = 1, *, worst: bool = False) -> Tournament:
    """The first `k` places with few comparisons, in rounds that are as large as they can be.

    A knock-out finds the best in N - 1 comparisons and ceil(log2 N) rounds. Every further place is
    among those who lost to the ones before it alone; they play on, keeping all they have won so far. In
    all at most N - 1 + (K - 1) ceil(log2 N) comparisons. A tie goes to the one that stands first in the field.
    """
    comparisons = rounds = 0
    roots = [_Tree(i) for i in range(n)]
    best: list[int] = []
    while roots and len(best) < k:
        while len(roots) > 1:
            # The smallest trees meet first: that keeps every tree about as deep as its size allows.
            roots.sort(key=lambda tree: (tree.size, tree.place))
            pairs = [(roots[i], roots[i + 1]) for i in range(0, len(roots) - 1, 2)]
            rest = roots[len(pairs) * 2 :]
            margins = yield [(a.place, b.place) for a, b in pairs]
            sign = -1 if worst else 1
            roots = rest + [_joined(a, b, sign * m) for (a, b), m in zip(pairs, margins, strict=True)]
            comparisons += len(pairs)
            rounds += 1
        best.append(roots[0].place)
        roots = roots[0].beaten
    return Outcome(tuple(best), comparisons, rounds)


@dataclass
class _Tree:
    """One who has not lost yet, and those who lost to it directly."""

    place: int
    beaten: list[_Tree] = field(default_factory=list)
    size: int = 1


def _joined(a: _Tree, b: _Tree, margin: float) -> _Tree:
    a_wins = margin > 0 or (margin == 0 and a.place < b.place)
    winner, loser = (a, b) if a_wins else (b, a)
    winner.beaten.append(loser)
    winner.size += loser.size
    return winner
