"""Journals: entries that are only ever added, numbered without a gap, and seen in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Executable, Insert, Row, bindparam, delete, insert, select

from coterie.store.plain import checked, lines
from coterie.store.schema import ENTRY, JOURNAL
from coterie.store.transactions import Transactions
from coterie.store.transactions import insert as upsert
from coterie.types import Entry, Json

# Made once: to make them anew each time would take as long as to execute them.

_SPACE = JOURNAL.c.space == bindparam("named")
_LAST = select(JOURNAL.c.last).where(_SPACE)
_GONE = delete(JOURNAL).where(_SPACE)
_ADDED = insert(ENTRY)
_SINCE = (
    select(ENTRY.c.number, ENTRY.c.value)
    .join(JOURNAL, JOURNAL.c.id == ENTRY.c.journal_id)
    .where(_SPACE, ENTRY.c.number > bindparam("after"))
    .order_by(ENTRY.c.number)
    .limit(bindparam("most"))
)


def _taken(kind: str) -> Insert:
    """The statement that takes the next `more` numbers of a journal, which it makes where there is none."""
    more = bindparam("more", type_=JOURNAL.c.last.type)
    made = upsert(kind, JOURNAL).values(space=bindparam("named"), last=more)
    return made.on_conflict_do_update(index_elements=[JOURNAL.c.space], set_={"last": JOURNAL.c.last + more}).returning(
        JOURNAL.c.id, JOURNAL.c.last
    )


_TAKEN: Mapping[str, Insert] = {kind: _taken(kind) for kind in ("sqlite", "postgresql")}


@dataclass(frozen=True)
class SqlJournals:
    """`protocols.Journals` over tables."""

    transactions: Transactions
    clock: Callable[[], float] = time.time

    async def append(self, space: str, entries: Sequence[Json]) -> int:
        texts = lines(entries, checked(space, "a journal's space"))
        if not texts:
            rows = await self._read(_LAST, {"named": space})
            return int(rows[0].last) if rows else 0
        taken, more = _TAKEN[self.transactions.where.kind], len(texts)

        def write(connection: Connection) -> int:
            # The journal's row stays locked until all is kept. So whoever gets the next numbers gets them when
            # these can be seen, and nobody sees an entry before those that it follows.
            journal = connection.execute(taken, {"named": space, "more": more}).one()
            now = self.clock()
            added = [
                {"journal_id": journal.id, "number": number, "value": text, "written_at": now}
                for number, text in enumerate(texts, journal.last - more + 1)
            ]
            connection.execute(_ADDED, added)
            return int(journal.last)

        return await self.transactions.write(write)

    async def since(self, space: str, number: int, limit: int = 1000) -> Sequence[Entry]:
        named = checked(space, "a journal's space")
        rows = await self._read(_SINCE, {"named": named, "after": number, "most": max(0, limit)})
        return [Entry(row.number, json.loads(row.value)) for row in rows]

    async def discard(self, space: str) -> bool:
        named = {"named": checked(space, "a journal's space")}

        def write(connection: Connection) -> bool:
            return bool(connection.execute(_GONE, named).rowcount)  # its entries go with it

        gone = await self.transactions.write(write)
        await self.transactions.wipe()
        return gone

    async def _read(self, found: Executable, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        def look(connection: Connection) -> Sequence[Row[Any]]:
            rows: Sequence[Row[Any]] = connection.execute(found, values).all()
            return rows

        return await self.transactions.read(look)
