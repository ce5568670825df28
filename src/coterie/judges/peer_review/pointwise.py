"""Pointwise ballots: a call for each answer, which is scored by every criterion and justified in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from coterie.judges import ballot
from coterie.judges.peer_review.form import LABEL_LETTERS
from coterie.judges.peer_review.reviewing import Reviewing
from coterie.quoting import labels, words
from coterie.types import Candidate, Capability, Criterion, Failure, FailureKind, Judgement, Message, Request, Sampling


@dataclass(frozen=True)
class _Review:
    """What a call said of one answer."""

    given: ballot.Ballot
    call: str


async def pointwise(at: Reviewing) -> Judgement:
    """The sums over the criteria ("Efficient Blending", 5.1.3), each answer reviewed as soon as it is there.

    A review without a readable score for every criterion says nothing of its answer.
    """
    said = await at.each(partial(_review, at))
    failures = [review for _, review in said if isinstance(review, Failure)]
    if cut := [failure for failure in failures if failure.kind is FailureKind.CUT]:
        return at.failed(cut)  # half a ballot is none
    heard = [(candidate, review) for candidate, review in said if isinstance(review, _Review)]
    if not heard:
        return at.failed(failures) if failures else at.idle
    calls = tuple(review.call for _, review in heard)
    read = [(candidate, review.given) for candidate, review in heard if not review.given.unreadable]
    if not read:
        return at.abstain(heard[0][1].given.unreadable, calls)
    reasons = tuple(given.reason for _, given in read)
    return Judgement(
        at.name,
        tuple(candidate.id for candidate, _ in read),
        tuple(math.fsum(given.scores.values()) for _, given in read),
        calls=calls,
        reasons=reasons if any(reasons) else (),
        criteria=tuple(Criterion(name, tuple(given.scores[name] for _, given in read)) for name in at.form.criteria),
    )


async def _review(at: Reviewing, candidate: Candidate) -> _Review | Failure:
    names, card = at.form.criteria, at.reviewer.card
    rng = at.run.rng("ballot", at.name, candidate.author, candidate.text)
    [label] = labels(1, rng, LABEL_LETTERS)
    room = max(at.reviewer.max_tokens, 150 + 10 * len(names))
    how = at.form.pointwise(label)
    prompt = at.form.prompt(card, at.request, [words(candidate)], [label], how, at.run.rng("quotes"), room)
    schema = ballot.schema(names, at.form.scale, label) if Capability.SCHEMA in card.capabilities else None
    asked = Request((Message("user", prompt),), Sampling(temperature=0.0, max_tokens=room), schema=schema)
    said = await at.run.ask(at.name, asked, stage="review", needs=at.needs(candidate))
    if isinstance(said, Failure):
        return said
    return _Review(ballot.read(said.text, names, at.form.scale, of=label), said.call)
