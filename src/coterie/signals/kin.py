"""Whether reviewers favour answers of their kin: members that run the same model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from coterie.signals.ballots import Ballot


def kin_preference(ballots: Sequence[Ballot], authors: Mapping[str, str], models: Mapping[str, str]) -> float | None:
    """By how much kin are scored above what the others give the same answers, in spreads of a ballot's scores.

    Scores are compared as distances from their ballot's mean in units of its standard deviation, since
    scales differ. For each answer on a ballot whose author is another member with the reviewer's model, the
    distance less the mean distance that reviewers with other models give it; then the mean over all of them.
    Positive is a preference. What a member would give itself is not known: it never reviews its own answer.

    `authors` has candidates' authors by id, `models` members' models, "" for an unknown one, which is nobody's
    kin. ``None`` where no such answer was judged by both sides, or no such ballot tells answers apart.
    """
    placed = {ballot.reviewer: _standardised(ballot.scores) for ballot in ballots}
    found: list[float] = []
    for ballot in ballots:
        for id_, distance in placed[ballot.reviewer].items():
            author, model = authors[id_], models.get(ballot.reviewer, "")
            if author == ballot.reviewer or not model or models.get(author) != model:
                continue
            others = [given[id_] for other, given in placed.items() if models.get(other, "") != model and id_ in given]
            if others:
                found.append(distance - math.fsum(others) / len(others))
    return math.fsum(found) / len(found) if found else None


def _standardised(scores: Mapping[str, float]) -> dict[str, float]:
    """Distances from the mean in standard deviations; none where the scores do not differ."""
    if not scores:
        return {}
    mean = math.fsum(scores.values()) / len(scores)
    spread = math.sqrt(math.fsum((score - mean) ** 2 for score in scores.values()) / len(scores))
    return {id_: (score - mean) / spread for id_, score in scores.items()} if spread > 0 else {}
