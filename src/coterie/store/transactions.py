"""Transactions on either database: bounded in time, one writer at a time on SQLite, errors in our own tree."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from coterie.errors import StoreError
from coterie.store.address import Address
from coterie.store.engines import Work, engine, failed

T = TypeVar("T")

MAX_WRITERS = 10
"""Transactions that write to PostgreSQL at once, out of one process: connections are left for those that read."""


class Transactions:
    """The connections to one database, and what every use of them has in common.

    A transaction that has begun comes to its end even if whoever asked for it is cancelled meanwhile: SQLite's are
    done in a thread that cannot be interrupted, and would keep the lock of one left half-way.
    """

    def __init__(self, where: Address, wait_s: float) -> None:
        self.where = where
        self.wait_s = wait_s
        self._engine = engine(where, wait_s)
        self._closed = False
        self._under_way: set[asyncio.Task[Any]] = set()
        # Tasks of this process queue here; SQLite's own waiting polls, and knows no order.
        self._places = asyncio.Semaphore(1 if where.kind == "sqlite" else MAX_WRITERS)

    async def read(self, work: Work[T]) -> T:
        """What `work` returns, which changes nothing. Raises `StoreError`."""
        return await asyncio.shield(self._begun(self._transaction(work, self.wait_s, writes=False)))

    async def write(self, work: Work[T], wait_s: float | None = None) -> T:
        """What `work` returns, once all it wrote is kept; if it fails, nothing is. Raises `StoreError`."""
        longest_s = wait_s or self.wait_s
        with self._translated(longest_s):
            async with asyncio.timeout(longest_s):
                await self._places.acquire()
        task = self._begun(self._transaction(work, longest_s, writes=True))
        task.add_done_callback(lambda _: self._places.release())
        return await asyncio.shield(task)

    async def wipe(self) -> None:
        """Afterwards a log beside the database holds nothing of what was deleted, unless somebody reads just then."""
        await asyncio.shield(self._begun(self._wiped()))

    async def close(self) -> None:
        """Afterwards every transaction has ended, no connection is left, and none is made any more."""
        self._closed = True
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._engine.close()

    def _begun(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(job)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, for the case that nobody waits any more

    async def _transaction(self, work: Work[T], wait_s: float, *, writes: bool) -> T:
        if self._closed:  # connections made now would outlive the store
            raise StoreError(f"the store at {self.where.shown!r} was closed")
        with self._translated(wait_s):
            # SQLite bounds its waiting by itself; a server that has gone away says nothing.
            async with asyncio.timeout(None if self.where.kind == "sqlite" else wait_s):
                return await self._engine.run(work, writes=writes)

    async def _wiped(self) -> None:
        if not self._closed:
            with self._translated(self.wait_s):
                await self._engine.wipe()

    @contextmanager
    def _translated(self, wait_s: float) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise StoreError(f"the store at {self.where.shown!r} did not answer in {wait_s:g} s") from error
        except (SQLAlchemyError, OSError) as error:
            raise failed(self.where, error) from error


def insert(kind: str, into: Table) -> postgresql.Insert | sqlite.Insert:
    """An insertion that can say what to do about a row that is there."""
    return postgresql.insert(into) if kind == "postgresql" else sqlite.insert(into)
