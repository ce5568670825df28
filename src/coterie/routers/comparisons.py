"""All that lessons say of one member against another, with the vectors of what they answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError
from coterie.outcomes.battles import Pairs, pairs_of
from coterie.outcomes.outcome import Lessons
from coterie.routers.forecast import Vectors


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Battles over prompts that each stand there once."""

    members: tuple[str, ...]
    vectors: NDArray[np.float32]
    """(prompts, dimensions)."""
    prompt: NDArray[np.int64]
    """(battles,), rows of `vectors`."""
    first: NDArray[np.int64]
    """(battles,), places in `members`."""
    second: NDArray[np.int64]
    result: NDArray[np.float64]
    """(battles,): 1 where the first was better, 0 where the second was, 1/2 for a tie."""

    def __len__(self) -> int:
        return len(self.prompt)

    def at(self, chosen: NDArray[np.int64]) -> Comparisons:
        """The battles at those places, over the same prompts."""
        return replace(
            self,
            prompt=self.prompt[chosen],
            first=self.first[chosen],
            second=self.second[chosen],
            result=self.result[chosen],
        )

    def where(self, kept: NDArray[np.bool_]) -> Comparisons:
        """The battles that `kept` marks, and the prompts that they are over."""
        some = self.at(np.flatnonzero(kept))
        rows, prompt = np.unique(some.prompt, return_inverse=True)
        return replace(some, vectors=self.vectors[rows], prompt=prompt)


def comparisons_of(lessons: Lessons, vectors: Vectors, shortest: int = 0) -> Comparisons:
    """The battles of `lessons`, and those its outcomes tell of, over prompts of at least `shortest` characters.

    Nobody fights itself. Raises `ConfigError` where no battle is left.
    """
    texts, rows, pairs = _joined([*_of_outcomes(lessons, vectors), *_of_battles(lessons, vectors)])
    seen: dict[str, int] = {}
    prompt_of_text = np.array([seen.setdefault(text, len(seen)) for text in texts], dtype=np.int64)
    _, first_row = np.unique(prompt_of_text, return_index=True)
    long_enough = np.array([len(text) >= shortest for text in seen], dtype=bool)
    prompt = prompt_of_text[pairs.prompt]
    told = Comparisons(lessons.members, rows[first_row], prompt, pairs.first, pairs.second, pairs.result)
    left = told.where(long_enough[prompt] & (pairs.first != pairs.second))
    if not len(left):
        asked = f"one prompt of at least {shortest} characters" if shortest else "one prompt"
        raise ConfigError(f"of {list(lessons.members)!r} no two have answered {asked}, so nothing compares them")
    return left


Told = tuple[tuple[str, ...], "NDArray[np.float32] | None", Pairs]
"""Texts, their vectors, and who fought over which of them."""


def _of_outcomes(lessons: Lessons, vectors: Vectors) -> Iterator[Told]:
    if lessons.outcomes is not None:  # their members are the first of all, so places are the same
        yield lessons.outcomes.prompts, vectors.outcomes, pairs_of(lessons.outcomes.scores)


def _of_battles(lessons: Lessons, vectors: Vectors) -> Iterator[Told]:
    if (battles := lessons.battles) is not None:
        place = np.array([lessons.members.index(member) for member in battles.members], dtype=np.int64)
        pairs = Pairs(np.arange(len(battles)), place[battles.first], place[battles.second], battles.result)
        yield battles.prompts, vectors.battles, pairs


def _joined(parts: Sequence[Told]) -> tuple[list[str], NDArray[np.float32], Pairs]:
    texts: list[str] = []
    rows: list[NDArray[np.float32]] = []
    pairs: list[Pairs] = []
    for prompts, vectors, fought in parts:
        if vectors is None or len(vectors) != len(prompts):
            raise ConfigError(
                f"{len(prompts)} prompts need as many vectors, and there are {0 if vectors is None else len(vectors)}"
            )
        pairs.append(replace(fought, prompt=fought.prompt + len(texts)))
        texts.extend(prompts)
        rows.append(vectors)
    if not parts:
        raise ConfigError("a router learns from outcomes or battles, and there are none")
    of = {
        name: np.concatenate([getattr(part, name) for part in pairs])
        for name in ("prompt", "first", "second", "result")
    }
    return texts, np.concatenate(rows), Pairs(**of)
