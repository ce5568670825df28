"""The synchronous door: one background event loop, so that connections and models survive from call to call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from coterie.errors import ConfigError

T = TypeVar("T")

SETTLING_S = 5.0
"""How long cancelled work may take to clean up after itself."""


class Door:
    """An event loop on a thread of its own. Started on first use, stopped by `close`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        return self._loop is not None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` behind the door, which opens where it was closed."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="coterie", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns. An interrupt cancels it, and goes on once it has ended.

        Raises `ConfigError` on the door's own thread, which would wait for itself.
        """
        if self.is_here:
            work.close()
            raise ConfigError("asked from within an answer that is being made: use 'await committee.aask(...)' there")
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                future.cancel()
                self._settle()
            raise

    async def bridge(self, work: Awaitable[T]) -> T:
        """What `work` returns, awaited from another loop; cancelling here cancels it there."""

        ended: Future[None] = Future()

        async def awaited() -> T:
            try:
                return await work
            finally:
                ended.set_result(None)

        try:
            return await asyncio.wrap_future(self.submit(awaited()))
        except asyncio.CancelledError:
            with suppress(TimeoutError):  # let what was cancelled clean up after itself
                async with asyncio.timeout(SETTLING_S):
                    await asyncio.shield(asyncio.wrap_future(ended))
            raise

    def _settle(self) -> None:
        """Wait until cancelled work has cleaned up after itself."""

        async def others() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            cancelled = [task for task in tasks if task is not None and task.cancelling()]
            if cancelled:
                await asyncio.wait(cancelled, timeout=SETTLING_S)

        self.submit(others()).result()

    @property
    def is_here(self) -> bool:
        """True on the door's own thread, which cannot wait for itself."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """Stop the loop and its thread; the door can be opened again. Not from behind the door."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_tidied(loop), loop).result()  # whoever still waits is cancelled
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _tidied(loop: asyncio.AbstractEventLoop) -> None:
    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in others:
        if task is not None:
            task.cancel()
    if others:
        await asyncio.wait([task for task in others if task is not None], timeout=SETTLING_S)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
