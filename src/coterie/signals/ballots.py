"""One reviewer's scores, put together from whatever judgements it made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coterie.types import Judgement


@dataclass(frozen=True)
class Ballot:
    """What one reviewer said of the candidates, as one list of scores."""

    reviewer: str
    scores: Mapping[str, float]
    """By candidate id; the mean where its judgements score an id more than once. Empty when it abstained."""
    shown: tuple[str, ...] = ()
    """Ids in the order in which one prompt showed them; empty where each was read by itself, or in several prompts."""


def ballots_of(judgements: Sequence[Judgement], over: Iterable[str], listwise: Iterable[str] = ()) -> list[Ballot]:
    """One ballot for each judge, in the order of their first judgements, on the ids of `over`.

    `listwise` names the judges whose judgements list ids in the order in which a prompt showed them. Weights
    change nothing here: a ballot says what it says, however much it counts.
    """
    asked, ordered = set(over), set(listwise)
    by_judge: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_judge.setdefault(judgement.judge, []).append(judgement)
    return [_ballot(judge, made, asked, judge in ordered) for judge, made in by_judge.items()]


def _ballot(judge: str, made: Sequence[Judgement], asked: set[str], listwise: bool) -> Ballot:
    given: dict[str, list[float]] = {}
    for judgement in made:
        for id_, score in zip(judgement.about, judgement.scores, strict=True):
            if id_ in asked:
                given.setdefault(id_, []).append(score)
    spoken = [judgement for judgement in made if judgement.about]
    one_prompt = listwise and len(spoken) == 1 and len(spoken[0].calls) < 2
    return Ballot(judge, {id_: math.fsum(s) / len(s) for id_, s in given.items()}, tuple(given) if one_prompt else ())
