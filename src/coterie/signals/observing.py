"""All signals of one ranking, as plain values that a trace can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coterie.signals.ballots import Ballot, ballots_of
from coterie.signals.concordance import concordance
from coterie.signals.correlation import Pairs
from coterie.signals.kin import kin_preference
from coterie.types import BallotMode, Candidate, Card, Judgement, Ranking


@dataclass(frozen=True)
class BallotSignals:
    """What one reviewer's ballot tells of it. Correlations are Kendall's tau-b, ``None`` where a side ties all."""

    reviewer: str
    abstained: bool = False
    agreement: float | None = None
    """With the final ranking, to which this ballot contributed."""
    length_bias: float | None = None
    """Of scores with answers' lengths in characters: positive when longer ones got more."""
    position_bias: float | None = None
    """Of scores with places in the prompt: positive when later ones got more. Only where one prompt showed them all."""


@dataclass(frozen=True)
class Signals:
    """What the ballots of one ranking tell about themselves."""

    concordance: float | None = None
    """Kendall's W among the reviewers, in [0, 1]."""
    margin: float | None = None
    """Between the ranking's first and second, on its rule's scale: 0 for a tie, ``None`` when one was not judged."""
    kin_preference: float | None = None
    """How far reviewers put answers of their own model's other members above what others give them, in spreads."""
    length_bias: float | None = None
    """As a ballot's, over the pairs of answers inside all ballots together."""
    position_bias: float | None = None
    ballots: tuple[BallotSignals, ...] = ()


def observe(
    judgements: Sequence[Judgement],
    ranking: Ranking,
    candidates: Sequence[Candidate],
    cards: Mapping[str, Card],
    modes: Mapping[str, BallotMode] | None = None,
) -> Signals:
    """The signals of a ranking and of the judgements it was made from.

    `modes` says how members reviewed where that was not as their cards say: only a listwise ballot
    (`BallotMode.TEXT`) showed its answers in an order. A judge that is no member has no model and no order.
    """
    given = ballots_of(judgements, [candidate.id for candidate in candidates], _listwise(cards, modes or {}))
    lengths = {candidate.id: len(candidate.text) for candidate in candidates}
    by_length = [_pairs(ballot.scores, lengths) for ballot in given]
    by_place = [_pairs(ballot.scores, {id_: n for n, id_ in enumerate(ballot.shown)}) for ballot in given]
    authors = {candidate.id: candidate.author for candidate in candidates}
    return Signals(
        concordance([ballot.scores for ballot in given]),
        _margin(ranking),
        kin_preference(given, authors, {name: card.model for name, card in cards.items()}),
        Pairs.pooled(by_length).tau_b,
        Pairs.pooled(by_place).tau_b,
        tuple(
            BallotSignals(ballot.reviewer, not ballot.scores, _agreement(ballot, ranking), length.tau_b, place.tau_b)
            for ballot, length, place in zip(given, by_length, by_place, strict=True)
        ),
    )


def _listwise(cards: Mapping[str, Card], modes: Mapping[str, BallotMode]) -> Iterable[str]:
    return [name for name, card in cards.items() if modes.get(name, card.ballot) is BallotMode.TEXT]


def _pairs(scores: Mapping[str, float], other: Mapping[str, float]) -> Pairs:
    """Of the ids that both sides have."""
    ids = [id_ for id_ in scores if id_ in other]
    return Pairs.of([scores[id_] for id_ in ids], [other[id_] for id_ in ids])


def _agreement(ballot: Ballot, ranking: Ranking) -> float | None:
    return _pairs(ballot.scores, {id_: -rank for id_, rank in ranking.ranks.items()}).tau_b


def _margin(ranking: Ranking) -> float | None:
    if len(ranking.order) < 2:
        return None
    first, second = (ranking.scores[id_] for id_ in ranking.order[:2])
    if first is None or second is None:
        return None
    tied = any({*ranking.order[:2]} <= {*group} for group in ranking.ties)
    return 0.0 if tied else first - second
