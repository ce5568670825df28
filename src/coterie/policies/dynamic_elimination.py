"""Dynamic conversation-specific elimination: half the committee goes when half the conversation is over."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from coterie.policies.bookkeeping import Bookkeeping
from coterie.policies.elimination import half_of, without_bottom_half
from coterie.policies.shares import Share, fraction, ranked
from coterie.turns import Conversation, Plan
from coterie.types import Ranking


@dataclass(frozen=True)
class DynamicElimination(Bookkeeping):
    """All N write and are ranked on the first ceil(q / 2) turns; then the bottom floor(N / 2) by cumulative score go.

    After "Efficient Blending", 3.2.1. Those who stay are ranked on every further turn, however many come, and
    the next conversation begins with all N. A member that no judge ever spoke of is not eliminated.
    """

    expected_turns: int = 7
    """Stands in for q while nobody knows it; 7 is the median of the thesis' data sets (table 6.1)."""

    def __post_init__(self) -> None:
        if self.expected_turns < 1:
            raise ValueError(f"expected_turns must be at least 1, not {self.expected_turns!r}")

    def plan(self, conversation: Conversation, rng: random.Random) -> Plan:  # noqa: ARG002
        return Plan.ranked(conversation.survivors, conversation.top_k)

    def after(self, conversation: Conversation, plan: Plan, ranking: Ranking | None) -> Conversation:
        """As of every policy; after turn ceil(q / 2) with half of those that judges have spoken of.

        Where they have not spoken of two by then, the elimination waits for the turn after which they have.
        """
        following = super().after(conversation, plan, ranking)
        half_way = math.ceil((conversation.turns or self.expected_turns) / 2)
        if conversation.turn < half_way or following.survivors != following.pool:
            return following
        return replace(following, survivors=without_bottom_half(following.pool, following.tally))

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]:  # noqa: ARG002
        """ceil(q / 2) of q turns in full, the others with N - floor(N / 2) members; q is known, not expected."""
        full = 0.5 if turns is None else fraction(math.ceil(turns / 2), turns)
        return ranked(full, n), ranked(1.0 - full, half_of(n))
