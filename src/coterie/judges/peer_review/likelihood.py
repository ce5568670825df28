"""Likelihood ballots: the mean log-probability of each answer's tokens under the reviewer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from coterie.judges.peer_review.reviewing import Reviewing
from coterie.quoting import words
from coterie.types import Candidate, Failure, Judgement, Request, TextScore

IMPOSSIBLE = -1000.0
"""Log-probability a token of what a member holds to be impossible: worse than anything else, and still a number."""


async def likelihood(at: Reviewing) -> Judgement:
    """All answers scored in one call, which reads the conversation once; in another one, without it, to subtract."""
    others = await at.answers()
    if not others:
        return at.idle
    at.run.rng("ballot", at.name, *(candidate.author for candidate in others)).shuffle(others)
    texts = [words(candidate) for candidate in others]
    given = await at.run.score(at.name, at.request, texts, stage="review", needs=at.needs(*others))
    if isinstance(given, Failure):
        return at.failed([given])
    if not at.reviewer.less_unconditional:
        return _likely(at, others, given.scores, (given.call,))
    bare = await at.run.score(at.name, Request(()), texts, stage="review", needs=at.needs(*others))
    if isinstance(bare, Failure):
        return at.failed([bare])
    return _likely(at, others, given.scores, (given.call, bare.call), less=bare.scores)


def _likely(
    at: Reviewing,
    candidates: Sequence[Candidate],
    given: Sequence[TextScore],
    calls: tuple[str, ...],
    less: Sequence[TextScore] | None = None,
) -> Judgement:
    """A ballot of mean log-probabilities, less others where there are any."""
    alone = (0.0,) * len(given) if less is None else tuple(map(_mean, less))
    if not len(given) == len(alone) == len(candidates):
        return at.abstain(f"it scored {len(given)} of {len(candidates)} answers", calls)
    gains = [(c.id, _mean(score) - base) for c, score, base in zip(candidates, given, alone, strict=True)]
    scored = [(id_, gain) for id_, gain in gains if not math.isnan(gain)]
    if not scored:
        return at.abstain("no log-probability for any answer", calls)
    about, scores = zip(*scored, strict=True)
    return Judgement(at.name, about, scores, calls=calls)


def _mean(score: TextScore) -> float:
    return max(IMPOSSIBLE, score.mean) if score.tokens and not math.isnan(score.logprob) else math.nan
