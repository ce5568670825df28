"""Reading a ballot that a member wrote: tolerant of form, strict about meaning.

What cannot be read abstains. Nothing is guessed from prose, and a ballot that says two things says
nothing, so a candidate's text that a reviewer repeats cannot vote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from coterie.types import Json

Scale = tuple[int, int]
"""The lowest and the highest score."""

ONE_TO_FIVE: Scale = (1, 5)

LONGEST = 65_536
"""Characters of a reviewer's text that are searched for a ballot."""

MOST_BROKEN = 1000
"""Objects that turn out to be none before the search is given up: each costs a look at the text around it."""

TOO_DEEP = 50
"""What an object nested too deep counts for among them: it is found out a thousand levels down."""

ENTRIES = frozenset({"answer", "scores", "reason"})
"""What stands in a ballot beside scores: nothing that is scored can be called so."""

_CONTRADICTION = "several ballots that contradict each other in its text"

_OPENING = re.compile(r'\{\s*["}]')
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:(?:/|out of)\s*(\d+(?:\.0)?))?\s*", re.ASCII)


@dataclass(frozen=True)
class Ballot:
    """Scores by label, as a reviewer gave them."""

    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    unreadable: str = ""
    """Why there are no scores."""


def schema(labels: Sequence[str], scale: Scale = ONE_TO_FIVE, of: str = "") -> Mapping[str, Json]:
    """The JSON Schema of a ballot on these labels, for engines that can hold a member to it; see `read` for `of`."""
    named = {"answer": {"type": "string", "enum": [of]}} if of else {}
    score = {"type": "integer", "minimum": scale[0], "maximum": scale[1]}
    return {
        "type": "object",
        "properties": {
            **named,
            "scores": {
                "type": "object",
                "properties": dict.fromkeys(labels, score),
                "required": list(labels),
                "additionalProperties": False,
            },
            "reason": {"type": "string"},
        },
        "required": [*named, "scores", "reason"],
        "additionalProperties": False,
    }


def read(text: str, labels: Sequence[str], scale: Scale = ONE_TO_FIVE, of: str = "") -> Ballot:
    """The ballot in `text`: the one JSON object that scores known labels within the scale.

    Accepts it anywhere in the text, scores as numbers or strings ("4", "4/5"), and a list of
    ``{label, score}`` instead of a mapping. Several objects must agree. With `of` it is a ballot by
    criteria on the one answer of that label: it must name the answer and score all `labels`.
    """
    written = (value for value in _objects(text[:LONGEST]) if not of or _names(value, of))
    found = [ballot for value in written if (ballot := _ballot(value, labels, scale)) is not None]
    if not found:
        which = f"the answer {of}" if of else "the given labels"
        return Ballot(unreadable=f"no scores from {scale[0]} to {scale[1]} for {which} in its text")
    if any(ballot.scores != found[0].scores for ballot in found):
        return Ballot(unreadable=_CONTRADICTION)
    missing = [label for label in labels if label not in found[0].scores] if of and not found[0].unreadable else []
    return Ballot(unreadable=f"no score for {', '.join(missing)} in its text") if missing else found[0]


def _names(value: Mapping[str, Json], label: str) -> bool:
    named = value.get("answer")
    return isinstance(named, str) and named.strip().casefold() == label.casefold()


def _objects(text: str) -> Iterator[Mapping[str, Json]]:
    """Every outermost JSON object in `text`."""
    decoder = json.JSONDecoder(object_pairs_hook=_consistent)
    broken = 0
    opening = _OPENING.search(text)
    while opening and broken < MOST_BROKEN:
        try:
            value, end = decoder.raw_decode(text, opening.start())
            yield value
        except (ValueError, RecursionError) as error:
            broken += TOO_DEEP if isinstance(error, RecursionError) else 1
            end = opening.start() + 1
        opening = _OPENING.search(text, end)


def _consistent(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    """An object, unless it gives one key two values."""
    made = dict(pairs)
    if len(made) < len(pairs) and any(made[key] != value for key, value in pairs):
        raise ValueError("a key stands twice, with different values")
    return made


def _ballot(value: Mapping[str, Json], labels: Sequence[str], scale: Scale) -> Ballot | None:
    """The scores in one object; ``None`` where there are none. One that scores a label twice has no meaning."""
    scores = value.get("scores", value)
    reason = value.get("reason", "")
    pairs = scores.items() if isinstance(scores, Mapping) else _listed(scores)
    known = {label.strip().casefold(): label for label in labels}
    read_: dict[str, float] = {}
    for label, given in pairs:
        name = known.get(label.strip().casefold()) if isinstance(label, str) else None
        score = _score(given, scale)
        if name is None or score is None:
            continue
        if read_.setdefault(name, score) != score:
            return Ballot(unreadable=_CONTRADICTION)
    return Ballot(read_, _whole(reason) if isinstance(reason, str) else "") if read_ else None


def _listed(scores: Json) -> Iterator[tuple[Json, Json]]:
    if isinstance(scores, list):
        yield from ((item.get("label"), item.get("score")) for item in scores if isinstance(item, Mapping))


def _whole(text: str) -> str:
    """`text` without half characters, which a JSON escape can name and nothing can encode."""
    return text.encode("utf-8", "replace").decode()


def _score(given: Json, scale: Scale) -> float | None:
    """A score within the scale, or ``None``."""
    if isinstance(given, dict):
        given = given.get("score")
    if isinstance(given, str):
        written = _WRITTEN.fullmatch(given)
        given = float(written[1]) if written and float(written[2] or scale[1]) == scale[1] else None
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return float(given) if scale[0] <= given <= scale[1] else None
