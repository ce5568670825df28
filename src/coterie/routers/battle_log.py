"""Which battles were fought over which prompt, in the order in which they were heard of."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError
from coterie.routers.elo import Battle

COLUMNS = ("battle_first", "battle_second", "entry_end", "entry_before", "prompt_entry")
"""Arrays of whole numbers; beside them stands ``battle_result``."""


class BattleLog:
    """Battles in entries: what was heard at once of one prompt. Each entry knows the one before it over its prompt.

    So one more costs the same among many, and so do the newest entries over a prompt of which much was heard.
    """

    def __init__(self) -> None:
        self._first = array("i")
        self._second = array("i")
        self._result = array("d")
        self._end = array("i")
        """For each entry where its battles end; they begin where the entry before ends."""
        self._before = array("i")
        """For each entry the one before it over its prompt, -1 for none."""
        self._last = array("i")
        """For each prompt its last entry, -1 for none."""

    def add(self, prompt: int, battles: Sequence[Battle]) -> None:
        """Afterwards `battles` have been fought over `prompt`, in that order; without one, nothing has changed."""
        if not battles:
            return
        self._last.extend([-1] * (prompt + 1 - len(self._last)))
        self._before.append(self._last[prompt])
        self._last[prompt] = len(self._end)
        for first, second, result in battles:
            self._first.append(first)
            self._second.append(second)
            self._result.append(result)
        self._end.append(len(self._first))

    def over(self, prompts: Iterable[int], count: int) -> tuple[Sequence[Battle], int]:
        """The battles of `count` entries over those prompts, oldest first, and how many of the prompts they are over.

        Prompts come in turn, each with its newest entries first, until there are enough.
        """
        entries: list[int] = []
        reached = 0
        for prompt in prompts:
            if len(entries) >= count:
                break
            reached += 1
            entry = self._last[prompt] if prompt < len(self._last) else -1
            while entry >= 0 and len(entries) < count:
                entries.append(entry)
                entry = self._before[entry]
        battles: list[Battle] = []
        for entry in sorted(entries):
            of = slice(self._end[entry - 1] if entry else 0, self._end[entry])
            battles.extend(zip(self._first[of], self._second[of], self._result[of], strict=True))
        return battles, reached

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """All of it, to be saved."""
        kept: dict[str, NDArray[np.generic]] = {"battle_result": np.array(self._result, dtype=np.float64)}
        for name, column in zip(COLUMNS, self._columns, strict=True):
            kept[name] = _numbers(column)
        return kept

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[np.generic]], members: int) -> BattleLog:
        """What `arrays` gave, of so many members. Raises `ConfigError` for what they did not."""
        log = cls()
        try:
            for name, column in zip(COLUMNS, log._columns, strict=True):
                column.frombytes(arrays[name].astype(np.int32, copy=False).tobytes())
            log._result.frombytes(arrays["battle_result"].astype(np.float64, copy=False).tobytes())
        except KeyError as error:
            raise ConfigError(f"{error.args[0]!r} is missing from a router's arrays") from error
        if not log._whole(members):
            raise ConfigError("the battles among a router's arrays do not fit each other")
        return log

    @property
    def _columns(self) -> tuple[array[int], ...]:
        return self._first, self._second, self._end, self._before, self._last

    def _whole(self, members: int) -> bool:
        """True where every battle is one of `members`, and every entry follows an earlier one or none."""
        first, second, end, before, last = map(_numbers, self._columns)
        battles, entries = len(first), len(end)
        if not (len(second) == len(self._result) == battles and len(before) == entries):
            return False
        fighters = np.concatenate([first, second])
        return bool(
            ((fighters >= 0) & (fighters < members)).all()
            and (np.diff(end, prepend=0) > 0).all()
            and (end[-1] if entries else 0) == battles
            and ((before >= -1) & (before < np.arange(entries))).all()
            and ((last >= -1) & (last < entries)).all()
        )


def _numbers(column: array[int]) -> NDArray[np.int32]:
    return np.array(column, dtype=np.int32)
