"""The archive: traces of runs, kept for a while for the keys that made them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from coterie.gateway.visit import Visit
from coterie.protocols import Runs
from coterie.store.memory_runs import MOST_RUN_CHARS, MemoryRuns
from coterie.trace import CallFinished, CallStarted, RunStarted, Trace
from coterie.types import KeptRun

log = logging.getLogger("coterie.gateway")

HOUR_S = 3_600.0

AT_ONCE = 100
"""Runs written to the store in one transaction."""

TIDY_EVERY_S = 60.0
EVENT_CHARS = 200
"""About what an event takes beside the texts in it."""


class Archive:
    """A watcher that keeps the runs of each visit.

    They are found from the moment the answer is there. Where the store keeps texts they are written to it a little
    later (`write`), so that no request waits for a disk; until then, and everywhere else, they lie in memory, the
    newest thousand, or as many as take 64 MiB.
    """

    def __init__(self, keep_h: float | None, *, durable: bool, clock: Callable[[], float] = time.time) -> None:
        self.keep_s = None if keep_h is None else keep_h * HOUR_S
        self.durable = durable
        self._clock = clock
        self._recent = MemoryRuns()
        self._unwritten: deque[KeptRun] = deque()
        self._unwritten_chars = 0
        self.lost = 0
        """Runs that were never written, because the store was away for too long."""
        self._tidied_at = 0.0

    def arrived(self, visit: Visit) -> None:
        """Nothing has happened yet."""

    def left(self, visit: Visit) -> None:
        for trace in visit.traces if self.keep_s is not None else ():
            self._keep(_kept(trace, visit.key, self._clock()))

    def _keep(self, run: KeptRun) -> None:
        self._recent.add(run)
        if not self.durable:
            return
        self._unwritten.append(run)
        self._unwritten_chars += run.chars
        while self._unwritten_chars > MOST_RUN_CHARS:
            self._unwritten_chars -= self._unwritten.popleft().chars
            self.lost += 1

    async def find(self, run: str, scope: str, runs: Runs | None) -> KeptRun | None:
        """The run, where it is of that scope. `runs`: the store's. Raises `StoreError`."""
        if self.keep_s is None:
            return None
        since = self._clock() - self.keep_s
        found = await self._recent.find(run, scope, since)
        if found is not None or not self.durable or runs is None:
            return found
        return await runs.find(run, scope, since)

    def belongs_to_other(self, run: str, scope: str) -> bool:
        """True where it is known here that somebody else made it."""
        owner = self._recent.owner(run)
        return owner is not None and owner != scope

    async def write(self, runs: Runs) -> None:
        """Afterwards the store has what it had not, and nothing whose time is over. Raises `StoreError`; then what was
        not written is written the next time."""
        while self._unwritten:
            part = [self._unwritten[n] for n in range(min(AT_ONCE, len(self._unwritten)))]
            await runs.keep(part)
            for run in part:
                if self._unwritten and self._unwritten[0] is run:  # it may have been given up meanwhile
                    self._unwritten.popleft()
                    self._unwritten_chars -= run.chars
        await self._tidy(runs)

    async def _tidy(self, runs: Runs) -> None:
        now = self._clock()
        if self.keep_s is None or now - self._tidied_at < TIDY_EVERY_S:
            return
        await self._recent.drop(now - self.keep_s)
        if await runs.drop(now - self.keep_s) == 0:
            self._tidied_at = now


def _kept(trace: Trace, scope: str, now: float) -> KeptRun:
    return KeptRun(trace.started.run, scope, now, trace.lines, _chars(trace))


def _chars(trace: Trace) -> int:
    """About how long a trace is: its texts are what makes one long."""
    size = EVENT_CHARS * len(trace.events)
    for event in trace.events:
        if isinstance(event, CallStarted | RunStarted) and event.request is not None:
            size += sum(len(message.text) for message in event.request.messages)
        elif isinstance(event, CallFinished):
            size += len(event.completion.text)
    return size
