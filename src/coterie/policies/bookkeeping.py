"""What all policies do alike: begin with the whole pool, and write down what a turn showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from coterie.turns import Conversation, History, Plan
from coterie.types import Ranking


class Bookkeeping:
    """The part of a policy that eliminates nobody."""

    memoryless: ClassVar[bool] = False

    def begin(
        self, history: History, pool: Sequence[str], top_k: int, turns: int | None = None
    ) -> tuple[History, Conversation]:
        """The history with one conversation more, and that conversation before its first turn.

        Raises `ValueError` for a pool without members or with one twice, and for a number below 1.
        """
        number = history.begun + 1
        return replace(history, begun=number), Conversation(tuple(pool), top_k, turns, number)

    def after(self, conversation: Conversation, plan: Plan, ranking: Ranking | None) -> Conversation:
        """The conversation after a turn that was answered; `ranking` orders members, ``None`` where none was made.

        Raises `ConfigError` for a ranking of anything but the plan's members.
        """
        return conversation.after(plan, ranking)
