"""Which prompts a comparison of routers learns from, and which it measures on: never the same ones.

A trial is a list of parts. In each a router learns from some rows and forecasts others; over all parts every measured
prompt is forecast once, by a router that has not seen it. Prompts that differ in case and white space alone are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.examples.split import falls_at, text_key
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.outcomes.split import apart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """One split."""

    learned: Places
    """Rows of the lessons' outcomes."""
    battles: Places
    """Rows of the lessons' battles."""
    measured: Places
    """Rows of the outcomes that are measured on."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What is learned from and measured on, part by part."""

    lessons: Lessons
    measured: Outcomes
    """Outcomes in which every score is known."""
    parts: tuple[Part, ...]
    how: str
    """In words."""

    @property
    def folds(self) -> Places | None:
        """Of each measured prompt the part that forecasts it; ``None`` where there is but one."""
        import numpy as np

        if len(self.parts) == 1:
            return None
        found = np.zeros(len(self.measured), dtype=np.int64)
        for n, part in enumerate(self.parts):
            found[part.measured] = n
        return found

    def lessons_of(self, part: Part) -> Lessons:
        """What is learned in a part."""
        outcomes, battles = self.lessons.outcomes, self.lessons.battles
        return Lessons(
            outcomes.rows(part.learned) if outcomes is not None and len(part.learned) else None,
            battles.rows(part.battles) if battles is not None and len(part.battles) else None,
        )

    @property
    def prompts_learned(self) -> int:
        """Different prompts with outcomes that are learned from in a part, in the mean."""
        outcomes = self.lessons.outcomes
        if outcomes is None:
            return 0
        counts = [len({text_key(outcomes.prompts[row]) for row in part.learned}) for part in self.parts]
        return round(sum(counts) / len(counts))

    def smaller(self, prompts: int) -> Trial:
        """The same trial with at most so many prompts learned from in each part, drawn by their texts.

        What a smaller number draws is a part of what a larger one does. Battles are left out: they are no labels of a
        prompt that could be counted with them.
        """
        return replace(self, parts=tuple(self._smaller(part, prompts) for part in self.parts))

    def _smaller(self, part: Part, prompts: int) -> Part:
        import numpy as np

        outcomes = self.lessons.outcomes
        assert outcomes is not None  # noqa: S101 - learning curves are of outcomes
        keys = [text_key(outcomes.prompts[row]) for row in part.learned]
        order = sorted(dict.fromkeys(keys), key=lambda key: falls_at(key, "learned"))
        kept = set(order[:prompts])
        return replace(
            part,
            learned=part.learned[[key in kept for key in keys]],
            battles=np.zeros(0, dtype=np.int64),
        )


def by_folds(lessons: Lessons, measured: Outcomes, k: int, salt: str = "") -> Trial:
    """Each of `k` folds is forecast by a router that learned from the others, as `coterie.outcomes.split.folds` splits.

    `measured` are rows of the lessons' outcomes. Raises `ConfigError` for fewer than two folds, and for one without
    prompts.
    """
    import numpy as np

    if k < 2:
        raise ConfigError(f"there are at least 2 folds, not {k!r}")
    outcomes, battles = lessons.outcomes, lessons.battles
    learned_in = _folds(outcomes.prompts if outcomes else (), k, salt)
    battles_in = _folds(battles.prompts if battles else (), k, salt)
    measured_in = _folds(measured.prompts, k, salt)
    parts = tuple(
        Part(np.flatnonzero(learned_in != n), np.flatnonzero(battles_in != n), np.flatnonzero(measured_in == n))
        for n in range(k)
    )
    empty = [n for n, part in enumerate(parts) if not len(part.measured)]
    if empty:
        raise ConfigError(f"{len(measured)} prompts are too few for {k} folds: {len(empty)} of them would have none")
    return Trial(lessons, measured, parts, f"{k} folds by prompt")


def by_test(lessons: Lessons, measured: Outcomes) -> Trial:
    """Everything in `lessons` is learned from. Raises `ConfigError` for a prompt on both sides, naming the rows."""
    import numpy as np

    apart(lessons, Lessons(measured))
    sizes = [0 if of is None else len(of) for of in (lessons.outcomes, lessons.battles)]
    part = Part(np.arange(sizes[0]), np.arange(sizes[1]), np.arange(len(measured)))
    return Trial(lessons, measured, (part,), "learned from one file, measured on another")


def _folds(prompts: Sequence[str], k: int, salt: str) -> Places:
    """The fold of each prompt."""
    import numpy as np

    return np.array([int(falls_at(text_key(prompt), salt) * k) for prompt in prompts], dtype=np.int64)
