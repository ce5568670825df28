"""Candidates that are on their way, for those who need not wait for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from coterie.types import Candidate, Failure


class Awaited:
    """`coterie.protocols.Arrival`: what one member is asked for."""

    def __init__(self, author: str) -> None:
        self.author = author
        self._there: asyncio.Future[Candidate | None] = asyncio.get_running_loop().create_future()

    @property
    def arrived(self) -> Candidate | None:
        return self._there.result() if self._there.done() else None

    async def candidate(self) -> Candidate | None:
        return await asyncio.shield(self._there)

    def by(self, call: Awaitable[Candidate | Failure]) -> asyncio.Future[Candidate | Failure]:
        """`call`, under way; whoever waits for its candidate is told what came of it."""
        task = asyncio.ensure_future(call)
        task.add_done_callback(self._landed)
        return task

    def give_up(self) -> None:
        """Afterwards nobody waits for what did not come."""
        if not self._there.done():
            self._there.set_result(None)

    def _landed(self, task: asyncio.Future[Candidate | Failure]) -> None:
        if not self._there.done():
            good = not task.cancelled() and task.exception() is None
            outcome = task.result() if good else None
            self._there.set_result(outcome if isinstance(outcome, Candidate) else None)


def awaited(members: Sequence[str]) -> list[Awaited]:
    """One for each of `members`, of whom nothing is there yet."""
    return [Awaited(member) for member in members]
