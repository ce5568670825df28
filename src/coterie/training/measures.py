"""What held-out prompts say of a ranker, beside what it has to beat: the longer answer, a constant choice, and chance.

A ranker is known by its margins alone: margins[i][j] is how far it places candidate i above j. Where margins
are 0, or several candidates share the top, each possible choice counts its share, so that a ranker that says nothing
gets exactly what chance gets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from coterie.training.quality import Quality, mean
from coterie.types import Json

Margins = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Measured:
    """Measurements over examples; ``None`` where there was nothing to measure."""

    examples: int
    pairs: int
    """Whose candidates differ in quality."""
    pairwise_accuracy: float | None
    """Share of these pairs that the margins order rightly."""
    best_of_n_accuracy: float | None
    """Share of the examples in which the top candidate is one of the best."""
    chosen_quality: float | None
    """Mean first metric of the top candidate."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the pairwise accuracy, as if all pairs were independent."""
        return None if self.pairwise_accuracy is None else wilson(self.pairwise_accuracy, self.pairs)

    def to_json(self) -> dict[str, Json]:
        interval = self.interval
        return {
            "examples": self.examples,
            "pairs": self.pairs,
            "pairwise_accuracy": self.pairwise_accuracy,
            "pairwise_accuracy_95": list(interval) if interval else None,
            "best_of_n_accuracy": self.best_of_n_accuracy,
            "chosen_quality": self.chosen_quality,
        }


def measure(judged: Iterable[tuple[Margins, Sequence[Quality]]]) -> Measured:
    """Of each example's margins and qualities."""
    examples, right, best, chosen = 0, [], [], []
    for margins, qualities in judged:
        examples += 1
        right += [_right(margins, qualities, i, j) for i, j in deciding(qualities)]
        top = _top(margins)
        highest = max(map(mean, qualities))
        best.append(math.fsum(mean(qualities[n]) == highest for n in top) / len(top))
        chosen.append(math.fsum(qualities[n][0] for n in top) / len(top))
    return Measured(examples, len(right), _mean(right), _mean(best), _mean(chosen))


def by_length(lengths: Sequence[int]) -> Margins:
    """The longer text is the better one."""
    return [[float(a - b) for b in lengths] for a in lengths]


def constant(n: int, rng: Random) -> Margins:
    """What is shown first is the best, and so on down, whatever it says; it is shown in random order."""
    shown = rng.sample(range(n), n)
    return [[float(b - a) for b in shown] for a in shown]


def silent(n: int) -> Margins:
    """Nothing is above anything: chance, in the mean."""
    return [[0.0] * n for _ in range(n)]


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share of `n` independent trials."""
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def margins_of(logits: Mapping[tuple[int, int], float], n: int) -> Margins:
    """From a pair ranker's logits M of all ordered pairs: M[i, j] - M[j, i]."""
    return [[logits[i, j] - logits[j, i] if i != j else 0.0 for j in range(n)] for i in range(n)]


def deciding(qualities: Sequence[Quality]) -> Iterable[tuple[int, int]]:
    """The pairs of candidates that differ in quality."""
    return ((i, j) for i, j in combinations(range(len(qualities)), 2) if mean(qualities[i]) != mean(qualities[j]))


def _right(margins: Margins, qualities: Sequence[Quality], i: int, j: int) -> float:
    """1 where the margin has the sign of the qualities' difference, 1/2 where there is none."""
    if not margins[i][j]:
        return 0.5
    return float((margins[i][j] > 0) == (mean(qualities[i]) > mean(qualities[j])))


def _top(margins: Margins) -> list[int]:
    """Those with the greatest sum of margins, LLM-Blender's MaxLogits."""
    points = [math.fsum(row) for row in margins]
    return [n for n, point in enumerate(points) if point == max(points)]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
