"""Random pick: one member a turn, as Blending does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from coterie.policies.bookkeeping import Bookkeeping
from coterie.policies.shares import Share, unranked
from coterie.turns import Conversation, Plan


@dataclass(frozen=True)
class RandomPick(Bookkeeping):
    """One member, drawn uniformly for every turn, answers alone: Blending (2401.02994).

    The members see each other's turns in the conversation, and that is all the blending there is.
    """

    memoryless: ClassVar[bool] = True

    def plan(self, conversation: Conversation, rng: random.Random) -> Plan:
        return Plan.unranked([rng.choice(conversation.survivors)])

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]:  # noqa: ARG002
        """All turns alike: one writes, and nobody ranks."""
        return (unranked(1.0, 1),)
