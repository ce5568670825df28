"""Weights of members, and the shares that they make in a pool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Weights:
    """Weights by member, all alike where there are none. Raises `ValueError` for what are no weights."""

    of: Mapping[str, float]

    def __post_init__(self) -> None:
        for member, weight in self.of.items():
            if not (weight >= 0 and math.isfinite(weight)):
                raise ValueError(f"the weight of {member!r} is a number from 0 on, not {weight!r}")
        if self.of and not any(self.of.values()):
            raise ValueError(f"of {list(self.of)!r} at least one needs a weight above 0")

    def shares(self, members: Sequence[str]) -> list[float | None]:
        """Each member's share of the pool's weight, 1 together; ``None`` for a member that has no weight.

        Where nobody in the pool has weight, all that are named are alike.
        """
        given = (
            {member: self.of[member] for member in members if member in self.of}
            if self.of
            else dict.fromkeys(members, 1.0)
        )
        if not any(given.values()):
            given = dict.fromkeys(given, 1.0)
        total = math.fsum(given.values())
        return [given[member] / total if member in given else None for member in members]
