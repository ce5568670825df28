"""First K: the initial members of the committee, never ranked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from coterie.policies.bookkeeping import Bookkeeping
from coterie.policies.shares import Share, unranked
from coterie.turns import Conversation, Plan


@dataclass(frozen=True)
class FirstK(Bookkeeping):
    """The first K members of the pool write on every turn, and all are fused ("Efficient Blending", 3.1.4, r = 0)."""

    memoryless: ClassVar[bool] = True

    def plan(self, conversation: Conversation, rng: random.Random) -> Plan:  # noqa: ARG002
        return Plan.unranked(conversation.survivors[: conversation.top_k])

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]:  # noqa: ARG002
        """All turns alike: K write, and nobody ranks."""
        return (unranked(1.0, min(top_k, n)),)
