"""PRD's peer rank: who writes well is trusted to review well, and so on in turn (2307.02762)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coterie.reviewers.learned import Learned, check_enough, check_lowest, made
from coterie.reviewers.reviews import Review
from coterie.reviewers.tally import Divisor, Tally


@dataclass(frozen=True)
class PRD:
    """Weights that are the reviewers' own win rates, in battles weighed by these weights.

    A win rate is the weighted share of battles won, ties half. The win rates' distances from the least, as
    shares of the range, are the next round's weights, rescaled to a mean of 1. Published so, the worst reviewer
    weighs nothing, as if it were silent: `lowest` raises it, and `Row.raw` has what is published.
    """

    iterations: int = 5
    """As the authors' code has it: near the fixed point where members differ."""
    divisor: Divisor = "weights"
    """The authors divide by the number of battles, where everybody reviews everybody, himself too. Where nobody
    reviews himself that would hold against a good reviewer that its own answers only meet the worse ones."""
    lowest: float = 0.2

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations!r}")
        check_lowest(self.lowest)

    def learn(self, reviews: Iterable[Review], *, force: bool = False) -> Learned:
        """The weights of all who reviewed; one whose own answers nobody reviewed gets the others' mean.

        Raises `ConfigError` for fewer than 4 members that reviewed each other or fewer than 100 reviews, unless
        `force` is set, which is noted then.
        """
        given = tuple(reviews)
        tally = Tally.of(given)
        notes = check_enough(tally, force)
        weights = dict.fromkeys(tally.reviews, 1.0)
        raw, rates = weights, self._rates(tally, weights)
        for _ in range(self.iterations):
            raw = _shares_of_range(rates)
            mean = math.fsum(raw.values()) / len(raw)
            weights = {reviewer: share / mean for reviewer, share in raw.items()}
            rates = self._rates(tally, weights)
        return made("prd", given, tally, raw, rates, self.lowest, notes)

    def _rates(self, tally: Tally, weights: Mapping[str, float]) -> dict[str, float | None]:
        return {reviewer: tally.win_rate(reviewer, weights, self.divisor) for reviewer in tally.reviews}


def _shares_of_range(rates: Mapping[str, float | None]) -> dict[str, float]:
    """Each rate's place between the least, 0, and the greatest, 1; all 1 where they do not differ."""
    known = [rate for rate in rates.values() if rate is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    if high == low:
        return dict.fromkeys(rates, 1.0)
    shares = {name: (rate - low) / (high - low) for name, rate in rates.items() if rate is not None}
    mean = math.fsum(shares.values()) / len(shares)
    return {name: shares.get(name, mean) for name in rates}
