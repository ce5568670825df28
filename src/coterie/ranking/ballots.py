"""What counts of judgements: whose scores, of which ids, and with how much weight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie.types import Judgement


@dataclass(frozen=True)
class Ballot:
    """One judgement, as far as it speaks of the ids that are ranked."""

    scores: Mapping[str, float]
    """By id, in the judgement's order."""
    weight: float


def heard(judgements: Sequence[Judgement], over: Sequence[str], least: int = 2) -> list[Ballot]:
    """The judgements that score at least `least` ids of `over`, on those alone; a weight of 0 is no ballot."""
    asked = set(over)
    given = [Ballot(_scores(judgement, asked), judgement.weight) for judgement in judgements]
    return [ballot for ballot in given if len(ballot.scores) >= least and ballot.weight > 0]


def ballots(judgements: Sequence[Judgement], over: Sequence[str], least: int = 2) -> list[Ballot]:
    """What `heard` gives, with weights rescaled to a mean of 1, as PRD applies them (2307.02762).

    Equal weights, whatever they are, are then exactly 1, and points keep the unit that they have without weights.
    """
    given = heard(judgements, over, least)
    if not given:
        return []
    heaviest = max(ballot.weight for ballot in given)
    shares = [ballot.weight / heaviest for ballot in given]
    mean = math.fsum(shares) / len(shares)
    return [Ballot(ballot.scores, share / mean) for ballot, share in zip(given, shares, strict=True)]


def _scores(judgement: Judgement, asked: set[str]) -> dict[str, float]:
    return {id_: score for id_, score in zip(judgement.about, judgement.scores, strict=True) if id_ in asked}
