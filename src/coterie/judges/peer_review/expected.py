"""Ballots of one token: the expected score from the probabilities of the digits, a prefill for each answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from coterie.judges.peer_review.reviewing import Reviewing
from coterie.quoting import words
from coterie.types import Candidate, Completion, Failure, FailureKind, Judgement, Message, Request, Sampling

FIVE = ("1", "2", "3", "4", "5")


async def expected(at: Reviewing) -> Judgement:
    """The expected digits, of those answers for which a digit is among the likeliest tokens."""
    said = await at.each(partial(_asked, at))
    failures = [answer for _, answer in said if isinstance(answer, Failure)]
    if cut := [failure for failure in failures if failure.kind is FailureKind.CUT]:
        return at.failed(cut)  # half a ballot is none
    heard = [(candidate, answer) for candidate, answer in said if isinstance(answer, Completion)]
    if not heard:
        return at.failed(failures) if failures else at.idle
    scored = [(c.id, score) for c, a in heard if (score := expected_score(a, at.form.digits)) is not None]
    calls = tuple(answer.call for _, answer in heard)
    if not scored:
        first, last = at.form.digits[0], at.form.digits[-1]
        return at.abstain(f"no digit from {first} to {last} among its likeliest tokens", calls)
    about, scores = zip(*scored, strict=True)
    return Judgement(at.name, about, scores, calls=calls)


async def _asked(at: Reviewing, candidate: Candidate) -> Completion | Failure:
    form, marks = at.form, at.run.rng("quotes")
    prompt = form.prompt(at.reviewer.card, at.request, [words(candidate)], [""], form.one_digit(), marks, 1)
    asked = Request((Message("user", prompt),), Sampling(temperature=0.0, max_tokens=1, top_logprobs=20))
    return await at.run.ask(at.name, asked, stage="review", needs=at.needs(candidate))


def expected_score(completion: Completion, digits: Sequence[str] = FIVE) -> float | None:
    """The expected digit at the first position, by the probabilities of the digits alone.

    ``None`` where no digit is among the tokens the member named.
    """
    if not completion.logprobs:
        return None
    first = completion.logprobs[0]
    mass: dict[int, float] = {}
    for token, logprob in dict((*first.top, (first.token, first.logprob))).items():
        if token.strip() in digits and not math.isnan(logprob):
            mass[int(token)] = mass.get(int(token), 0.0) + math.exp(min(logprob, 0.0))
    total = sum(mass.values())
    return sum(digit * p for digit, p in mass.items()) / total if total > 0 else None
