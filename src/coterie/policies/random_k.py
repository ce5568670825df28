"""Random K: other members on every turn, never ranked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from coterie.policies.bookkeeping import Bookkeeping
from coterie.policies.shares import Share, unranked
from coterie.turns import Conversation, Plan


@dataclass(frozen=True)
class RandomK(Bookkeeping):
    """K members, drawn anew for every turn, write, and all are fused ("Efficient Blending", 3.1.4, r = 0).

    They are fused in pool order: a draw says who writes, and nothing about who is better.
    """

    memoryless: ClassVar[bool] = True

    def plan(self, conversation: Conversation, rng: random.Random) -> Plan:
        standing = conversation.survivors
        drawn = rng.sample(standing, min(conversation.top_k, len(standing)))
        return Plan.unranked([member for member in standing if member in drawn])

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]:  # noqa: ARG002
        """All turns alike: K write, and nobody ranks."""
        return (unranked(1.0, min(top_k, n)),)
