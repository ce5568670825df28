"""What a policy saves, and what it could save at most with the stage times that there are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asking import Sample
from coterie.policies import FirstK, Load, RandomK, RandomPick, Share, speed_up
from coterie.protocols import Policy
from mock_pool import Told
from sides import Side, Turn, least_s
from stage_times import by_score, pool


class Costed(Policy, Protocol):
    """A policy whose cost is known beforehand."""

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]: ...


def bound(policy: Costed, side: Side, members: int, told: Told, turns: int | None = None) -> float:
    """The closed form of `coterie.policies.shares` with this side's stage times; without `turns`, its limit."""
    return speed_up(policy.shares(members, side.top_k, turns), members, _time_s(policy, side, members, told))


def _time_s(policy: Costed, side: Side, members: int, told: Told) -> Callable[[int, bool], float]:
    """Seconds of a turn of the policy's on which so many write: the best by score, or the first of the pool."""
    names = pool(members)

    def time_s(writing: int, ranked: bool) -> float:
        writers = names if writing == members or isinstance(policy, FirstK) else by_score(names)
        return least_s(side, Turn(writers[:writing], ranked), told)

    return time_s


@dataclass(frozen=True)
class Saving:
    """A policy in conversations of one length, beside full ranking in the same conversations."""

    name: str
    policy: Costed
    turns: int
    held: Sequence[Sample]
    """One for each interval."""
    full: Sequence[Sample]
    told: Told

    @property
    def n(self) -> int:
        return sum(len(sample.walls_s) for sample in self.held)

    @property
    def speed_ups(self) -> list[float]:
        """How many times quicker than under full ranking, interval by interval."""
        return [sum(full.walls_s) / sum(held.walls_s) for full, held in zip(self.full, self.held, strict=True)]

    @property
    def unscaled(self) -> float:
        """The same over all intervals, had the waits been as long as they really are."""
        full, held = (sum(sum(sample.unscaled_s) for sample in samples) for samples in (self.full, self.held))
        return full / held

    @property
    def bound(self) -> float:
        """The most that conversations of so many turns allow.

        Raises `RuntimeError` where the turns that were held are not those of the closed form.
        """
        full, held = (sum(sum(sample.floors_s) for sample in samples) for samples in (self.full, self.held))
        if isinstance(self.policy, RandomK | RandomPick):
            return full / held  # by those who were drawn
        wanted = bound(self.policy, self._side, self._members, self.told, self.turns)
        if not math.isclose(full / held, wanted, rel_tol=1e-9):
            raise RuntimeError(f"{self.policy!r}: by the mock's waits {full / held}, in closed form {wanted}")
        return wanted

    @property
    def limit(self) -> float | None:
        """The most that any number of turns allows; ``None`` where chance decides."""
        if isinstance(self.policy, RandomK | RandomPick):
            return None
        return bound(self.policy, self._side, self._members, self.told)

    @property
    def of_the_bound(self) -> float:
        return statistics.median(self.speed_ups) / self.bound

    @property
    def of_the_time(self) -> float | None:
        """The share of the time that could be saved which was; ``None`` where there is next to none."""
        could = 1 - 1 / self.bound
        return (1 - 1 / statistics.median(self.speed_ups)) / could if could > 0.005 else None

    @property
    def calls(self) -> float:
        """Calls a turn. Raises `RuntimeError` where they are not those of the closed form."""
        load = Load.of(self.policy.shares(self._members, self._side.top_k, self.turns))
        made = [made for sample in self.held for made in sample.made]
        seen = (statistics.mean(m.answers for m in made), statistics.mean(m.reviews for m in made))
        if not all(map(math.isclose, seen, (load.generations, load.ranked))):
            raise RuntimeError(f"{self.policy!r}: {seen} answers and reviews a turn, in closed form {load}")
        return statistics.mean(m.total for m in made)

    @property
    def _side(self) -> Side:
        return self.full[0].side

    @property
    def _members(self) -> int:
        return self.full[0].members
