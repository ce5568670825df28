"""Weights by what people said: a reviewer counts as far as it sides with those who used the answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from coterie.errors import ConfigError
from coterie.outcomes.hearing import Heard
from coterie.reviewers.learned import Learned, check_lowest, made
from coterie.reviewers.reviews import Review
from coterie.reviewers.tally import Tally

LEAST_PAIRS = 30
"""Pairs of answers that both a reviewer and somebody else compared: with fewer, who sides with people is chance."""


@dataclass(frozen=True)
class People:
    """Weights out of preferences that people gave as feedback (`preferred` and `over`) on reviewed runs.

    A reviewer sides with a person where it scored the preferred member's answer higher; a tie of either side
    counts half. With p = (sided + 1) / (pairs + 2), its weight is the log-odds log(p / (1 - p)), and 0 where p is not
    above 1/2: of all weights those with which independent reviewers of such accuracies are right most often when they
    vote (Nitzan and Paroush 1982, cited from memory). Reviewers of one family are not independent.
    """

    heard: Heard = field(default_factory=dict)
    lowest: float = 0.2

    def __post_init__(self) -> None:
        check_lowest(self.lowest)

    def learn(self, reviews: Iterable[Review], *, force: bool = False) -> Learned:
        """The weights of all who reviewed. Raises `ConfigError` where fewer than 30 pairs were compared by both sides,
        unless `force` is set, which is noted then."""
        given = tuple(reviews)
        sided = self._sided(given)
        pairs = sum(map(len, sided.values()))
        if not pairs:
            raise ConfigError("no preference in the feedback speaks of two answers that a member compared")
        lacking = f"{pairs} pairs were compared by reviewers and by people, and {LEAST_PAIRS} are needed"
        if pairs < LEAST_PAIRS and not force:
            raise ConfigError(
                f"too little to learn weights from: {lacking}: gather more feedback, or force it (--force)"
            )
        tally = Tally.of(given)
        raw = {reviewer: _log_odds(sided.get(reviewer, ())) for reviewer in tally.reviews}
        even = dict.fromkeys(tally.reviews, 1.0)
        rates = {reviewer: tally.win_rate(reviewer, even, "battles") for reviewer in tally.reviews}
        notes = [f"forced: {lacking}"] if pairs < LEAST_PAIRS else []
        if not any(raw.values()):
            raw, notes = even, [*notes, "nobody sides with people more often than not: all weigh alike"]
        return made("people", given, tally, raw, rates, self.lowest, notes)

    def _sided(self, reviews: Iterable[Review]) -> Mapping[str, tuple[float, ...]]:
        """For each reviewer and each pair it shares with somebody: 1 where they side, 0 where not, a half for ties."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        for review in reviews:
            for first, second, sign in self._preferences(review.run):
                found[review.reviewer] += [
                    0.5 + 0.5 * sign * (battle.score if battle.a == first else -battle.score)
                    for battle in review.battles
                    if {battle.a, battle.b} == {first, second}
                ]
        return {reviewer: tuple(shares) for reviewer, shares in found.items()}

    def _preferences(self, run: str) -> Iterator[tuple[str, str, int]]:
        """Two members, and 1 where the first was preferred, 0 for a tie."""
        for said in self.heard.get(run, ()):
            if said.feedback.preferred is not None and said.feedback.over is not None:
                yield said.feedback.preferred, said.feedback.over, 0 if said.feedback.tie else 1


def _log_odds(shares: Iterable[float]) -> float:
    """0 for one who sides with people half of the time, or less, or was never compared with them."""
    counted = tuple(shares)
    p = (math.fsum(counted) + 1) / (len(counted) + 2)
    return max(0.0, math.log(p / (1 - p)))
