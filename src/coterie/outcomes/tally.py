"""What is missing in lessons and what stands in them twice, counted: for cards, and for whoever looks on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie.examples.split import text_key
from coterie.outcomes.outcome import Lessons, Outcomes


@dataclass(frozen=True)
class Tally:
    """How much there is of everything."""

    prompts: int
    """Rows of outcomes."""
    battles: int
    repeated: int
    """Rows of outcomes whose prompt stands in a row before."""
    unscored: Mapping[str, int]
    """By member, prompts on which its score is unknown; members that have all of them are left out."""
    unpriced: Mapping[str, int]
    """By member, known scores of answers whose cost is unknown; members that have all of them are left out."""

    def summary(self) -> str:
        """In one line."""
        parts = [f"{self.prompts} prompts with outcomes"] if self.prompts else []
        parts += [f"{self.battles} battles"] if self.battles else []
        parts += [f"{self.repeated} prompts stand there again"] if self.repeated else []
        parts += [f"no score of {name} on {n}" for name, n in self.unscored.items()]
        parts += [f"no cost of {name} on {n}" for name, n in self.unpriced.items() if n < self.prompts]
        if self.unpriced and all(n == self.prompts for n in self.unpriced.values()):
            parts.append("no costs")
        return ", ".join(parts)


def tally(lessons: Lessons) -> Tally:
    """The counts of `lessons`."""
    outcomes, battles = lessons.outcomes, lessons.battles
    n_battles = len(battles) if battles is not None else 0
    if outcomes is None:
        return Tally(0, n_battles, 0, {}, {})
    return Tally(len(outcomes), n_battles, _repeated(outcomes.prompts), *_unknown(outcomes))


def _repeated(prompts: Sequence[str]) -> int:
    return len(prompts) - len({text_key(prompt) for prompt in prompts})


def _unknown(outcomes: Outcomes) -> tuple[dict[str, int], dict[str, int]]:
    import numpy as np

    unscored = np.isnan(outcomes.scores)
    unpriced = np.isnan(outcomes.costs_usd) & ~unscored
    by_score, by_cost = (
        {name: int(n) for name, n in zip(outcomes.members, missing.sum(axis=0), strict=True) if n}
        for missing in (unscored, unpriced)
    )
    return by_score, by_cost
