"""One record of an outcome file, read and checked: a prompt, and what each member achieved on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie.types import Json, Message, Request, encodable

UNKNOWN = math.nan

CHARACTERS_A_TOKEN = 4
"""Of a prompt, for files that count its tokens and the answer's together."""


@dataclass(frozen=True)
class Answer:
    """What is known of one member's answer; NaN is unknown."""

    score: float = UNKNOWN
    cost_usd: float = UNKNOWN
    output_tokens: float = UNKNOWN
    samples: tuple[float, ...] = ()
    """Scores of several answers."""


@dataclass(frozen=True)
class Row:
    """A prompt, and the members' answers to it."""

    prompt: str
    answers: Mapping[str, Answer]
    group: str = ""
    split: str = ""
    place: str = ""


def row_of(record: Json, place: str = "") -> Row:
    """The row of ``{prompt, outcomes: {member: {score, cost?, tokens?, samples?}}}``; what else it holds is left.

    ``null`` is unknown. Raises `ValueError` for anything that is not as it should be.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"a record is a mapping, not {record!r:.80}")
    outcomes = record.get("outcomes")
    if not isinstance(outcomes, Mapping) or not outcomes:
        raise ValueError(f"'outcomes' is a mapping of members to what they achieved, not {outcomes!r:.80}")
    prompt = prompt_of(record.get("prompt"))
    return Row(
        prompt,
        {member_of(name): _answer(name, outcome, prompt) for name, outcome in outcomes.items()},
        _word(record, "benchmark", "group"),
        _word(record, "source_split"),
        place,
    )


def prompt_of(value: Json) -> str:
    """The text that is routed by: the prompt, or of a conversation the words of its last user turn.

    Raises `ValueError` for one that is empty, holds half a character, or is neither.
    """
    text = value if isinstance(value, str) else _last_turn(value)
    if not text.strip():
        raise ValueError("the prompt is empty")
    return checked(text, "the prompt")


def checked(text: str, what: str) -> str:
    """The text. Raises `ValueError` where it holds half a character."""
    if not encodable(text):
        raise ValueError(f"{what} holds half a character (a lone surrogate), which is no text: {text!r:.80}")
    return text


def member_of(name: Json) -> str:
    """A member's name. Raises `ValueError` for what is none."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"a member's name is a text, not {name!r:.80}")
    return checked(name, "a member's name")


def number(value: Json, what: str, *, least: float = -math.inf) -> float:
    """The number; NaN for ``None``. Raises `ValueError` for anything else, and for what is no finite number."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        raise ValueError(f"{what} is {value!r}: write {int(value)}")
    if not isinstance(value, int | float):
        raise ValueError(f"{what} is a number, not {value!r:.80}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"{what} is {found!r}: write null where it is unknown")
    if found < least:
        raise ValueError(f"{what} is {value!r}, and cannot be below {least:g}")
    return found


def _answer(member: str, outcome: Json, prompt: str) -> Answer:
    if not isinstance(outcome, Mapping):
        raise ValueError(f"what {member!r} achieved is a mapping with its 'score', not {outcome!r:.80}")
    samples = _samples(outcome.get("samples", outcome.get("scores")), member)
    score = number(outcome.get("score"), f"the score of {member!r}")
    if math.isnan(score) and samples:
        score = math.fsum(samples) / len(samples)
    cost = number(outcome.get("cost", outcome.get("cost_usd")), f"the cost of {member!r}", least=0.0)
    return Answer(score, cost, _output_tokens(outcome, member, prompt), samples)


def _samples(value: Json, member: str) -> tuple[float, ...]:
    if value is None:
        return ()
    what = f"a sample's score of {member!r}"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"the samples of {member!r} are a list of scores, not {value!r:.80}")
    scores = tuple(number(score, what) for score in value)
    if any(map(math.isnan, scores)):
        raise ValueError(f"{what} is unknown: leave it out")
    return scores


def _output_tokens(outcome: Mapping[str, Json], member: str, prompt: str) -> float:
    """Of the answer alone: ``output_tokens``; of ``tokens``, which count both, what the prompt leaves over."""
    own = number(outcome.get("output_tokens"), f"the output tokens of {member!r}", least=0.0)
    if not math.isnan(own):
        return own
    both = number(outcome.get("tokens"), f"the tokens of {member!r}", least=0.0)
    return both if math.isnan(both) else max(0.0, both - len(prompt) / CHARACTERS_A_TOKEN)


def _last_turn(value: Json) -> str:
    if not isinstance(value, Sequence) or not all(isinstance(turn, Mapping) for turn in value):
        raise ValueError(f"the prompt is a text or a list of turns, not {value!r:.80}")
    try:
        turns = [Message(turn["role"], _content(turn["content"])) for turn in value]
    except KeyError as error:
        raise ValueError(f"a turn of the prompt has no {error}") from None
    return Request(tuple(turns)).question


def _content(value: Json) -> str | tuple[Mapping[str, Json], ...]:
    if isinstance(value, str | None):
        return value or ""
    if isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
        return tuple(value)
    raise ValueError(f"a turn's content is a text or a list of parts, not {value!r:.80}")


def _word(record: Mapping[str, Json], *keys: str) -> str:
    """The first of `keys` that the record knows; empty where it knows none."""
    return next((str(record[key]) for key in keys if record.get(key) is not None), "")
