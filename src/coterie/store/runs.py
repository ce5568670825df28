"""Traces of runs, kept for those who asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from coterie.store.plain import checked
from coterie.store.schema import RUN
from coterie.store.transactions import Transactions, insert
from coterie.types import KeptRun

MAX_RUN_CHARS = 16 << 20
"""A longer trace is not kept: half of one could not be read."""

BATCH = 200
"""Runs deleted at once, so that nobody waits long for it."""


@dataclass(frozen=True)
class SqlRuns:
    """`protocols.Runs` over tables. Traces are written out in the transaction's thread, where there is one."""

    transactions: Transactions

    async def keep(self, runs: Sequence[KeptRun]) -> None:
        for run in runs:
            checked(run.id, "a run's id")
            checked(run.scope, "a run's scope", blank=True)
        new = insert(self.transactions.where.kind, RUN).on_conflict_do_nothing()

        def write(connection: Connection) -> None:
            rows = [
                {**_row(run), "trace": text} for run in runs if len(text := "\n".join(run.lines())) <= MAX_RUN_CHARS
            ]
            if rows:
                connection.execute(new, rows)

        await self.transactions.write(write)

    async def find(self, run: str, scope: str, since: float) -> KeptRun | None:
        found = select(RUN).where(RUN.c.id == checked(run, "a run's id"), RUN.c.scope == scope, RUN.c.made_at >= since)
        row = await self.transactions.read(lambda connection: connection.execute(found).one_or_none())
        return None if row is None else _kept(row)

    async def after(self, run: str, limit: int = 100) -> Sequence[KeptRun]:
        found = select(RUN).where(RUN.c.id > run, RUN.c.trace != "").order_by(RUN.c.id).limit(limit)
        rows = await self.transactions.read(lambda connection: connection.execute(found).all())
        return [_kept(row) for row in rows]

    async def drop(self, before: float) -> int:
        old = select(RUN.c.id).where(RUN.c.made_at < before).limit(BATCH)

        def write(connection: Connection) -> int:
            ids = connection.execute(old.with_for_update(skip_locked=True)).scalars().all()
            if ids:
                connection.execute(delete(RUN).where(RUN.c.id.in_(ids)))
            return len(ids)

        gone = await self.transactions.write(write)
        if gone:
            await self.transactions.wipe()
        return gone


def _kept(row: Row[Any]) -> KeptRun:
    trace: str = row.trace
    return KeptRun(row.id, row.scope, row.made_at, lambda: trace.split("\n") if trace else (), len(trace))


def _row(run: KeptRun) -> dict[str, str | float]:
    return {"id": run.id, "scope": run.scope, "made_at": run.made_at}
