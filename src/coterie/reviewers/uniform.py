"""Everybody weighs alike: what learned weights are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coterie.reviewers.learned import Learned, made
from coterie.reviewers.reviews import Review
from coterie.reviewers.tally import Tally


@dataclass(frozen=True)
class Uniform:
    """A weight of 1 for every reviewer, and the win rates that all of them together see."""

    def learn(self, reviews: Iterable[Review], *, force: bool = False) -> Learned:  # noqa: ARG002 - nothing to force
        """Every reviewer's row; none is too little."""
        given = tuple(reviews)
        tally = Tally.of(given)
        weights = dict.fromkeys(tally.reviews, 1.0)
        rates = {reviewer: tally.win_rate(reviewer, weights, "battles") for reviewer in tally.reviews}
        return made("uniform", given, tally, weights, rates, 0.0, ()) if weights else Learned("uniform", ())
