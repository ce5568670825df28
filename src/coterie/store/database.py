"""Where the store is and what it may keep: a frozen specification, opened by the committee's house."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from coterie.errors import MissingExtra
from coterie.protocols import Store
from coterie.store import address
from coterie.types import Secret

NEEDS = {
    "sqlite": ("store", ("sqlalchemy", "alembic")),
    "postgresql": ("postgres", ("sqlalchemy", "greenlet", "alembic", "asyncpg")),
}
"""The extra, and the modules that must come with it."""


@dataclass(frozen=True)
class Database:
    """A SQLite file or a PostgreSQL database. The file, its folder and the tables are made where they are missing."""

    url: Secret = Secret()
    """A path, ``sqlite:///path`` or ``postgresql://user:password@host/name``; a file of the user's where left out."""
    keep_days: float | None = 30.0
    """Days that a conversation is kept after its last turn. ``None`` writes nothing of any conversation."""
    keep_texts: bool = False
    """Whether questions and answers are kept beside the hashes that find them."""
    wait_s: float = 10.0
    """Longest that an operation waits for its turn among this process's, and as long again for the database."""
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False, metadata={"code_only": True})
    """Seconds since 1970, UTC."""

    def __post_init__(self) -> None:
        if self.url:
            address.read(self.url.reveal())
        if self.keep_days is not None and not self.keep_days > 0:
            raise ValueError(f"keep_days must be greater than 0, not {self.keep_days!r}; None keeps no conversation")
        if not self.wait_s > 0:
            raise ValueError(f"wait_s must be greater than 0, not {self.wait_s!r}")

    @classmethod
    def at(cls, url: str, *, keep_days: float | None = 30.0, keep_texts: bool = False) -> Database:
        """The database at a path or URL."""
        return cls(Secret(url), keep_days, keep_texts)

    @property
    def beside(self) -> Path:
        """The folder, on this machine, of what is on its way into the database: beside the file, or the user's."""
        where = self._address()
        if where.kind == "sqlite":
            return Path(f"{where.target}-unwritten")
        from platformdirs import user_state_path

        name = sha256(where.target.encode()).hexdigest()[:16]
        return user_state_path("coterie", appauthor=False) / f"{name}-unwritten"

    def _address(self) -> address.Address:
        return address.read(self.url.reveal() or _users_own())

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        """The store, its tables brought up to date. It lives on this event loop.

        Raises `MissingExtra`, and `StoreError` for a database that cannot be reached or was made by a newer version.
        """
        where = self._address()
        extra, modules = NEEDS[where.kind]
        for module in modules:
            if find_spec(module) is None:
                raise MissingExtra(f"the store at {where.shown!r}", extra, module)
        from coterie.store.sql import opened

        async with opened(self, where) as store:
            yield store


def _users_own() -> str:
    """The file that serves whoever names none."""
    from platformdirs import user_data_path

    return str(user_data_path("coterie", appauthor=False) / "coterie.db")
