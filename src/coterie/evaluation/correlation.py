"""How near an order is to the labels' order: the paper's three figures, and one that its code has beside them.

Pearson and Spearman are computed for each model by itself, over the examples, and averaged over the models
(2306.02561, table 3). So they ask whether a judge knows on which prompts a model is good, and not whether it
knows which model is good on a prompt, which the footrule asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from coterie.signals import mid_ranks, pearson, spearman

__all__ = [
    "Correlation",
    "by_model",
    "expected_footrule",
    "expected_set_based",
    "footrule",
    "mid_ranks",
    "pearson",
    "set_based",
    "spearman",
]

Correlation = Callable[[Sequence[float], Sequence[float]], float | None]


def by_model(columns: Mapping[str, Sequence[tuple[float, float]]], correlation: Correlation) -> float | None:
    """The mean over the models of the correlation between what an order and the labels say of each.

    `columns` holds, for each model, (rank in the order, rank by the labels) of every example. ``None`` where
    one of the models has no correlation, because one side always ranks it alike: a mean over the others
    would be of other models than the next judge's.
    """
    found = [correlation([x for x, _ in pairs], [y for _, y in pairs]) for pairs in columns.values()]
    known = [value for value in found if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(found) else None


def footrule(ranks: Sequence[int], truth: Sequence[int]) -> float:
    """Spearman's footrule: the ranks' distances, summed; 0 for the same order, less is better."""
    return float(sum(abs(a - b) for a, b in zip(ranks, truth, strict=True)))


def set_based(ranks: Sequence[int], truth: Sequence[int]) -> float:
    """The mean over k of the Jaccard index of the two sets of candidates ranked k or better, in [0, 1]."""
    return math.fsum(_jaccard(_top(ranks, k), _top(truth, k)) for k in range(1, len(ranks) + 1)) / len(ranks)


def expected_footrule(truth: Sequence[int]) -> float:
    """`footrule` of an order drawn at random, on average."""
    n = len(truth)
    return math.fsum(abs(k - rank) for rank in truth for k in range(1, n + 1)) / n


def expected_set_based(truth: Sequence[int]) -> float:
    """`set_based` of an order drawn at random, on average: its first k are any k of the n."""
    n = len(truth)
    return math.fsum(_expected_jaccard(n, k, len(_top(truth, k))) for k in range(1, n + 1)) / n


def _expected_jaccard(n: int, k: int, m: int) -> float:
    """Of k drawn out of n with m given ones: the shared are distributed hypergeometrically."""
    ways = math.comb(n, k)
    shared = range(max(0, k + m - n), min(k, m) + 1)
    return math.fsum(math.comb(m, s) * math.comb(n - m, k - s) / ways * s / (k + m - s) for s in shared)


def _top(ranks: Sequence[int], k: int) -> frozenset[int]:
    return frozenset(place for place, rank in enumerate(ranks) if rank <= k)


def _jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b)
