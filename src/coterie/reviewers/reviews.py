"""Reviews as they are learned from: who wrote better than whom, in the eyes of whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from coterie.trace import CandidateOffered, JudgementMade, Trace
from coterie.types import Judgement


@dataclass(frozen=True)
class Battle:
    """Two members' answers to one question beside each other."""

    a: str
    b: str
    score: int
    """1 where a's was found better, -1 where b's was, 0 where neither."""


@dataclass(frozen=True)
class Review:
    """What one member said of the others' answers to one question."""

    run: str
    """The id of the run in which the question was asked."""
    reviewer: str
    battles: tuple[Battle, ...]


def reviews_of(trace: Trace) -> list[Review]:
    """The members' reviews of each other in one run, one for each reviewer that told two members apart or tied them.

    A ballot on M answers is the M (M - 1) / 2 battles of its pairs, by the sign of the scores' differences, so
    that reviewers' scales do not matter. Reviews by trained rankers, of fused answers and of own answers do not count.

    Raises `TraceError` for a trace that has no beginning.
    """
    run = trace.started.run
    members = {card.name for card in trace.started.cards}
    written = (event.candidate for event in trace.of(CandidateOffered))
    authors = {c.id: c.author for c in written if c.author in members and not c.parents}
    battles: defaultdict[str, list[Battle]] = defaultdict(list)
    for event in trace.of(JudgementMade):
        if event.judgement.judge in members:
            battles[event.judgement.judge].extend(battles_of(event.judgement, authors))
    return [Review(run, reviewer, tuple(fought)) for reviewer, fought in battles.items() if fought]


def battles_of(judgement: Judgement, authors: Mapping[str, str]) -> Iterator[Battle]:
    """The pairs of answers on a ballot, by the authors that `authors` knows; none of the judge's own."""
    scored = [
        (authors[id_], score)
        for id_, score in zip(judgement.about, judgement.scores, strict=True)
        if authors.get(id_, judgement.judge) != judgement.judge
    ]
    for (a, score_a), (b, score_b) in combinations(scored, 2):
        if a != b:
            yield Battle(a, b, (score_a > score_b) - (score_a < score_b))
