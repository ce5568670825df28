"""How much worse a small member's answers are than a large one's, and Hybrid LLM's labels of it (2404.14618).

With H the small one's quality less the large one's, the gap is -H: a label is y(t) = Pr[H >= -t] = Pr[gap <= t].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from coterie.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT = 1e-9
"""Gaps that are closer are one: scores in tenths differ by tenths."""


@dataclass(frozen=True)
class Gap:
    """How the gap is spread on one prompt: values, ascending, and how likely each is."""

    values: tuple[float, ...]
    weights: tuple[float, ...]

    def within(self, shift: float) -> float:
        """Pr[gap <= shift]: how likely the small one is at most so much worse."""
        return math.fsum(w for value, w in zip(self.values, self.weights, strict=True) if value <= shift + EXACT)


def of_answers(small: Sequence[float], large: Sequence[float]) -> Gap:
    """Of several answers a member: every one of the small against every one of the large (section 3.2)."""
    values = sorted(of_large - of_small for of_small in small for of_large in large)
    return Gap(tuple(values), (1.0 / len(values),) * len(values))


def of_shares(small: float, large: float, answers: int) -> Gap:
    """Of scores that are shares right of so many `answers`: what as many further answers would show.

    Of a member that was right a times of k, the share right of k further answers is taken to be beta-binomial with
    the parameters a + 1/2 and k - a + 1/2 (Jeffreys' prior), and the two members to be independent. So y(t) lies
    between 0 and 1 and knows how little ten answers tell, while the answers themselves, being right or wrong, would
    make every t below 1 the same. The paper draws its ten answers and scores each with a metric that is graded.
    """
    first, second = (_predicted(_right(share, answers), answers) for share in (small, large))
    chances: dict[int, list[float]] = {}
    for of_small, p in enumerate(first):
        for of_large, q in enumerate(second):
            chances.setdefault(of_large - of_small, []).append(p * q)
    ordered = sorted(chances)
    return Gap(tuple(n / answers for n in ordered), tuple(math.fsum(chances[n]) for n in ordered))


def _right(share: float, answers: int) -> int:
    right = round(share * answers)
    if not 0 <= right <= answers or abs(share * answers - right) > 1e-6:
        raise ConfigError(f"a score of {share!r} is no share right of {answers!r} answers")
    return right


@lru_cache(1024)
def _predicted(right: int, answers: int) -> tuple[float, ...]:
    """How likely 0, 1, ... of `answers` further ones are right."""
    a, b = right + 0.5, answers - right + 0.5

    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    return tuple(
        math.comb(answers, n) * math.exp(log_beta(n + a, answers - n + b) - log_beta(a, b)) for n in range(answers + 1)
    )


# ---- the shift that tells prompts apart ------------------------------------------------------------


@dataclass(frozen=True)
class Shift:
    """The t of r_trans, and what it was chosen by."""

    t: float
    spread: float
    """The mean difference of two prompts' labels at t."""
    unshifted: float
    """The same at 0, as r_prob has it."""

    @property
    def collapsed(self) -> bool:
        """True where no shift is better than none: r_trans is r_prob, as whenever quality is right or wrong."""
        return self.spread <= self.unshifted + EXACT


def best_shift(gaps: Sequence[Gap], most: int = 200) -> Shift:
    """The t >= 0 with the greatest mean difference of labels, the smallest of equals (equation 3).

    Labels change only where t passes a gap, so the gaps themselves are tried; where there are more than `most`
    distinct ones, so many evenly spaced values up to the largest. Raises `ValueError` without gaps.
    """
    tried = _candidates(gaps, most)
    found = [mean_difference([gap.within(t) for gap in gaps]) for t in tried]
    best = max(found)
    at = next(n for n, value in enumerate(found) if value >= best - EXACT)
    return Shift(tried[at], found[at], found[0])


def mean_difference(labels: Sequence[float] | NDArray[np.float64]) -> float:
    """(1/N^2) times the sum of |y - y'| over all ordered pairs, in O(N log N): (2/N^2) sum_w (2w - N + 1) y_(w)."""
    n = len(labels)
    return 2.0 * math.fsum((2 * w - n + 1) * y for w, y in enumerate(sorted(labels))) / n**2


def _candidates(gaps: Sequence[Gap], most: int) -> list[float]:
    if not gaps:
        raise ValueError("a shift is chosen for one gap at least")
    positive = sorted({round(value, 9) for gap in gaps for value in gap.values if value > EXACT})
    if len(positive) <= most:
        return [0.0, *positive]
    return [positive[-1] * n / most for n in range(most + 1)]
