"""Full ranking: the baseline that saves nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from coterie.policies.bookkeeping import Bookkeeping
from coterie.policies.shares import Share, ranked
from coterie.turns import Conversation, Plan


@dataclass(frozen=True)
class FullRanking(Bookkeeping):
    """Everybody writes and is ranked on every turn: LLM-Blender as it is ("Efficient Blending", 3.2.4)."""

    memoryless: ClassVar[bool] = True

    def plan(self, conversation: Conversation, rng: random.Random) -> Plan:  # noqa: ARG002
        return Plan.ranked(conversation.survivors, conversation.top_k)

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]:  # noqa: ARG002
        """All turns alike: N write and are ranked."""
        return (ranked(1.0, n),)
