"""The house: where a committee keeps what is expensive, opened once and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, TypeVar

from coterie.protocols import Opens

T = TypeVar("T")


class House:
    """Opens each specification once, shares what equal ones open, and closes all of it, last first.

    An async context manager. It lives on the event loop that entered it.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._opened: dict[Hashable, asyncio.Task[Any]] = {}

    async def once(self, spec: Opens[T]) -> T:
        """What `spec` opens. Callers that come while it opens wait for the same one; a failure is not kept."""
        task: asyncio.Task[T] | None = self._opened.get(spec)
        if task is None:
            task = asyncio.ensure_future(self._stack.enter_async_context(spec.open()))
            task.add_done_callback(_seen)
            self._opened[spec] = task
        try:
            return await asyncio.shield(task)
        except Exception:
            if self._opened.get(spec) is task:
                del self._opened[spec]
            raise

    async def __aenter__(self) -> House:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opening = [task for task in self._opened.values() if not task.done()]
        if opening:
            await asyncio.wait(opening)  # what is half open cannot be closed
        self._opened.clear()
        await self._stack.__aexit__(kind, error, trace)


def _seen(task: asyncio.Task[Any]) -> None:
    """Nobody is left to hear of a failure where all who waited were cancelled, which is no mistake."""
    if not task.cancelled():
        task.exception()
