"""Listwise ballots: one call in which a reviewer scores all answers beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from coterie.judges import ballot
from coterie.judges.peer_review.form import LABEL_LETTERS
from coterie.judges.peer_review.reviewing import Reviewing
from coterie.quoting import labels, words
from coterie.types import Candidate, Capability, Failure, Judgement, Message, Request, Sampling


async def listwise(at: Reviewing) -> Judgement:
    """The ballot of one call, under labels and in an order that are drawn for it alone."""
    others = await at.answers()
    if not others:
        return at.idle
    card = at.reviewer.card
    rng = at.run.rng("ballot", at.name, *(candidate.author for candidate in others))
    rng.shuffle(others)
    names = labels(len(others), rng, LABEL_LETTERS)
    room = max(at.reviewer.max_tokens, 150 + 10 * len(names))
    texts = [words(candidate) for candidate in others]
    prompt = at.form.prompt(card, at.request, texts, names, at.form.listwise(names), at.run.rng("quotes"), room)
    schema = ballot.schema(names, at.form.scale) if Capability.SCHEMA in card.capabilities else None
    asked = Request((Message("user", prompt),), Sampling(temperature=0.0, max_tokens=room), schema=schema)
    said = await at.run.ask(at.name, asked, stage="review", needs=at.needs(*others))
    if isinstance(said, Failure):
        return at.failed([said])
    given = ballot.read(said.text, names, at.form.scale)
    if given.unreadable:
        return at.abstain(given.unreadable, (said.call,))
    return _judgement(at.name, others, names, given, said.call)


def _judgement(
    reviewer: str, others: Sequence[Candidate], names: Sequence[str], given: ballot.Ballot, call: str
) -> Judgement:
    """What was said, of those that were scored, in the order in which they were shown.

    The reason speaks of labels. People are told whose they are; the one it puts first keeps it with its own label.
    """
    scored = [(name, c.id, given.scores[name]) for name, c in zip(names, others, strict=True) if name in given.scores]
    legend = ", ".join(f"{name} is {c.author}'s" for name, c in zip(names, others, strict=True))
    best = max(scored, key=lambda entry: entry[2])
    reasons = tuple(f"{given.reason} (this answer is {name})" if name == best[0] else "" for name, _, _ in scored)
    return Judgement(
        reviewer,
        tuple(id_ for _, id_, _ in scored),
        tuple(score for _, _, score in scored),
        f"{given.reason} ({legend})" if given.reason else "",
        calls=(call,),
        reasons=reasons if given.reason else (),
    )
