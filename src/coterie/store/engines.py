"""How to connect to either database: a transaction is a plain function, done in a thread or over asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from coterie.errors import StoreError
from coterie.store.address import Address

T = TypeVar("T")

Work = Callable[[Connection], T]
"""What is done in one transaction. It may be done in another thread."""

WRITES = "coterie_writes"
"""The execution option of a connection that is going to write."""

CONNECTION_SETTINGS = ("foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON")
"""SQLite's, which does not keep them in the file: readers never wait, a commit is on the disk, the deleted is gone."""

SQLITE_THREADS = 5
"""Transactions of one process on a SQLite file at once: one that writes, others that read."""


class Engine(Protocol):
    """Connections to one database."""

    async def run(self, work: Work[T], *, writes: bool) -> T:
        """What `work` returned, its transaction committed; or what it raised, and nothing of it kept."""
        ...

    async def wipe(self) -> None:
        """Afterwards a log beside the database holds nothing of what was deleted, unless somebody reads just then."""
        ...

    async def close(self) -> None: ...


def engine(where: Address, wait_s: float) -> Engine:
    """What makes connections to `where`, each waiting `wait_s` for others at most."""
    return SqliteEngine(where, wait_s) if where.kind == "sqlite" else PostgresEngine(where, wait_s)


def failed(where: Address, error: Exception) -> StoreError:
    """What the driver said, without the statement and its values."""
    return StoreError(f"the store at {where.shown!r} failed: {error.orig if isinstance(error, DBAPIError) else error}")


class SqliteEngine:
    """A transaction is one visit to a thread: to hand each statement over would take longer than to execute it."""

    def __init__(self, where: Address, wait_s: float) -> None:
        self._threads = ThreadPoolExecutor(SQLITE_THREADS, thread_name_prefix="coterie-store")
        self._engine = create_engine(
            URL.create("sqlite", database=where.target),
            connect_args={"timeout": wait_s, "isolation_level": None},  # the driver begins nothing by itself
            hide_parameters=True,
            pool_size=SQLITE_THREADS,
            pool_timeout=wait_s,
        )
        event.listen(self._engine, "connect", _set_up)
        event.listen(self._engine, "begin", _begin)

    async def run(self, work: Work[T], *, writes: bool) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._transaction, work, writes)

    def _transaction(self, work: Work[T], writes: bool) -> T:
        with self._engine.connect() as connection:
            connection.execution_options(**{WRITES: writes})
            with connection.begin():
                return work(connection)

    async def wipe(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._checkpoint)

    def _checkpoint(self) -> None:
        with self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    async def close(self) -> None:
        """No transaction may be under way."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._engine.dispose)
        self._threads.shutdown(wait=False)


def _set_up(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for setting in CONNECTION_SETTINGS:
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads before it writes must hold the lock from the start: it cannot be upgraded once somebody
    # else has written.
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class PostgresEngine:
    """A server that has gone away says nothing, so every transaction has its time."""

    def __init__(self, where: Address, wait_s: float) -> None:
        self._wait_s = wait_s

        async def connect() -> Any:
            # The driver reads the URL, so that it knows every setting that PostgreSQL's own tools know (sslmode, a
            # socket).
            import asyncpg

            try:
                return await asyncpg.connect(where.target, timeout=wait_s)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise failed(where, error) from error

        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            hide_parameters=True,
            pool_timeout=wait_s,
            pool_pre_ping=True,
        )

    async def run(self, work: Work[T], *, writes: bool) -> T:  # noqa: ARG002 - PostgreSQL finds out by itself
        async with self._engine.connect() as connection, connection.begin():
            return await connection.run_sync(work)

    async def wipe(self) -> None:
        """There is no log that could be read."""

    async def close(self) -> None:
        await self._engine.dispose()
