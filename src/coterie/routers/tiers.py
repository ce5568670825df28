"""Members of nearly equal strength as one, so that there are enough battles between any two (2406.18665, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tiers_of(ratings: NDArray[np.float64], n_tiers: int) -> NDArray[np.int64]:
    """The tier of each rating, 0 the best: the `n_tiers` runs of neighbours with the least sum of variances.

    As RouteLLM's ``compute_tiers`` has it: the variance of each tier and not its sum of squares, so that a member
    alone costs nothing, and many cost no more than two as far apart. Of equally good ways it is the one whose last
    tiers begin earliest. There are as many tiers as members where that is fewer. O(members^2 tiers).
    Raises `ValueError` for no ratings, and for no tier.
    """
    if n_tiers < 1 or not len(ratings):
        raise ValueError(f"{len(ratings)} members cannot stand in {n_tiers!r} tiers")
    best_first = np.argsort(-ratings, kind="stable")
    cost = _variances(ratings[best_first])
    n = len(ratings)
    least = cost[0]
    begins: list[NDArray[np.int64]] = []
    """For each number of tiers, and each member that may end the last of them, where that one begins."""
    for tier in range(1, min(n_tiers, n)):
        before, least = least, np.full(n, np.inf)
        begin = np.zeros(n, dtype=np.int64)
        for end in range(tier, n):
            ways = before[tier - 1 : end] + cost[tier : end + 1, end]
            chosen = int(np.argmin(ways))
            least[end], begin[end] = ways[chosen], tier + chosen
        begins.append(begin)
    tiers = np.zeros(n, dtype=np.int64)
    end = n - 1
    for begin in reversed(begins):
        tiers[best_first[begin[end] :]] += 1
        end = int(begin[end]) - 1
    return tiers


def _variances(ratings: NDArray[np.float64]) -> NDArray[np.float64]:
    """(members, members): the variance of the ratings from the row's to the column's, both among them."""
    n = len(ratings)
    centred = ratings - ratings.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    begin, end = np.arange(n)[:, None], np.arange(1, n + 1)[None, :]
    count = np.maximum(end - begin, 1)
    mean = (sums[end] - sums[begin]) / count
    return np.where(end - begin > 1, np.maximum((squares[end] - squares[begin]) / count - mean**2, 0.0), 0.0)
