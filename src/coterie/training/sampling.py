"""Which candidates of an example are read together in one pass over the data: 2306.02561, section 3.2.

Candidates are places 0 .. U-1 of an example whose equal texts have been dropped. Everything is drawn from the
generator that is handed in, so equal seeds give equal draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Literal

from coterie.training.quality import Quality, mean

Sampling = Literal["all_pair", "top_bottom", "uniform", "random"]

Places = tuple[int, ...]
"""Candidates that are read together, in reading order."""


@dataclass(frozen=True)
class Draws:
    """How candidates are drawn."""

    sampling: Sampling = "all_pair"
    num_pos: int = 5
    num_neg: int = 5
    ratio: float = 0.5
    """Of `uniform`: the share of the candidates that is kept, evenly over the order of quality."""

    @property
    def n_pairs(self) -> int:
        """At most so many pairs of one example in one pass."""
        return min(self.num_pos, self.num_neg)


def pairs(qualities: Sequence[Quality], draws: Draws, rng: Random, *, ties: bool = True) -> list[Places]:
    """The pairs of one pass, each turned round with probability 1/2; only one orientation of a pair is read.

    all_pair: `n_pairs` of all unordered pairs. random: as many, each drawn anew out of all pairs, so that one may
    come twice. top_bottom: the k-th best with the k-th of the worst `n_pairs`. uniform: every floor(1 / ratio)-th
    of the order of mean quality, each with the next. A single candidate makes the pair (0, 0).

    Without `ties` no pair is drawn whose qualities are equal in every task: it would teach nothing.
    """
    if len(qualities) == 1:
        return [(0, 0)] if ties else []
    found = _PAIRINGS[draws.sampling](qualities, draws, rng, ties)
    return [(b, a) if rng.random() < 0.5 else (a, b) for a, b in found]


def spread(qualities: Sequence[Quality], draws: Draws) -> list[Places]:
    """One list an example, best first: every floor(1 / ratio)-th of the order, but two at least (SimCLS)."""
    order = _by_quality(qualities)
    if len(order) < 2 or all(quality == qualities[0] for quality in qualities):
        return []
    step = _step(len(order), draws.ratio)
    return [tuple(order[::step])]


def extremes(qualities: Sequence[Quality], draws: Draws) -> list[Places]:
    """One list an example: the best `num_pos` and the worst `num_neg`, none of them twice (SummaReranker)."""
    order = _by_quality(qualities)
    if len(order) < 2 or all(quality == qualities[0] for quality in qualities):
        return []
    best = order[: min(draws.num_pos, len(order) - 1)]
    worst = order[len(best) :][-draws.num_neg :]
    return [tuple(best + worst)]


# ---- the pairings -------------------------------------------------------------------------------

_Pair = tuple[int, int]


def _of_all(qualities: Sequence[Quality], draws: Draws, rng: Random, ties: bool) -> list[_Pair]:
    every = _every(qualities, ties)
    return rng.sample(every, min(draws.n_pairs, len(every)))


def _at_random(qualities: Sequence[Quality], draws: Draws, rng: Random, ties: bool) -> list[_Pair]:
    every = _every(qualities, ties)
    return rng.choices(every, k=draws.n_pairs) if every else []


def _top_bottom(qualities: Sequence[Quality], draws: Draws, _: Random, ties: bool) -> list[_Pair]:
    order = _by_quality(qualities)
    # With as many pairs as candidates each would meet itself.
    n = min(draws.n_pairs, len(order) - 1)
    return _decided(zip(order[:n], order[-n:], strict=True), qualities, ties) if n > 0 else []


def _uniform(qualities: Sequence[Quality], draws: Draws, _: Random, ties: bool) -> list[_Pair]:
    order = _by_quality(qualities)
    if len(order) < 2:
        return []
    step = _step(len(order), draws.ratio)
    return _decided(zip(order[:-step:step], order[step::step], strict=True), qualities, ties)


_PAIRINGS = {"all_pair": _of_all, "random": _at_random, "top_bottom": _top_bottom, "uniform": _uniform}


def _every(qualities: Sequence[Quality], ties: bool) -> list[_Pair]:
    return _decided(combinations(range(len(qualities)), 2), qualities, ties)


def _decided(found: Iterable[_Pair], qualities: Sequence[Quality], ties: bool) -> list[_Pair]:
    return [(a, b) for a, b in found if ties or qualities[a] != qualities[b]]


def _by_quality(qualities: Sequence[Quality]) -> list[int]:
    """Places, the best mean quality first; equal ones in the example's order."""
    return sorted(range(len(qualities)), key=lambda place: -mean(qualities[place]))


def _step(n: int, ratio: float) -> int:
    """So that at least two of `n` are left."""
    return min(math.floor(1 / ratio), n - 1)
