"""PiCO: the weights that go best with how the reviewers' own answers fare under them (2402.01830)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coterie.reviewers.learned import LEAST_PEERS, Learned, check_enough, check_lowest, made
from coterie.reviewers.reviews import Review
from coterie.reviewers.tally import Tally

Vector = list[float]
Wins = Sequence[Vector]
"""For each peer, what share of all its battles it won and which of the peers said so."""

SETTLED = 1e-9
"""A correlation this near to 1 is one."""


@dataclass(frozen=True)
class PiCO:
    """Weights w in (0, 1) that maximise Pearson's correlation of w with G(w), by gradient ascent.

    G of a member is the sum of the weights of those who found its answer the better one, ties half, over its
    number of battles. There are weights of correlation 1 for every level of trust in the worst reviewer (with
    G = A w, those of (A - z) w = c for any z above A's first eigenvalue), and which of them is found depends on
    the start; starts agree in the order of reviewers. Hence several starts, and their mean.
    """

    starts: int = 10
    """Weights to begin from, each sigma(z) with z drawn from a standard normal distribution."""
    steps: int = 500
    """At most so many from each start."""
    rate: float = 2.0
    """The step along the gradient with respect to z. Above about 10 small committees overshoot."""
    eliminate: float = 0.0
    """The share of reviewers that are left out, one by one, the one with the lowest G first, each time learning
    anew. The paper goes up to 0.6. What is left is never fewer than 4."""
    lowest: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("starts", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if not self.rate > 0:
            raise ValueError(f"rate must be greater than 0, not {self.rate!r}")
        if not 0 <= self.eliminate < 1:
            raise ValueError(f"eliminate is a share of the reviewers below 1, not {self.eliminate!r}")
        check_lowest(self.lowest)

    def learn(self, reviews: Iterable[Review], *, force: bool = False) -> Learned:
        """The weights of all who reviewed; one whose own answers nobody reviewed gets the others' mean.

        Raises `ConfigError` for fewer than 4 members that reviewed each other or fewer than 100 reviews, unless
        `force` is set, which is noted then.
        """
        given = tuple(reviews)
        tally = Tally.of(given)
        notes = list(check_enough(tally, force))
        peers = list(tally.peers)
        go = min(math.floor(self.eliminate * len(peers)), len(peers) - LEAST_PEERS)
        weights, scores = self._fitted(tally, peers)
        for _ in range(go):
            peers.remove(min(peers, key=lambda name: (scores[name], name)))
            weights, kept = self._fitted(tally, peers)
            scores |= kept
        if len(set(weights.values())) == 1:
            notes.append("no member's answers were found better than another's, so all weigh alike")
        mean = math.fsum(weights.values()) / len(weights) if weights else 1.0
        raw = {name: weights.get(name, 0.0 if name in tally.peers else mean) for name in tally.reviews}
        if go > 0:
            notes.append(f"left out: {', '.join(name for name in tally.peers if name not in peers)}")
        return made("pico", given, tally, raw, scores, self.lowest, notes)

    def _fitted(self, tally: Tally, peers: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
        """Weights and G of the peers, by name."""
        wins = [_row(tally, author, peers) for author in peers]
        alike = [1.0] * len(peers)
        found = (
            [self._climbed(wins, start) for start in range(self.starts)] if _spread(_fares(wins, alike)) else [alike]
        )
        mean = [math.fsum(column) / len(found) for column in zip(*found, strict=True)]
        return dict(zip(peers, mean, strict=True)), dict(zip(peers, _fares(wins, mean), strict=True))

    def _climbed(self, wins: Wins, start: int) -> Vector:
        """Weights that go with how the peers fare under them, from one start."""
        rng = random.Random(f"{self.seed} {start}")
        z = [rng.gauss(0.0, 1.0) for _ in wins]
        w = [_sigmoid(x) for x in z]
        for _ in range(self.steps):
            rho, slope = consistency(wins, w)
            if rho > 1 - SETTLED:
                break
            z = [x + self.rate * rise * v * (1 - v) for x, rise, v in zip(z, slope, w, strict=True)]
            w = [_sigmoid(x) for x in z]
        return w


def consistency(wins: Wins, weights: Vector) -> tuple[float, Vector]:
    """Pearson's correlation of weights and G, and its gradient by the weights; 0 where one side is flat."""
    fares = _fares(wins, weights)
    x, y = _centred(weights), _centred(fares)
    length_x, length_y = math.hypot(*x), math.hypot(*y)
    if not (length_x and length_y):
        return 0.0, [0.0] * len(weights)
    x, y = [a / length_x for a in x], [b / length_y for b in y]
    rho = math.fsum(a * b for a, b in zip(x, y, strict=True))
    by_weight = [(b - rho * a) / length_x for a, b in zip(x, y, strict=True)]
    by_fare = [(a - rho * b) / length_y for a, b in zip(x, y, strict=True)]
    through = [math.fsum(row[n] * slope for row, slope in zip(wins, by_fare, strict=True)) for n in range(len(weights))]
    return rho, [direct + indirect for direct, indirect in zip(by_weight, through, strict=True)]


def _row(tally: Tally, author: str, peers: Sequence[str]) -> Vector:
    fought = math.fsum(tally.fought[author].get(reviewer, 0.0) for reviewer in peers)
    return [tally.won[author].get(reviewer, 0.0) / fought if fought else 0.0 for reviewer in peers]


def _fares(wins: Wins, weights: Sequence[float]) -> Vector:
    return [math.fsum(share * weight for share, weight in zip(row, weights, strict=True)) for row in wins]


def _centred(values: Sequence[float]) -> Vector:
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def _spread(values: Sequence[float]) -> bool:
    return bool(values) and max(values) - min(values) > SETTLED


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
