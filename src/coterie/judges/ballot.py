"""Reading a ballot that a member wrote: tolerant of form, strict about meaning.

What cannot be read abstains. Nothing is guessed from prose, and a ballot that says two things says
nothing, so a candidate's text that a reviewer repeats cannot vote.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from coterie.types import Json

LOWEST, HIGHEST = 1.0, 5.0

LONGEST = 65_536
"""Characters of a reviewer's text that are searched for a ballot."""


@dataclass(frozen=True)
class Ballot:
    """Scores by label, as a reviewer gave them."""

    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    unreadable: str = ""
    """Why there are no scores."""


def schema(labels: Sequence[str]) -> Mapping[str, Json]:
    """The JSON Schema of a ballot on these labels, for engines that can hold a member to it."""
    score = {"type": "integer", "minimum": int(LOWEST), "maximum": int(HIGHEST)}
    return {
        "type": "object",
        "properties": {
            "scores": {
                "type": "object",
                "properties": dict.fromkeys(labels, score),
                "required": list(labels),
                "additionalProperties": False,
            },
            "reason": {"type": "string"},
        },
        "required": ["scores", "reason"],
        "additionalProperties": False,
    }


def read(text: str, labels: Sequence[str]) -> Ballot:
    """The ballot in `text`: the one JSON object that scores known labels from 1 to 5.

    Accepts it anywhere in the text, scores as numbers or strings ("4", "4/5"), and a list of
    ``{label, score}`` instead of a mapping. Several objects must agree.
    """
    found = [ballot for value in _objects(text[:LONGEST]) if (ballot := _ballot(value, labels)).scores]
    if not found:
        return Ballot(unreadable=f"no scores from {LOWEST:.0f} to {HIGHEST:.0f} for the given labels in its text")
    if any(ballot.scores != found[0].scores for ballot in found):
        return Ballot(unreadable="several ballots that contradict each other in its text")
    return found[0]


def _objects(text: str) -> Iterator[Json]:
    """Every outermost JSON object in `text`."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
            yield value
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)


def _ballot(value: Json, labels: Sequence[str]) -> Ballot:
    scores = value.get("scores", value)
    reason = value.get("reason", "")
    pairs = scores.items() if isinstance(scores, Mapping) else _listed(scores)
    known = {label.casefold(): label for label in labels}
    read_: dict[str, float] = {}
    for label, given in pairs:
        name = known.get(str(label).strip().casefold())
        score = _score(given)
        if name is not None and score is not None:
            read_[name] = score
    return Ballot(read_, reason if isinstance(reason, str) else "")


def _listed(scores: Json) -> Iterator[tuple[Json, Json]]:
    if isinstance(scores, list):
        yield from ((item.get("label"), item.get("score")) for item in scores if isinstance(item, Mapping))


def _score(given: Json) -> float | None:
    """A score within the scale, or ``None``."""
    if isinstance(given, Mapping):
        given = given.get("score")
    if isinstance(given, bool):
        return None
    try:
        number = float(given.split("/")[0] if isinstance(given, str) else given)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and LOWEST <= number <= HIGHEST else None
