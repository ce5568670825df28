"""What a test of the store opens, and a look into it from outside."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass

from coterie.protocols import Opens, Store


@dataclass(frozen=True)
class Where:
    """A store of any kind."""

    spec: Opens[Store]
    url: str | None = None
    """``None`` for one that lives in memory, of which there is no second opening."""

    def open(self) -> AbstractAsyncContextManager[Store]:
        return self.spec.open()

    async def has(self, **rows: int) -> bool:
        """True when its tables have so many rows, as far as it has tables."""
        return self.url is None or rows == {table: await count(self.url, table) for table in rows}


async def count(url: str, table: str) -> int:
    """Rows of a table, seen from outside the store."""
    statement = f"SELECT count(*) FROM coterie_{table}"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            return int(file.execute(statement).fetchone()[0])
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()
