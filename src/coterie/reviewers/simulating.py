"""Committees whose truth is known: to see what learned weights are worth, and when they are worth nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from coterie.reviewers.reviews import Review, battles_of
from coterie.types import Judgement

LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True)
class Question:
    """One question as a simulated committee dealt with it. A candidate's id is its author's name."""

    run: str
    quality: Mapping[str, float]
    """What each answer is worth."""
    ballots: tuple[Judgement, ...]

    @property
    def best(self) -> str:
        return max(self.quality, key=self.quality.__getitem__)

    @property
    def reviews(self) -> list[Review]:
        """The ballots as they are learned from."""
        authors = {name: name for name in self.quality}
        read = [(ballot.judge, tuple(battles_of(ballot, authors))) for ballot in self.ballots]
        return [Review(self.run, reviewer, fought) for reviewer, fought in read if fought]


@dataclass(frozen=True)
class Simulated:
    """Members of known ability and reliability, who review all answers but their own."""

    abilities: Mapping[str, float]
    """The mean quality of each member's answers."""
    noise: Mapping[str, float]
    """The standard deviation of what each adds to an answer's quality when it reviews."""
    spread: float = 0.8
    """The standard deviation of answers about their author's ability."""

    def ask(self, run: str, rng: random.Random) -> Question:
        """Answers of drawn quality, and ballots with scores from 1 to 5: quality and noise about 3, rounded."""
        quality = {name: ability + rng.gauss(0.0, self.spread) for name, ability in self.abilities.items()}
        return Question(run, quality, tuple(self._ballot(name, quality, rng) for name in self.abilities))

    def _ballot(self, reviewer: str, quality: Mapping[str, float], rng: random.Random) -> Judgement:
        seen = {name: 3 + worth + rng.gauss(0.0, self.noise[reviewer]) for name, worth in quality.items()}
        scores = {name: float(min(HIGHEST, max(LOWEST, round(s)))) for name, s in seen.items() if name != reviewer}
        return Judgement(reviewer, tuple(scores), tuple(scores.values()))
