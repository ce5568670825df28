"""What PickLLM learns of members, whatever is asked of them: a learning automaton, and stateless Q-learning.

Neither has to know the pool: a member of which nothing was heard is treated alike with all others of that kind, and
may join at any time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from coterie.types import Json


class Automaton(Protocol):
    """What was learned of members, as numbers."""

    def learn(self, member: str, reward: float) -> None: ...

    def values(self, members: Sequence[str]) -> list[float]:
        """One number for each of `members`; higher is better."""
        ...

    def to_json(self) -> dict[str, Json]: ...


class RewardInaction:
    """Linear reward-inaction (L_R-I): probabilities that follow rewards, and stay where they are without any.

    A reward r in [0, 1] for m moves p_m to p_m + b r (1 - p_m), and every other p_j to p_j - b r p_j (2412.12170;
    Narendra and Thathachar 1974). So p is the even start, of which the share `even` is left, and what each has gained
    since: p_j = even / M + gained_j with even + Σ gained_j = 1 for whatever number M of members.
    """

    def __init__(self, step: float, stop: float, even: float = 1.0, gained: Mapping[str, float] | None = None) -> None:
        self._step = step
        self._stop = stop
        self._even = even
        self._gained = dict(gained or {})

    def learn(self, member: str, reward: float) -> None:
        """Nothing changes once a member has gained more than `stop`: its probability is that, or even / M above it."""
        if max(self._gained.values(), default=0.0) > self._stop:
            return
        moved = self._step * min(1.0, max(0.0, reward))
        self._even *= 1.0 - moved
        self._gained = {name: gained * (1.0 - moved) for name, gained in self._gained.items()}
        self._gained[member] = self._gained.get(member, 0.0) + moved

    def values(self, members: Sequence[str]) -> list[float]:
        """Probabilities, which are 1 together; where a member has left the pool, the others in proportion."""
        found = [self._even / len(members) + self._gained.get(member, 0.0) for member in members]
        total = math.fsum(found)
        return [p / total for p in found] if total > 0 else [1.0 / len(members)] * len(members)

    def to_json(self) -> dict[str, Json]:
        return {"even": self._even, "gained": self._gained}


class QLearning:
    """Stateless Q-learning: Q_m moves the share `step` of the way to each reward (2412.12170)."""

    def __init__(self, step: float, initial: float, learned: Mapping[str, float] | None = None) -> None:
        self._step = step
        self._initial = initial
        self._learned = dict(learned or {})

    def learn(self, member: str, reward: float) -> None:
        q = self._learned.get(member, self._initial)
        self._learned[member] = q + self._step * (reward - q)

    def values(self, members: Sequence[str]) -> list[float]:
        """Expected rewards; `initial` for a member that was never tried."""
        return [self._learned.get(member, self._initial) for member in members]

    def to_json(self) -> dict[str, Json]:
        return {"learned": self._learned}
