"""Candidates that are on their way, for those who need not wait for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from coterie.types import Candidate, Failure


class Awaited:
    """`coterie.protocols.Arrival`: what one member is asked for."""

    def __init__(self, author: str) -> None:
        self.author = author
        self.arrived: Candidate | None = None
        self._known = asyncio.Event()

    async def candidate(self) -> Candidate | None:
        if not self._known.is_set():
            await self._known.wait()
        return self.arrived

    def by(self, call: Awaitable[Candidate | Failure]) -> asyncio.Future[Candidate | Failure]:
        """`call`, under way; whoever waits for its candidate is told what came of it."""
        task = asyncio.ensure_future(call)
        task.add_done_callback(self._landed)
        return task

    def give_up(self) -> None:
        """Afterwards nobody waits for what did not come."""
        self._known.set()

    def _landed(self, task: asyncio.Future[Candidate | Failure]) -> None:
        if self._known.is_set():
            return
        if not task.cancelled() and task.exception() is None:
            outcome = task.result()
            self.arrived = outcome if isinstance(outcome, Candidate) else None
        self._known.set()


def awaited(members: Sequence[str]) -> list[Awaited]:
    """One for each of `members`, of whom nothing is there yet."""
    return [Awaited(member) for member in members]
