"""The archive: traces of runs, kept for a while for the keys that made them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from coterie.config import Config
from coterie.gateway.keeping.journal import Journal
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
    """Runs, found from the moment their answer is there.

    Traces lie in memory, the newest thousand, or as many as take 64 MiB. To a store they are written a little later
    (`write`), so that no request waits for a disk: whole where it keeps texts, and else who made which run, so that
    another process can take feedback on it. What is not written yet stands in a journal as well, which outlives a
    process that is killed.
    """

    def __init__(
        self,
        keep_h: float | None,
        journal: Journal | None = None,
        *,
        texts: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`journal` lies beside a store, and is left out without one; `texts` says whether that keeps texts."""
        self.keep_s = None if keep_h is None else keep_h * HOUR_S
        self._journal = journal
        self._texts = texts
        self._clock = clock
        self._recent = MemoryRuns()
        self._unwritten: deque[KeptRun] = deque()
        self._unwritten_chars = 0
        self.lost = 0
        """Runs that were never written, because the store was away for too long."""
        self._tidied_at = 0.0

    @property
    def durable(self) -> bool:
        """True where there is a store."""
        return self._journal is not None

    @classmethod
    def of(cls, config: Config) -> Archive:
        """As the configuration wants it."""
        keep_h, store = config.gateway.keep_runs_h, config.store
        return cls(keep_h) if store is None else cls(keep_h, Journal(store.beside), texts=store.keep_texts)

    def keep(self, trace: Trace, scope: str) -> None:
        """Afterwards the run is found by whoever made it, and outlives this process if runs are written."""
        if self.keep_s is not None:
            self._keep(_kept(trace, scope, self._clock()))

    def inherit(self) -> None:
        """Afterwards runs that processes which were killed had not written are kept here."""
        if self._journal is not None and self.keep_s is not None:
            for run in self._journal.left_behind():
                self._keep(run)

    def close(self) -> None:
        """Afterwards what was not written is left to the next process."""
        if self._journal is not None:
            self._journal.close(keep=bool(self._unwritten))

    def _keep(self, run: KeptRun) -> None:
        self._recent.add(run)
        if self._journal is None:
            return
        run = self._to_write(run)
        self._journal.add(run)
        self._unwritten.append(run)
        self._unwritten_chars += run.chars
        while self._unwritten_chars > MOST_RUN_CHARS:
            self._unwritten_chars -= self._unwritten.popleft().chars
            self.lost += 1

    def _to_write(self, run: KeptRun) -> KeptRun:
        """The run as the store is to have it, written out once for the journal and for the store."""
        lines: tuple[str, ...] = ()
        try:
            lines = tuple(run.lines()) if self._texts else ()
        except Exception as error:  # a trace that cannot be written must not cost the answer
            log.error("the trace of %s cannot be kept: %s", run.id, type(error).__name__)
        return replace(run, lines=lambda: lines, chars=run.chars if lines else EVENT_CHARS)

    async def find(self, run: str, scope: str, runs: Runs | None) -> KeptRun | None:
        """The run, where it is of that scope; it has no lines where its trace is not at hand. `runs`: the store's.
        Raises `StoreError`."""
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
        if self._journal is not None:
            self._journal.clear()
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
