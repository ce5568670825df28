"""Retention: how long conversations and what is known of runs are kept, and how what is older goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from coterie.errors import StoreError
from coterie.store.plain import ROUTED
from coterie.store.schema import CONVERSATION, RECORD
from coterie.store.transactions import Transactions

DAY_S = 86_400.0
TIDY_EVERY_S = 3_600.0
BATCH = 200
"""Conversations, and records of runs, deleted at once, so that no turn waits long for it."""


@dataclass
class Retention:
    """What may still be found, and when to delete the rest."""

    keep_days: float | None
    clock: Callable[[], float]
    _due_at: float = -math.inf

    @property
    def off(self) -> bool:
        """True when nothing of any conversation is written or read."""
        return self.keep_days is None

    def cutoff(self) -> float:
        """Conversations without a turn since then are over: they are not found, even before they are deleted."""
        return -math.inf if self.keep_days is None else self.clock() - self.keep_days * DAY_S

    async def tidy(self, transactions: Transactions) -> None:
        """Afterwards a batch of what is over was deleted, if it was time to look.

        It follows another operation, which has succeeded; so a failure here waits for the next time.
        """
        if self.off or self.clock() < self._due_at:
            return
        with suppress(StoreError):
            more = await self._prune(transactions) == BATCH
            self._due_at = self.clock() + (0.0 if more else TIDY_EVERY_S)

    async def _prune(self, transactions: Transactions) -> int:
        over = select(CONVERSATION.c.id).where(CONVERSATION.c.touched_at < self.cutoff()).limit(BATCH)
        runs = select(RECORD.c.key).where(RECORD.c.space == ROUTED, RECORD.c.written_at < self.cutoff()).limit(BATCH)

        def write(connection: Connection) -> int:
            # Rows that somebody else is about to touch or to delete are left to them.
            ids = connection.execute(over.with_for_update(skip_locked=True)).scalars().all()
            if ids:
                connection.execute(delete(CONVERSATION).where(CONVERSATION.c.id.in_(ids)))
            keys = connection.execute(runs.with_for_update(skip_locked=True)).scalars().all()
            if keys:
                connection.execute(delete(RECORD).where(RECORD.c.space == ROUTED, RECORD.c.key.in_(keys)))
            return max(len(ids), len(keys))

        gone = await transactions.write(write)
        if gone:
            await transactions.wipe()
        return gone
