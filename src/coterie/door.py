"""The synchronous door: one background event loop, so that connections and models survive from call to call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Door:
    """An event loop on a thread of its own. Started on first use, stopped by `close`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        return self._loop is not None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop behind the door, running."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="coterie", daemon=True)
                self._thread.start()
            return self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` behind the door."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns. An interrupt cancels it, and goes on once it has ended."""
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

        async def awaited() -> T:
            return await work

        return await asyncio.wrap_future(self.submit(awaited()))

    def _settle(self) -> None:
        """Wait until cancelled work has cleaned up after itself."""

        async def others() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            cancelled = [task for task in tasks if task is not None and task.cancelling()]
            if cancelled:
                await asyncio.wait(cancelled, timeout=5)

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
        asyncio.run_coroutine_threadsafe(_tidied(loop), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _tidied(loop: asyncio.AbstractEventLoop) -> None:
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
