"""How to connect to either database, and what a connection is set to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from coterie.errors import StoreError
from coterie.store.address import Address

WRITES = "coterie_writes"
"""The execution option of a connection that is going to write."""

CONNECTION_SETTINGS = ("foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON")
"""SQLite's, which does not keep them in the file: readers never wait, a commit is on the disk, the deleted is gone."""


def engine(where: Address, wait_s: float) -> AsyncEngine:
    """What makes connections to `where`, each waiting `wait_s` for others at most."""
    return _sqlite(where, wait_s) if where.kind == "sqlite" else _postgresql(where, wait_s)


def failed(where: Address, error: Exception) -> StoreError:
    """What the driver said, without the statement and its values."""
    return StoreError(f"the store at {where.shown!r} failed: {error.orig if isinstance(error, DBAPIError) else error}")


def _sqlite(where: Address, wait_s: float) -> AsyncEngine:
    made = create_async_engine(
        URL.create("sqlite+aiosqlite", database=where.target),
        connect_args={"timeout": wait_s, "isolation_level": None},  # the driver begins nothing by itself
        hide_parameters=True,
        pool_timeout=wait_s,
    )

    @event.listens_for(made.sync_engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for setting in CONNECTION_SETTINGS:
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(made.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads before it writes must hold the lock from the start: it cannot be upgraded
        # once somebody else has written.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made


def _postgresql(where: Address, wait_s: float) -> AsyncEngine:
    import asyncpg

    async def connect() -> Any:
        # The driver reads the URL, so that it knows every setting that PostgreSQL's own tools know (sslmode, a socket).
        try:
            return await asyncpg.connect(where.target, timeout=wait_s)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise failed(where, error) from error

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, pool_timeout=wait_s, pool_pre_ping=True
    )
