"""Epsilon-greedy: mostly the best, now and then anybody."""

from __future__ import annotations

import random
from dataclasses import dataclass

from coterie.decisions.ordering import best_first, qualities
from coterie.prospects import Choice, Prospects


@dataclass(frozen=True)
class Explore:
    """The member of highest expected quality, but with probability `epsilon` one drawn from all alike.

    How stateless Q-learning acts (PickLLM, 2412.12170). Members of whom nothing is known count as the worst, so they
    are found by drawing alone.
    """

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.epsilon <= 1.0:
            raise ValueError(f"epsilon is a probability, not {self.epsilon!r}")

    def choose(self, prospects: Prospects, rng: random.Random) -> Choice:
        known = qualities(prospects)
        order = best_first(prospects, known)
        even = self.epsilon / len(order)
        if rng.random() >= self.epsilon:
            why = f"{order[0]} has the highest expected quality" if known else "nothing is known of any member yet"
            return Choice(order, why, 1.0 - self.epsilon + even)
        drawn = rng.choice(order)
        likely = even + (1.0 - self.epsilon if drawn == order[0] else 0.0)
        rest = tuple(member for member in order if member != drawn)
        return Choice((drawn, *rest), f"{drawn} was drawn to learn about it (epsilon {self.epsilon:.4g})", likely)
