"""How far one runtime's logits lie from another's, over the same pairs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from coterie.judges.engine import Engine
from coterie.judges.pair_ranker.encoding import Pair


@dataclass(frozen=True)
class Agreement:
    """Of logits with those they should be."""

    pairs: int
    furthest: float
    """The largest distance of all."""
    typical: float
    """The root of the mean square of the distances."""
    spread: float
    """The standard deviation of the logits as they should be, to see the distances by."""
    same_sign: int
    """Pairs of which both say the same candidate is better."""

    @classmethod
    def of(cls, wanted: Sequence[float], found: Sequence[float]) -> Agreement:
        """Of two lists of logits in one order. Raises `ValueError` where they are empty or of different lengths."""
        if not wanted:
            raise ValueError("there is no pair to agree on")
        both = list(zip(wanted, found, strict=True))
        return cls(
            pairs=len(both),
            furthest=max(abs(a - b) for a, b in both),
            typical=math.sqrt(statistics.fmean((a - b) ** 2 for a, b in both)),
            spread=statistics.pstdev(wanted),
            same_sign=sum((a > 0) - (a < 0) == (b > 0) - (b < 0) for a, b in both),
        )


def logits(engine: Engine[Pair], pairs: Sequence[Pair]) -> list[float]:
    """Left over right, of each pair."""
    return [left - right for left, right in engine.score(pairs)]


def ordered_pairs(source: str, candidates: Sequence[str]) -> list[Pair]:
    """Every candidate against every other, in both orders."""
    return [Pair(source, left, right) for left, right in permutations(candidates, 2)]
