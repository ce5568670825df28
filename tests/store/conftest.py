"""A fresh store for each test: memory, a SQLite file, a database in a private PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from stores import Where

from coterie.protocols import Store
from coterie.store import Database, MemoryStore


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
