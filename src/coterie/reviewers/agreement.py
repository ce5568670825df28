"""How often reviewers side with the others: the one thing that the traces tell of reviewing itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from coterie.reviewers.reviews import Review


def agreements(reviews: Iterable[Review]) -> dict[str, float]:
    """For each reviewer, the share of pairs of answers on which it sides with most of the others.

    Of pairs on which both it and most of the others have a preference; a reviewer without one is left out.
    0.5 is what tossing a coin gets. Weights are learned from how well members answer, so this is what they can
    be held against.
    """
    said: defaultdict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for review in reviews:
        for battle in review.battles:
            a, b = sorted((battle.a, battle.b))
            pair = said[review.run, a, b]
            signed = battle.score if battle.a == a else -battle.score
            pair[review.reviewer] = pair.get(review.reviewer, 0) + signed
    shared: defaultdict[str, list[bool]] = defaultdict(list)
    for votes in said.values():
        signs = {reviewer: (score > 0) - (score < 0) for reviewer, score in votes.items()}
        everybody = sum(signs.values())
        for reviewer, own in signs.items():
            if own and everybody != own:
                shared[reviewer].append((everybody - own) * own > 0)
    return {reviewer: sum(sided) / len(sided) for reviewer, sided in shared.items()}
