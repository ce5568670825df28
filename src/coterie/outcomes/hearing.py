"""Recorded runs and what was said of them afterwards, as outcomes and battles.

A rating is one known score, that of the member whose answer it speaks of; the other members' are unknown. A preference
is a battle. Runs that nobody spoke of teach nothing of quality and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coterie.errors import ConfigError
from coterie.outcomes.arena import FIRST, TIE, Battle
from coterie.outcomes.lines import Watch, lines, silent
from coterie.outcomes.rows import UNKNOWN, Answer, Row, number, prompt_of
from coterie.prospects import Feedback
from coterie.trace import AnswerGiven, CandidateOffered, Trace
from coterie.types import Candidate, Completion, Json


@dataclass(frozen=True)
class Said:
    """One piece of feedback, and where it stands."""

    feedback: Feedback
    place: str


Heard = Mapping[str, tuple[Said, ...]]
"""What was said, by run."""


def heard(files: Iterable[Path], watch: Watch = silent) -> Heard:
    """The feedback of files with lines ``{run, rating?, preferred?, over?, tie?}``; what was said twice counts once.

    Raises `ConfigError` naming the line that is none.
    """
    found: dict[str, dict[Feedback, Said]] = {}
    for file in files:
        for line in lines(file, watch):
            try:
                run, feedback = _feedback_of(line.record)
            except (ValueError, TypeError) as error:
                raise ConfigError(f"{line.place}: {error}") from None
            found.setdefault(run, {}).setdefault(feedback, Said(feedback, line.place))
    return {run: tuple(said.values()) for run, said in found.items()}


def lessons_of(trace: Trace, heard: Heard, place: str, left_out: Counter[str]) -> Iterator[Row | Battle]:
    """What was said of one run. What nothing can be learned from is counted in `left_out`.

    Raises `ConfigError` naming the feedback that speaks of members which were not there.
    """
    said = heard.get(trace.started.run, ())
    if not said:
        left_out["runs that no feedback speaks of"] += 1
        return
    try:
        prompt = prompt_of(trace.started.request.question)
    except ValueError:
        left_out["runs without a question in words"] += 1
        return
    offered = [event.candidate for event in trace.of(CandidateOffered)]
    answer = _answer(trace, offered)
    for one in said:
        if one.feedback.preferred is not None:
            yield _battle(one, trace, prompt, place)
        if one.feedback.rating is None:
            continue
        if answer is None:
            left_out["ratings of an answer that no one member wrote"] += 1
            continue
        yield _row(prompt, offered, answer, replace(_spent(trace, answer), score=one.feedback.rating), trace, place)


# ---- feedback -----------------------------------------------------------------------------------


def _feedback_of(record: Json) -> tuple[str, Feedback]:
    """Raises `ValueError` for what is no feedback."""
    if not isinstance(record, Mapping):
        raise ValueError(f"a record is a mapping, not {record!r:.80}")
    run = record.get("run")
    if not isinstance(run, str) or not run:
        raise ValueError(f"'run' is the id of an answer, not {run!r:.80}")
    rating = None if record.get("rating") is None else number(record["rating"], "the rating")
    preferred, over, tie = record.get("preferred"), record.get("over"), record.get("tie") or False
    for name, value in (("preferred", preferred), ("over", over)):
        if not isinstance(value, str | None):
            raise ValueError(f"{name!r} is a member's name, not {value!r:.80}")
    if not isinstance(tie, bool):
        raise ValueError(f"'tie' is true or false, not {tie!r:.80}")
    correction = record.get("correction")
    if not isinstance(correction, str | None):
        raise ValueError(f"'correction' is a text, not {correction!r:.80}")
    return run, Feedback(rating, preferred, over, tie, correction)


def _battle(said: Said, trace: Trace, prompt: str, place: str) -> Battle:
    first, second = str(said.feedback.preferred), str(said.feedback.over)
    there = [card.name for card in trace.started.cards]
    if absent := [name for name in (first, second) if name not in there]:
        raise ConfigError(f"{said.place}: {absent[0]!r} is no member of the run in {place}, but {', '.join(there)}")
    return Battle(prompt, first, second, TIE if said.feedback.tie else FIRST, place)


# ---- the run ------------------------------------------------------------------------------------


def _answer(trace: Trace, offered: Iterable[Candidate]) -> Candidate | None:
    """The answer, where a single member wrote it."""
    given = next(trace.of(AnswerGiven), None)
    found = next((one for one in offered if given is not None and one.id == given.candidate), None)
    members = {card.name for card in trace.started.cards}
    return found if found is not None and not found.parents and found.author in members else None


def _row(prompt: str, offered: Iterable[Candidate], answer: Candidate, rated: Answer, trace: Trace, place: str) -> Row:
    """The answer's author with its score, and what the other members who wrote one spent."""
    members = {card.name for card in trace.started.cards}
    others = {one.author: _spent(trace, one) for one in offered if not one.parents and one.author in members}
    return Row(prompt, {**others, answer.author: rated}, place=place)


def _spent(trace: Trace, candidate: Candidate) -> Answer:
    call = trace.calls.get(candidate.call)
    if call is None or not isinstance(call.outcome, Completion):
        return Answer()
    usage = call.outcome.usage
    return Answer(
        cost_usd=UNKNOWN if usage.cost_usd is None else usage.cost_usd,
        output_tokens=UNKNOWN if usage.output_tokens is None else float(usage.output_tokens),
    )
