"""What was learned of reviewers: a weight for each, and the table it stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coterie.errors import ConfigError
from coterie.reviewers.agreement import agreements
from coterie.reviewers.reviews import Review
from coterie.reviewers.tally import Tally
from coterie.signals import spearman

LEAST_PEERS = 4
"""Members that must have reviewed each other: with fewer, how weights go with win rates is chance."""

LEAST_REVIEWS = 100

TRUSTED = 0.5
"""Below this `Learned.trusted`, weights did harm in simulations rather than good."""

DOUBTFUL = (
    "whose answers are better does not side with the other reviewers more often: the assumption behind these weights, "
    "that who answers well reviews well, does not show in these traces, and they may do harm"
)


@dataclass(frozen=True)
class Row:
    """One reviewer."""

    reviewer: str
    reviews: int
    score: float | None
    """How well its own answers fared: PRD's win rate, PiCO's G. ``None`` for one whose answers nobody reviewed."""
    agreement: float | None
    """How often it sides with most of the others, see `agreements`."""
    raw: float
    """Its weight as published, before it was clamped; the largest is 1."""
    weight: float


@dataclass(frozen=True)
class Learned:
    """Reviewers' weights, between 0 and 1, the largest being 1."""

    by: str
    rows: tuple[Row, ...]
    """The heaviest first."""
    notes: tuple[str, ...] = ()
    """What a reader must know before using the weights."""

    @property
    def trusted(self) -> float | None:
        """Spearman's rho of the reviewers' scores and agreements, which tells whether who writes well reviews well.

        That is what weights rest on. Near 1 they are worth having. ``None`` where one side is flat.
        """
        known = [(row.score, row.agreement) for row in self.rows if row.score is not None and row.agreement is not None]
        return spearman([score for score, _ in known], [agreement for _, agreement in known])

    @property
    def weights(self) -> Mapping[str, float]:
        """By reviewer: what the setting `weights` of a judge or method takes."""
        return {row.reviewer: row.weight for row in self.rows}


def check_enough(tally: Tally, force: bool) -> tuple[str, ...]:
    """Raises `ConfigError` where there is too little to learn from; with `force` it is a note instead."""
    peers, reviews = len(tally.peers), sum(tally.reviews.values())
    if not reviews:
        raise ConfigError("there is no review by members of two other members' answers in these traces")
    lacking = []
    if peers < LEAST_PEERS:
        lacking.append(f"{peers} members reviewed each other, and {LEAST_PEERS} are needed")
    if reviews < LEAST_REVIEWS:
        lacking.append(f"there are {reviews} reviews, and {LEAST_REVIEWS} are needed")
    if lacking and not force:
        raise ConfigError(
            f"too little to learn weights from: {'; '.join(lacking)}: record more traces, or force it (--force)"
        )
    return tuple(f"forced: {what}" for what in lacking)


def made(
    by: str,
    reviews: Sequence[Review],
    tally: Tally,
    raw: Mapping[str, float],
    scores: Mapping[str, float | None],
    lowest: float,
    notes: Sequence[str],
) -> Learned:
    """The table of `raw` weights of any scale, divided by the largest and clamped to [`lowest`, 1]."""
    largest = max(raw.values())
    shares = {reviewer: weight / largest if largest > 0 else 1.0 for reviewer, weight in raw.items()}
    sided = agreements(reviews)
    rows = [
        Row(name, number, scores.get(name), sided.get(name), shares[name], max(lowest, shares[name]))
        for name, number in tally.reviews.items()
    ]
    ordered = tuple(sorted(rows, key=lambda row: (-row.weight, -row.raw, row.reviewer)))
    raised = [row.reviewer for row in ordered if row.weight > row.raw]
    clamped = [f"raised to {lowest:g}: {', '.join(raised)}"] if raised else []
    learned = Learned(by, ordered, (*notes, *clamped))
    doubtful = by in ("pico", "prd") and (learned.trusted is None or learned.trusted < TRUSTED)
    return replace(learned, notes=(*learned.notes, DOUBTFUL)) if doubtful else learned


def check_lowest(lowest: float) -> None:
    """Raises `ValueError` for what is no lower end of weights whose upper end is 1."""
    if not 0 <= lowest <= 1:
        raise ValueError(f"lowest lies between 0 and 1, not at {lowest!r}")
