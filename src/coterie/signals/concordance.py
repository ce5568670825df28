"""Kendall's coefficient of concordance among reviewers, none of whom ranked everything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from coterie.signals.correlation import spearman


def concordance(ballots: Sequence[Mapping[str, float]]) -> float | None:
    """Kendall's W, in [0, 1]: 1 for one order on all ballots, 0 for none in common.

    Nobody reviews his own answer, so no two ballots hold the same ids and the sums of ranks that W is made
    of do not exist. W is made of the mean Spearman correlation r of pairs of ballots instead, each over the
    ids that both hold: W = (1 + (m - 1) r) / m for m ballots, which for complete ballots without ties is
    Kendall's own (Kendall and Gibbons, "Rank Correlation Methods", 5th edition, chapter 6). Ties are
    corrected for inside each correlation. Opposed ballots can make it negative where they are incomplete; that is 0.

    ``None`` where no two ballots share two ids that both tell apart. With three members there are no such two.
    """
    found: list[float] = []
    compared: set[int] = set()
    for (n, a), (m, b) in combinations(enumerate(ballots), 2):
        shared = [id_ for id_ in a if id_ in b]
        rho = spearman([a[id_] for id_ in shared], [b[id_] for id_ in shared])
        if rho is not None:
            found.append(rho)
            compared |= {n, m}
    if not found:
        return None
    mean_rho = math.fsum(found) / len(found)
    return max(0.0, (1 + (len(compared) - 1) * mean_rho) / len(compared))
