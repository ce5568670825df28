"""What a policy costs, in closed form: which share of the turns is of which kind, and what follows from it.

Where every member answers and every ranking says something; what fails makes turns dearer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Share:
    """Turns that are alike: what share of all they are, how many members write, and whether they are ranked."""

    share: float
    members: int
    ranks: bool

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"a share lies between 0 and 1, not at {self.share!r}")
        if self.members < 1:
            raise ValueError(f"at least one member writes, not {self.members!r}")


class Predictable(Protocol):
    """A policy whose cost is known before anybody is asked."""

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]:
        """The kinds of turns in conversations of `turns` (q) with `n` (N) members, of which `top_k` (K) are fused.

        Without `turns`, the limit that no known number of turns goes beyond: the bound of the saving.
        """
        ...


@dataclass(frozen=True)
class Load:
    """What a turn takes on average, in calls and in comparisons."""

    generations: float
    """Members that write: one call each."""
    rankings: float
    """Turns with a ranking."""
    ranked: float
    """Candidates that are ranked: as many ballots where every author reviews once."""
    pairs: float
    """Ordered pairs of them: the forwards of a pair ranker that reads all in both orders."""

    @classmethod
    def of(cls, shares: Sequence[Share]) -> Load:
        """The average over all kinds of turns."""
        ranked = [kind for kind in shares if kind.ranks]
        return cls(
            math.fsum(kind.share * kind.members for kind in shares),
            math.fsum(kind.share for kind in ranked),
            math.fsum(kind.share * kind.members for kind in ranked),
            math.fsum(kind.share * kind.members * (kind.members - 1) for kind in ranked),
        )


def speed_up(shares: Sequence[Share], n: int, time_s: Callable[[int, bool], float]) -> float:
    """How many times quicker turns are than under full ranking of `n` members.

    `time_s` gives the seconds of a turn on which so many members write and are ranked, or are not. With T
    for (N, ranked) and T_0 for (K, not ranked), alternate ranking gets 2 T / (T + T_0).
    """
    mean_s = math.fsum(kind.share * time_s(kind.members, kind.ranks) for kind in shares)
    return time_s(n, n > 1) / mean_s


def ranked(share: float, members: int) -> Share:
    """Turns on which `members` write and are ranked; one alone is not."""
    return Share(share, members, members > 1)


def unranked(share: float, members: int) -> Share:
    """Turns on which `members` write and nobody ranks."""
    return Share(share, members, False)


def fraction(some: int, turns: int) -> float:
    """`some` of `turns`. Raises `ValueError` where there is no turn."""
    if turns < 1:
        raise ValueError(f"a conversation has at least one turn, not {turns!r}")
    return some / turns
