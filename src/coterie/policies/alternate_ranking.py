"""Alternate ranking: a ranking serves the turn after it too."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from coterie.policies.bookkeeping import Bookkeeping
from coterie.policies.shares import Share, fraction, ranked, unranked
from coterie.turns import Conversation, Plan


@dataclass(frozen=True)
class AlternateRanking(Bookkeeping):
    """All N write and are ranked on odd turns; on even turns the top K of the turn before write, and nobody ranks.

    After "Efficient Blending", 3.2.2. Nobody is eliminated. Where there is no ranking yet to reuse (judges
    abstained, or a single member answered), the turn is ranked.
    """

    every: int = 2
    """The first of every so many turns is ranked; the thesis' policy is 2."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, not {self.every!r}")

    def plan(self, conversation: Conversation, rng: random.Random) -> Plan:  # noqa: ARG002
        due = (conversation.turn - 1) % self.every == 0
        if due or not conversation.shortlist:
            return Plan.ranked(conversation.survivors, conversation.top_k)
        return Plan.unranked(conversation.shortlist)

    def shares(self, n: int, top_k: int, turns: int | None = None) -> tuple[Share, ...]:
        """ceil(q / every) of q turns in full, on the others the top K without ranking. At least 1 / every in full."""
        full = 1.0 / self.every if turns is None else fraction(math.ceil(turns / self.every), turns)
        return ranked(full, n), unranked(1.0 - full, min(top_k, n))
