"""Records: values that conversations and workers share, each changed by one writer at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Insert, Row, delete, select, update

from coterie.store.plain import MAX_VALUE_BYTES, ROUTED, checked, dumps
from coterie.store.retention import Retention
from coterie.store.schema import RECORD
from coterie.store.transactions import Transactions, insert
from coterie.types import Json, Record


@dataclass(frozen=True)
class SqlRecords:
    """`protocols.Records` over tables."""

    transactions: Transactions
    retention: Retention
    clock: Callable[[], float] = time.time

    async def get(self, space: str, key: str) -> Record | None:
        found = select(RECORD).where(*_at(space, key))

        def look(connection: Connection) -> Row[Any] | None:
            return connection.execute(found).one_or_none()

        row = await self.transactions.read(look)
        return None if row is None else Record(space, key, json.loads(row.value), row.version)

    async def update(self, space: str, key: str, change: Callable[[Json], Json]) -> Record:
        at = _at(space, key)
        if space == ROUTED and self.retention.off:
            return Record(space, key, change(None), 0)

        def write(connection: Connection) -> Record:
            # Whoever comes second waits here or at the lock, and then reads what the first has written.
            connection.execute(self._made(space, key))
            row = connection.execute(select(RECORD).where(*at).with_for_update()).one()
            text = dumps(change(json.loads(row.value)), f"the record {space!r} {key!r}", MAX_VALUE_BYTES)
            values = {"value": text, "version": row.version + 1, "written_at": self.clock()}
            connection.execute(update(RECORD).where(*at).values(values))
            return Record(space, key, json.loads(text), row.version + 1)

        written = await self.transactions.write(write)
        if space == ROUTED:
            await self.retention.tidy(self.transactions)
        return written

    async def discard(self, space: str, key: str) -> bool:
        gone = delete(RECORD).where(*_at(space, key))

        def write(connection: Connection) -> bool:
            return bool(connection.execute(gone).rowcount)

        return await self.transactions.write(write)

    def _made(self, space: str, key: str) -> Insert:
        """The statement that makes the record where there is none."""
        empty = {"space": space, "key": key, "value": "null", "version": 0, "written_at": self.clock()}
        return insert(self.transactions.where.kind, RECORD).values(empty).on_conflict_do_nothing()


def _at(space: str, key: str) -> tuple[Any, ...]:
    return (RECORD.c.space == checked(space, "a record's space"), RECORD.c.key == checked(key, "a record's key"))
