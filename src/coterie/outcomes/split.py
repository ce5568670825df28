"""Prompts on two sides: to learn from, and to measure on. No prompt is ever on both.

A prompt is known by its whole text, without case, white space and variants of one character (`coterie.examples.split`).
So few-shot prompts that share their examples and differ in the question are different prompts, and one question with
other examples before it is another prompt: whoever must keep questions apart gives the questions as prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from coterie.errors import ConfigError
from coterie.examples.split import falls_at, text_key
from coterie.outcomes.outcome import Battles, Lessons, Outcomes

NAMED_ROWS = 5
"""How many rows an error names."""


@dataclass(frozen=True, eq=False)
class Sides:
    """What is learned, and what is measured."""

    learned: Lessons
    measured: Lessons


def held_out(lessons: Lessons, share: float = 0.15, *, salt: str = "") -> Sides:
    """About `share` of the prompts set aside; the same ones as `coterie.examples.held_out` sets aside.

    A prompt's side depends on its text alone, so it is the same in every file and every order, and of outcomes and
    battles alike. Another `salt` makes another split.
    """
    if not 0 < share < 1:
        raise ConfigError(f"held_out is a share between 0 and 1, not {share!r}")
    return _parted(lessons, lambda prompt: falls_at(text_key(prompt), salt) < share)


def folds(lessons: Lessons, k: int, *, salt: str = "") -> Iterator[Sides]:
    """`k` splits, in which every prompt is measured once. A prompt's fold depends on its text alone."""
    if k < 2:
        raise ConfigError(f"there are at least 2 folds, not {k!r}")
    for fold in range(k):
        yield _parted(lessons, partial(_falls_in, fold, k, salt))


def by_source(lessons: Lessons, measured: str) -> Sides:
    """The prompts whose own file puts them on the side `measured` (its ``source_split``), and all others to learn from.

    Battles, which no file splits, are learned. Raises `ConfigError` for a side that no prompt is on or all are on,
    and for a prompt that is on both, naming the rows.
    """
    outcomes = lessons.outcomes
    splits = () if outcomes is None else outcomes.splits
    if outcomes is None or measured not in splits or set(splits) == {measured}:
        there = ", ".join(sorted({split or "(none)" for split in splits})) or "none at all"
        raise ConfigError(f"the prompts cannot be split by {measured!r}: the sides that the files name are {there}")
    rows = {side: [row for row, split in enumerate(splits) if (split == measured) is side] for side in (False, True)}
    return apart(Lessons(outcomes.rows(rows[False]), lessons.battles), Lessons(outcomes.rows(rows[True])))


def apart(learned: Lessons, measured: Lessons) -> Sides:
    """Both sides, checked. Raises `ConfigError` for a prompt that is on both, naming the rows."""
    known: dict[str, str] = {}
    for prompts, places in _rows(learned):
        for row, prompt in enumerate(prompts):
            known.setdefault(text_key(prompt), places[row] if places else f"row {row + 1} to learn from")
    both = []
    for prompts, places in _rows(measured):
        for row, prompt in enumerate(prompts):
            if (where := known.get(text_key(prompt))) is not None:
                both.append(f"{where} and {places[row] if places else f'row {row + 1} to measure'}")
    if both:
        more = f", and {len(both) - NAMED_ROWS} more" if len(both) > NAMED_ROWS else ""
        raise ConfigError(
            f"the same prompt is on both sides of the split: {'; '.join(both[:NAMED_ROWS])}{more}. Take it out of one "
            "of them, or split by prompt"
        )
    return Sides(learned, measured)


def _rows(lessons: Lessons) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Prompts and their places, of everything that has some."""
    for part in (lessons.outcomes, lessons.battles):
        if part is not None:
            yield part.prompts, part.places


T = TypeVar("T", Outcomes, Battles)


def _falls_in(fold: int, k: int, salt: str, prompt: str) -> bool:
    return int(falls_at(text_key(prompt), salt) * k) == fold


def _parted(lessons: Lessons, aside: Callable[[str], bool]) -> Sides:
    outcomes = _chosen(lessons.outcomes, aside, measured=False), _chosen(lessons.outcomes, aside, measured=True)
    battles = _chosen(lessons.battles, aside, measured=False), _chosen(lessons.battles, aside, measured=True)
    return Sides(Lessons(outcomes[0], battles[0]), Lessons(outcomes[1], battles[1]))


def _chosen(part: T | None, aside: Callable[[str], bool], *, measured: bool) -> T | None:
    """The rows of one side; ``None`` where there are none."""
    if part is None:
        return None
    chosen = [row for row, prompt in enumerate(part.prompts) if aside(prompt) is measured]
    return part.rows(chosen) if chosen else None
