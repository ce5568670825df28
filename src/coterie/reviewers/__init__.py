"""Reviewers' weights, learned offline out of recorded traces: who is to count how much when members judge each other.

Every way to learn is a frozen dataclass with a method ``learn(reviews, force=False)`` that returns a `Learned`. PRD and
PiCO rest on one assumption: who answers well reviews well. Nothing in a trace proves it; `Learned.trusted` says
how far reviewers that answer well also side with the others. `People` goes by what users said instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from coterie.reviewers.agreement import agreements
from coterie.reviewers.learned import LEAST_PEERS, LEAST_REVIEWS, Learned, Row
from coterie.reviewers.people import LEAST_PAIRS, People
from coterie.reviewers.pico import PiCO
from coterie.reviewers.prd import PRD
from coterie.reviewers.reviews import Battle, Review, reviews_of
from coterie.reviewers.simulating import Question, Simulated
from coterie.reviewers.tally import Tally
from coterie.reviewers.uniform import Uniform


class Learner(Protocol):
    """A way to learn reviewers' weights."""

    def learn(self, reviews: Iterable[Review], *, force: bool = False) -> Learned: ...


LEARNERS: Mapping[str, type[Learner]] = {"people": People, "pico": PiCO, "prd": PRD, "uniform": Uniform}

__all__ = [
    "LEARNERS",
    "LEAST_PAIRS",
    "LEAST_PEERS",
    "LEAST_REVIEWS",
    "PRD",
    "Battle",
    "Learned",
    "Learner",
    "People",
    "PiCO",
    "Question",
    "Review",
    "Row",
    "Simulated",
    "Tally",
    "Uniform",
    "agreements",
    "reviews_of",
]
