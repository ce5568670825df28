"""uvicorn's server, as the gateway ends and reloads it: nobody is cut off without a word."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import uvicorn

from coterie.errors import CoterieError
from coterie.gateway.desk import Desk
from coterie.gateway.serving import Load, ending

log = logging.getLogger("coterie.gateway")

REFUSED = "the new configuration cannot be served, so the one before goes on"

CLOSING_S = 2.0
"""So long connections may take to close once all requests have ended."""


class Server(uvicorn.Server):
    """Serves until it is told to stop (SIGTERM, SIGINT), and reads its configuration again when told so (SIGHUP).

    Told to stop, it is not ready any more, for `notice_s` still serves whoever comes, then takes no further
    connection; requests under way may finish for `drain_s`, and those that are left are ended with an error. Told
    again, it ends them now.
    """

    def __init__(
        self,
        settings: uvicorn.Config,
        desk: Desk,
        drain_s: float,
        notice_s: float = 0.0,
        load: Load | None = None,
    ) -> None:
        super().__init__(settings)
        self._desk = desk
        self._drain_s = drain_s
        self._notice_s = notice_s
        self._load = load
        self._hurried = asyncio.Event()
        self._reloading: set[asyncio.Task[None]] = set()
        self.parent: int | None = None
        """In a worker the end of a pipe that its parent holds: from there it is told everything, and it ends when the
        parent does."""

    # ---- told by signals ----------------------------------------------------------------------

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's, it does not raise the signal again afterwards: to end as told is a success."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        if sys.platform == "win32":
            with super().capture_signals():
                yield
            return
        loop = asyncio.get_running_loop()
        told = self._told()
        for number, what in told.items():
            loop.add_signal_handler(number, what)
        if self.parent is not None:
            loop.add_reader(self.parent, self.stop)
        try:
            yield
        finally:
            for number in told:
                loop.remove_signal_handler(number)
            if self.parent is not None:
                loop.remove_reader(self.parent)

    def _told(self) -> Mapping[int, Callable[[], None]]:
        """What each signal means. A terminal or a supervisor of services may signal a worker beside its parent, so
        there the same signal twice means nothing more than once."""
        ends: dict[int, Callable[[], None]]
        if self.parent is None:
            ends = {signal.SIGTERM: self.stop_or_hurry, signal.SIGINT: self.stop_or_hurry}
        else:
            ends = {signal.SIGTERM: self.stop, signal.SIGINT: lambda: None, signal.SIGQUIT: self.hurry}
        return {**ends, signal.SIGHUP: self.reload}

    def stop(self) -> None:
        """Begin to end."""
        self.should_exit = self._desk.draining = True
        if self.parent is not None:
            asyncio.get_running_loop().remove_reader(self.parent)

    def hurry(self) -> None:
        """End now."""
        self.stop()
        self._hurried.set()

    def stop_or_hurry(self) -> None:
        if self.should_exit:
            self.hurry()
        else:
            self.stop()

    def reload(self) -> None:
        """Read the configuration again; requests that come from then on meet it, unless it cannot be served."""
        if self._load is None or self.should_exit:
            return
        task = asyncio.ensure_future(self._reload(self._load))
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload(self, load: Load) -> None:
        try:
            await self._desk.replace(await asyncio.to_thread(load))
        except CoterieError as error:
            log.error("%s: %s", REFUSED, error)
        except Exception:
            log.exception(REFUSED)
        else:
            log.warning("the configuration was read again")

    # ---- starting and ending ------------------------------------------------------------------

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Every request under way has been answered, or told that it will not be."""
        self._desk.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._notice_s):
                await self._hurried.wait()
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        ends_s = asyncio.get_running_loop().time() + self._drain_s
        await self._drained(ends_s)
        for task in self._reloading:
            task.cancel()
        left_s = 0.0 if self._hurried.is_set() else ends_s - asyncio.get_running_loop().time()
        self.config.timeout_graceful_shutdown = math.ceil(max(CLOSING_S, left_s))  # for what slow clients still read
        await super().shutdown(sockets)

    async def _drained(self, ends_s: float) -> None:
        """No request is under way any more."""
        loop = asyncio.get_running_loop()
        hurried = asyncio.ensure_future(self._hurried.wait())
        tasks = self.server_state.tasks
        while tasks and not hurried.done() and loop.time() < ends_s:
            await asyncio.wait([*tasks, hurried], timeout=ends_s - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if tasks:
            log.warning("requests ended before they were done: %d", len(tasks))
            await ending.end(tasks)
