"""Which battles were fought over which prompt, in the order in which they were fought."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError
from coterie.routers.elo import Battle


class BattleLog:
    """Battles by prompt. Each knows the one before it over the same prompt, so one more costs the same among many."""

    def __init__(self) -> None:
        self._first = array("i")
        self._second = array("i")
        self._result = array("d")
        self._before = array("i")
        """For each battle the one before it over its prompt, -1 for none."""
        self._last = array("i")
        """For each prompt its last battle, -1 for none."""

    def __len__(self) -> int:
        return len(self._first)

    def add(self, prompt: int, battles: Iterable[Battle]) -> None:
        """Afterwards `battles` have been fought over `prompt`, in that order."""
        self._last.extend([-1] * (prompt + 1 - len(self._last)))
        for first, second, result in battles:
            self._before.append(self._last[prompt])
            self._last[prompt] = len(self._first)
            self._first.append(first)
            self._second.append(second)
            self._result.append(result)

    def over(self, prompts: Iterable[int]) -> Sequence[Battle]:
        """The battles over those prompts, each named once, oldest first."""
        before, last, found = self._before, self._last, []
        for prompt in prompts:
            battle = last[prompt] if prompt < len(last) else -1
            while battle >= 0:
                found.append(battle)
                battle = before[battle]
        found.sort()
        first, second, result = self._first, self._second, self._result
        return [(first[battle], second[battle], result[battle]) for battle in found]

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """All of it, to be saved."""
        return {
            "battle_first": _numbers(self._first),
            "battle_second": _numbers(self._second),
            "battle_result": np.array(self._result, dtype=np.float64),
            "battle_before": _numbers(self._before),
            "prompt_battle": _numbers(self._last),
        }

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[np.generic]], members: int) -> BattleLog:
        """What `arrays` gave, of so many members. Raises `ConfigError` for what they did not."""
        log = cls()
        try:
            for name, kept in (
                ("battle_first", log._first),
                ("battle_second", log._second),
                ("battle_before", log._before),
                ("prompt_battle", log._last),
            ):
                kept.frombytes(arrays[name].astype(np.int32, copy=False).tobytes())
            log._result.frombytes(arrays["battle_result"].astype(np.float64, copy=False).tobytes())
        except KeyError as error:
            raise ConfigError(f"{error.args[0]!r} is missing from a router's arrays") from error
        if not log._whole(members):
            raise ConfigError("the battles among a router's arrays do not fit each other")
        return log

    def _whole(self, members: int) -> bool:
        """True where every battle is one of `members`, and leads to an earlier one or to none."""
        n = len(self)
        if not all(len(column) == n for column in (self._second, self._result, self._before)):
            return False
        fighters = np.concatenate([_numbers(self._first), _numbers(self._second)])
        before, last = _numbers(self._before), _numbers(self._last)
        return bool(
            ((fighters >= 0) & (fighters < members)).all()
            and ((before >= -1) & (before < np.arange(n))).all()
            and ((last >= -1) & (last < n)).all()
        )


def _numbers(column: array[int]) -> NDArray[np.int32]:
    return np.array(column, dtype=np.int32)
