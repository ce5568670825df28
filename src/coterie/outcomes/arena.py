"""Battle files: of two members' answers to one prompt, somebody said which was better."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie.outcomes.outcome import Battles
from coterie.outcomes.rows import member_of, prompt_of
from coterie.types import Json

FIRST, TIE, SECOND = 1.0, 0.5, 0.0

WINNERS: Mapping[str, float] = {"model_a": FIRST, "model_b": SECOND, "tie": TIE, "tie (bothbad)": TIE}
"""What a battle's ``winner`` may be; the last one as LMSYS' arena writes it."""

COLUMNS: Mapping[str, float] = {"winner_model_a": FIRST, "winner_model_b": SECOND, "winner_tie": TIE}
"""LMSYS' arena-human-preference-55k, which RouteLLM is trained on, has a column of 0 and 1 for each result."""


@dataclass(frozen=True)
class Battle:
    """Two members, and 1 where the first was better, 0 where the second was, 1/2 for a tie."""

    prompt: str
    first: str
    second: str
    result: float
    place: str = ""


def battle_of(record: Json, place: str = "") -> Battle:
    """The battle of ``{prompt, model_a, model_b, winner}``, or with the arena's columns instead of a winner.

    Raises `ValueError` for anything that is not as it should be.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"a record is a mapping, not {record!r:.80}")
    first, second = member_of(record.get("model_a")), member_of(record.get("model_b"))
    if first == second:
        raise ValueError(f"{first!r} cannot be compared with itself")
    columns = "winner" not in record
    prompt = _first_turn(record.get("prompt")) if columns else record.get("prompt")
    return Battle(prompt_of(prompt), first, second, _marked(record) if columns else _named(record["winner"]), place)


class Fights:
    """Battles while they are read."""

    def __init__(self) -> None:
        self._members: dict[str, int] = {}
        self._prompts: list[str] = []
        self._places: list[str] = []
        self._first, self._second, self._result = array("q"), array("q"), array("d")

    def __len__(self) -> int:
        return len(self._prompts)

    def add(self, battle: Battle) -> None:
        """Afterwards the battle is there."""
        self._first.append(self._members.setdefault(battle.first, len(self._members)))
        self._second.append(self._members.setdefault(battle.second, len(self._members)))
        self._result.append(battle.result)
        self._prompts.append(battle.prompt)
        self._places.append(battle.place)

    def battles(self) -> Battles:
        """Everything that was read, members in the order in which they first appeared."""
        import numpy as np

        return Battles(
            members=tuple(self._members),
            prompts=tuple(self._prompts),
            first=np.array(self._first, dtype=np.int64),
            second=np.array(self._second, dtype=np.int64),
            result=np.array(self._result, dtype=np.float64),
            places=tuple(self._places),
        )


def _named(winner: Json) -> float:
    if not isinstance(winner, str) or winner not in WINNERS:
        raise ValueError(f"the winner is one of {', '.join(WINNERS)}, not {winner!r:.80}")
    return WINNERS[winner]


def _marked(record: Mapping[str, Json]) -> float:
    if absent := [name for name in COLUMNS if name not in record]:
        raise ValueError(f"there is neither a 'winner' nor {absent[0]!r}")
    won = [name for name in COLUMNS if record[name] in (1, True)]
    lost = [name for name in COLUMNS if record[name] in (0, False)]
    if len(won) != 1 or len(lost) != len(COLUMNS) - 1:
        values = {name: record[name] for name in COLUMNS}
        raise ValueError(f"one of the winner columns is 1 and the others are 0, not {values!r:.120}")
    return COLUMNS[won[0]]


def _first_turn(prompt: Json) -> Json:
    """What the conversation began with: the arena keeps the user's turns as a list, in JSON."""
    turns = prompt
    if isinstance(prompt, str) and prompt.lstrip().startswith("["):
        try:
            turns = json.loads(prompt)
        except (ValueError, RecursionError):
            return prompt
    if isinstance(turns, Sequence) and not isinstance(turns, str) and turns and isinstance(turns[0], str):
        return turns[0]
    return prompt
