"""Transactions on either database: bounded in time, one writer at a time on SQLite, errors in our own tree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from coterie.errors import StoreError
from coterie.store.address import Address

T = TypeVar("T")

Work = Callable[[AsyncConnection], Awaitable[T]]
"""What is done in one transaction."""

MAX_WRITERS = 10
"""Transactions that write to PostgreSQL at once, out of one process: connections are left for those that read."""

WRITES = "coterie_writes"
"""The execution option of a connection that is going to write."""

CONNECTION_SETTINGS = ("foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON")
"""SQLite's, which does not keep them in the file: readers never wait, a commit is on the disk, the deleted is gone."""


class Transactions:
    """The connections to one database, and what every use of them has in common.

    A transaction that has begun comes to its end even if whoever asked for it is cancelled meanwhile: SQLite's
    driver works in a thread that cannot be interrupted, and would keep the lock of a transaction left half-way.
    """

    def __init__(self, where: Address, wait_s: float) -> None:
        self.where = where
        self.wait_s = wait_s
        self.engine = _engine(where, wait_s)
        self._under_way: set[asyncio.Task[Any]] = set()
        # Tasks of this process queue here; SQLite's own waiting polls, and knows no order.
        self._places = asyncio.Semaphore(1 if where.kind == "sqlite" else MAX_WRITERS)

    async def read(self, work: Work[T]) -> T:
        """What `work` returns, of one moment's data. Raises `StoreError`."""
        return await asyncio.shield(self._begun(self._transaction(work, self.wait_s, {})))

    async def write(self, work: Work[T], wait_s: float | None = None) -> T:
        """What `work` returns, once all it wrote is kept; if it fails, nothing is. Raises `StoreError`."""
        longest_s = wait_s or self.wait_s
        with self._translated(longest_s):
            async with asyncio.timeout(longest_s):
                await self._places.acquire()
        task = self._begun(self._transaction(work, longest_s, {WRITES: True}))
        task.add_done_callback(lambda _: self._places.release())
        return await asyncio.shield(task)

    async def wipe(self) -> None:
        """Afterwards SQLite's log holds nothing of what was deleted, unless somebody reads just then."""
        if self.where.kind == "sqlite":
            await asyncio.shield(self._begun(self._checkpoint()))

    async def close(self) -> None:
        """Afterwards every transaction has ended and no connection is left."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self.engine.dispose()

    def _begun(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(job)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, for the case that nobody waits any more

    async def _transaction(self, work: Work[T], wait_s: float, options: Mapping[str, Any]) -> T:
        with self._translated(wait_s):
            # SQLite bounds its waiting by itself; a server that has gone away says nothing.
            async with asyncio.timeout(None if self.where.kind == "sqlite" else wait_s):
                async with self.engine.connect() as connection:
                    await connection.execution_options(**options)
                    async with connection.begin():
                        return await work(connection)

    async def _checkpoint(self) -> None:
        with self._translated(self.wait_s):
            async with self.engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                await driver.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _translated(self, wait_s: float) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise StoreError(f"the store at {self.where.shown!r} did not answer in {wait_s:g} s") from error
        except (SQLAlchemyError, OSError) as error:
            raise _failed(self.where, error) from error


def insert(kind: str, into: Table) -> postgresql.Insert | sqlite.Insert:
    """An insertion that can say what to do about a row that is there."""
    return postgresql.insert(into) if kind == "postgresql" else sqlite.insert(into)


def _failed(where: Address, error: Exception) -> StoreError:
    """What the driver said, without the statement and its values."""
    return StoreError(f"the store at {where.shown!r} failed: {error.orig if isinstance(error, DBAPIError) else error}")


def _engine(where: Address, wait_s: float) -> AsyncEngine:
    return _sqlite(where, wait_s) if where.kind == "sqlite" else _postgresql(where, wait_s)


def _sqlite(where: Address, wait_s: float) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=where.target),
        connect_args={"timeout": wait_s, "isolation_level": None},  # the driver begins nothing by itself
        hide_parameters=True,
        pool_timeout=wait_s,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for setting in CONNECTION_SETTINGS:
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads before it writes must hold the lock from the start: it cannot be upgraded
        # once somebody else has written.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(where: Address, wait_s: float) -> AsyncEngine:
    import asyncpg

    async def connect() -> Any:
        # The driver reads the URL, so that it knows every setting that PostgreSQL's own tools know (sslmode, a socket).
        try:
            return await asyncpg.connect(where.target, timeout=wait_s)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _failed(where, error) from error

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, pool_timeout=wait_s, pool_pre_ping=True
    )
