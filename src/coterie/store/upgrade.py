"""A database is brought to this version's tables, in place, by whoever comes first; a newer one is refused."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, String, column, inspect, select, table, text

from coterie.errors import StoreError
from coterie.store.schema import REVISION, REVISION_TABLE
from coterie.store.transactions import Transactions

MIGRATIONS = Path(__file__).parent / "migrations"

LOCK = 0x636F7465726965
"""PostgreSQL's advisory lock for upgrades: "coterie" as a number."""

UPGRADE_WAIT_S = 600.0
"""Longest that changing the tables may take. Who starts meanwhile waits: on SQLite no longer than for any writer."""

POLL_S = 0.01

_one_at_a_time = threading.Lock()  # Alembic's migrations speak to module globals


async def bring_up(transactions: Transactions) -> None:
    """Afterwards the database has the tables of `REVISION`. Raises `StoreError`."""
    if transactions.where.kind == "sqlite":
        _make_file(Path(transactions.where.target))
    if await transactions.read(_revision) == REVISION:
        return

    def write(connection: Connection) -> None:
        if transactions.where.kind == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        found = _revision(connection)  # again: somebody may have been quicker
        if found != REVISION:
            _upgrade(connection, transactions.where.shown, found)

    async with _alone():
        await transactions.write(write, UPGRADE_WAIT_S)


def _upgrade(connection: Connection, shown: str, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"the store at {shown!r} was made by a newer version of Coterie: its tables are of revision {found!r}, "
            f"and this version knows none after {REVISION!r}; upgrade Coterie, or give it another database"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)


def _revision(connection: Connection) -> str | None:
    """The revision that the database says it has; ``None`` for a fresh one."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    revisions = select(column("version_num", String)).select_from(table(REVISION_TABLE))
    return connection.execute(revisions).scalar_one_or_none()


def _make_file(path: Path) -> None:
    """Afterwards there is a file, and one made here is its owner's alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"the store at {str(path)!r} cannot be opened: {error.strerror or error}") from error


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    """Nobody else in this process, on whichever event loop, upgrades a database meanwhile."""
    while not _one_at_a_time.acquire(blocking=False):  # noqa: ASYNC110 - the other may be on another event loop
        await asyncio.sleep(POLL_S)
    try:
        yield
    finally:
        _one_at_a_time.release()
