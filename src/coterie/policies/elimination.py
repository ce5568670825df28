"""Who goes: the bottom half by cumulative score."""

from __future__ import annotations

from collections.abc import Sequence

from coterie.ranking.order import by_points
from coterie.turns import Tally


def half_of(n: int) -> int:
    """How many of `n` stay: n - floor(n / 2), so that the odd one does."""
    return n - n // 2


def by_cumulative_score(pool: Sequence[str], tally: Tally) -> tuple[str, ...]:
    """Those of `pool` that a judge ever spoke of, highest sum first; equal sums keep the pool's order."""
    heard = [member for member in pool if tally.heard.get(member)]
    return by_points({member: tally.sums[member] for member in heard}, heard, "cumulative").order


def without_bottom_half(pool: Sequence[str], tally: Tally) -> tuple[str, ...]:
    """`pool` without the floor(H / 2) lowest of the H members that a judge ever spoke of.

    H is N where everybody has answered, which is the thesis' floor(N / 2). Who was never heard neither
    goes nor takes the place of one who was.
    """
    standing = by_cumulative_score(pool, tally)
    eliminated = standing[half_of(len(standing)) :]
    return tuple(member for member in pool if member not in eliminated)
