"""How near an order is to the labels' order: the paper's three figures, and one that its code has beside them.

Pearson and Spearman are computed for each model by itself, over the examples, and averaged over the models
(2306.02561, table 3). So they ask whether a judge knows on which prompts a model is good, and not whether it
knows which model is good on a prompt, which the footrule asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

Correlation = Callable[[Sequence[float], Sequence[float]], float | None]


def pearson(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Pearson's r; ``None`` where one side does not vary, which includes a single pair and none."""
    n = len(xs)
    if n != len(ys):
        raise ValueError(f"{n} numbers cannot be paired with {len(ys)}")
    if n < 2:
        return None
    mean_x, mean_y = math.fsum(xs) / n, math.fsum(ys) / n
    var_x = math.fsum((x - mean_x) ** 2 for x in xs)
    var_y = math.fsum((y - mean_y) ** 2 for y in ys)
    if var_x == 0 or var_y == 0:
        return None
    return math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / math.sqrt(var_x * var_y)


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's rho: Pearson's r of the ranks, equal values sharing their mean rank."""
    return pearson(mid_ranks(xs), mid_ranks(ys))


def mid_ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value, 1 for the least; equal ones share the mean of their ranks."""
    places = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    below = 0
    for _, tied in groupby(places, key=values.__getitem__):
        group = list(tied)
        for place in group:
            ranks[place] = below + (len(group) + 1) / 2
        below += len(group)
    return ranks


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
