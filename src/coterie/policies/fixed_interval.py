"""Fixed-interval elimination: one conversation judges everybody, the next ones live by it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coterie.policies.bookkeeping import Bookkeeping
from coterie.policies.elimination import by_cumulative_score, half_of, without_bottom_half
from coterie.policies.shares import Share, ranked, unranked
from coterie.turns import Conversation, History, Plan, Tally


@dataclass(frozen=True)
class FixedInterval(Bookkeeping):
    """All N write and are ranked in the first conversation of an interval; its bottom floor(N / 2) miss the others.

    After "Efficient Blending", 3.2.3. What the first one has shown is read once, when another begins, and holds
    for the whole of it, so conversations may overlap. A member that no judge ever spoke of is not eliminated.
    """

    interval: int = 3
    """Conversations of an interval; the thesis' policy is 3."""
    rank_survivors: bool = True
    """Left off, those who stay are not ranked again: the top K of the first conversation write alone."""

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise ValueError(f"interval must be at least 1, not {self.interval!r}")

    def begin(
        self, history: History, pool: Sequence[str], top_k: int, turns: int | None = None
    ) -> tuple[History, Conversation]:
        history, conversation = super().begin(history, pool, top_k, turns)
        if self._evaluates(conversation):
            return replace(history, evaluation=conversation.number, tally=Tally()), conversation
        survivors = without_bottom_half(conversation.pool, history.tally)
        standing = by_cumulative_score(survivors, history.tally)
        return history, replace(conversation, survivors=survivors, last=standing)

    def plan(self, conversation: Conversation, rng: random.Random) -> Plan:  # noqa: ARG002
        if self.rank_survivors or self._evaluates(conversation) or not conversation.shortlist:
            return Plan.ranked(conversation.survivors, conversation.top_k)
        return Plan.unranked(conversation.shortlist)

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]:  # noqa: ARG002
        """1 / interval of the turns in full, the others without the bottom half; over conversations of one length."""
        full = 1.0 / self.interval
        others = half_of(n)
        if self.rank_survivors:
            return ranked(full, n), ranked(1.0 - full, others)
        return ranked(full, n), unranked(1.0 - full, min(top_k, others))

    def _evaluates(self, conversation: Conversation) -> bool:
        return (conversation.number - 1) % self.interval == 0
