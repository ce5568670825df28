"""A conversation of ten questions whose judge is written down: five members, and for each question their order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

from coterie.protocols import Policy
from coterie.turns import Conversation, Plan
from coterie.types import Ranking

POOL = ("a", "b", "c", "d", "e")
K = 2

ORDERS = ("badce", "abcde", "dbaec", "bdace", "adbec", "ceabd", "ecabd", "dbace", "cabde", "edcba")
"""Question by question, best first."""

T = TypeVar("T")


class Dice(random.Random):
    """Draws that are written down: each names who is drawn."""

    def __init__(self, *drawn: str) -> None:
        super().__init__(0)
        self.drawn: Iterator[str] = iter(drawn)

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        (one,) = self.sample(seq, 1)
        return one

    def sample(self, population: Sequence[T], k: int) -> list[T]:  # type: ignore[override]
        drawn: list[T] = [one for name in next(self.drawn) for one in population if one == name]
        assert len(drawn) == k
        return drawn


def judged(members: Sequence[str], order: str) -> Ranking:
    """The members in the order's order, with Borda's points: the last of them has 0."""
    standing = tuple(name for name in order if name in members)
    points = {name: float(len(standing) - place) for place, name in enumerate(standing, 1)}
    return Ranking(standing, points, "borda")


def shown(plan: Plan) -> str:
    """``abcde>2``: these are ranked, and the two best fused; ``ba`` writes and is fused without ranking."""
    names = "".join(plan.members)
    if plan.ranks:
        return f"{names}>{plan.top_k}"
    assert plan.top_k == len(plan.members)
    return names


def talk(
    policy: Policy, conversation: Conversation, rng: random.Random, orders: Sequence[str] = ORDERS
) -> tuple[str, Conversation]:
    """The plans of all turns, shown, and the conversation after the last of them."""
    plans = []
    for order in orders:
        plan = policy.plan(conversation, rng)
        plans.append(shown(plan))
        conversation = policy.after(conversation, plan, judged(plan.members, order) if plan.ranks else None)
    return " ".join(plans), conversation
