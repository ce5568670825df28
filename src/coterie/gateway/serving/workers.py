"""Several processes on one port: workers that share the listening sockets, and their parent, who replaces the dead.

The parent loads the configuration, listens, and forks; it runs no loop and no thread, and serves nobody. So a worker
needs no second start of the interpreter, no secret stands on a command line, and connections that nobody has
accepted yet outlive any worker.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory

from coterie.config import Config
from coterie.errors import CoterieError
from coterie.gateway.serving import Load

log = logging.getLogger("coterie.gateway")

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names where workers write what they count, so that each can tell it of all."""

PAUSE_S = 1.0
"""A worker that died sooner than this is replaced only after as long."""

CANNOT_START = 3
"""The exit status of a server that could not start, uvicorn's too: another would fail in the same way."""

KILL_S = 10.0
"""So much later than it should, a worker that does not end is killed."""

TOLD = (signal.SIGTERM, signal.SIGINT, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))

Work = Callable[[Config, int], None]
"""What a worker does: serves a configuration, and ends when it is told to, or when the file descriptor says that its
parent has ended."""


class Workers:
    """So many processes as `count` that do `work`, until the parent is told to stop."""

    def __init__(
        self,
        count: int,
        work: Work,
        config: Config,
        load: Load,
        sockets: Sequence[socket.socket],
        end_s: float,
    ) -> None:
        """`load` reads the configuration anew; `end_s` is how long a worker may take to end."""
        self._count = count
        self._work = work
        self._config = config
        self._load = load
        self._sockets = sockets
        self._end_s = end_s
        self._began_s: dict[BaseProcess, float] = {}
        self._due_s: list[float] = []
        """When workers that died are to be replaced."""
        self._kill_s = math.inf
        self._failed = False
        self._parent, self._held = os.pipe()

    def run(self) -> None:
        """All workers have ended, as they were told. Raises `CoterieError` where one could not start."""
        try:
            with _signals() as told:
                self._due_s = [time.monotonic()] * self._count
                while self._began_s or self._due_s:
                    self._begin_due(told)
                    wait([told, *(worker.sentinel for worker in self._began_s)], self._next_s())
                    self._bury()
                    for number in _taken(told):
                        self._tell(number)
        finally:
            os.close(self._held)  # whoever is left ends by itself
            os.close(self._parent)
        if self._failed:
            raise CoterieError("a worker could not start serving, as the log says, so all were stopped")

    @property
    def _stopping(self) -> bool:
        return self._kill_s < math.inf

    def _next_s(self) -> float | None:
        """Until something is due."""
        due_s = min((*self._due_s, self._kill_s))
        return None if due_s == math.inf else max(0.0, due_s - time.monotonic())

    def _begin_due(self, told: socket.socket) -> None:
        now_s = time.monotonic()
        for due_s in [due_s for due_s in self._due_s if due_s <= now_s]:
            self._due_s.remove(due_s)
            worker: BaseProcess = multiprocessing.get_context("fork").Process(target=self._in_worker, args=(told,))
            signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)  # until the worker has forgotten its parent's handlers
            worker.start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
            self._began_s[worker] = now_s
        if now_s >= self._kill_s:
            for late in self._began_s:
                late.kill()

    def _in_worker(self, told: socket.socket) -> None:
        """In a fresh process."""
        signal.set_wakeup_fd(-1)
        told.close()
        for number in TOLD:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
        os.close(self._held)
        try:
            self._work(self._config, self._parent)
        except CoterieError as error:
            log.error("a worker cannot serve: %s", error)
            sys.exit(CANNOT_START)

    def _bury(self) -> None:
        """Those that died are replaced, unless they were told to."""
        now_s = time.monotonic()
        for worker in [worker for worker in self._began_s if not worker.is_alive()]:
            lived_s = now_s - self._began_s.pop(worker)
            if worker.exitcode == CANNOT_START and not self._stopping:
                self._failed = True
                self._tell(signal.SIGTERM)
            elif not self._stopping:
                log.error("worker %s ended with %s and is replaced", worker.pid, worker.exitcode)
                self._due_s.append(now_s if lived_s > PAUSE_S else now_s + PAUSE_S)
            worker.close()

    def _tell(self, number: int) -> None:
        """Pass on what the parent was told."""
        if number == getattr(signal, "SIGHUP", None):
            self._reload()
        elif self._stopping:
            self._pass_on(signal.SIGQUIT)
        else:
            self._kill_s = time.monotonic() + self._end_s + KILL_S
            self._due_s.clear()
            for listening in self._sockets:
                listening.close()
            self._pass_on(signal.SIGTERM)

    def _reload(self) -> None:
        """What cannot be served is refused here, once. Workers read it themselves; those to come have it from here."""
        if self._stopping:
            return
        try:
            self._config = self._load()
        except CoterieError as error:
            log.error("the new configuration cannot be served, so the one before goes on: %s", error)
            return
        self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: int) -> None:
        for worker in self._began_s:
            with suppress(ProcessLookupError):
                os.kill(worker.pid or 0, number)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket on which a byte arrives for each signal that was sent to this process."""
    ours, pythons = socket.socketpair()
    with closing(ours), closing(pythons):
        ours.setblocking(False)
        pythons.setblocking(False)
        before = {number: signal.signal(number, _noted) for number in TOLD}
        signal.set_wakeup_fd(pythons.fileno())
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)


def _noted(number: int, frame: object) -> None:
    """Python writes the byte; without a handler the signal would end the process."""


def _taken(told: socket.socket) -> bytes:
    with suppress(BlockingIOError):
        return told.recv(4096)
    return b""


@contextmanager
def metrics_folder() -> Iterator[None]:
    """While it is entered there is a folder in which workers count together. Enter it before anything counts."""
    if os.environ.get(METRICS_FOLDER) or sys.platform == "win32":
        yield
        return
    with TemporaryDirectory(prefix="coterie-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[METRICS_FOLDER]
