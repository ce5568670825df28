"""Running: so many rows under way as may be, the input read as they end, every result kept as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from coterie.batch.asking import Asker
from coterie.batch.folder import Folder, with_twins
from coterie.batch.journals import Journals, Tally
from coterie.batch.rows import Block, Row
from coterie.batch.sources import Reader
from coterie.errors import CoterieError
from coterie.trace import Trace

GRACE_S = 10.0
"""So long rows under way may take once somebody wants an end; then they are cancelled, and asked again next time."""

INTERRUPTED = "interrupted"
BUDGET = "budget"
FAILURES = "failures"
"""Why it may stop before the end."""


class Stop:
    """Whether, and why, no further row is taken."""

    def __init__(self) -> None:
        self.reason = ""
        """Empty as long as rows are taken."""
        self._hurry = asyncio.Event()
        self._woken: list[Callable[[], object]] = []

    def wanted(self, reason: str, grace_s: float | None = None) -> None:
        """No further row is taken; those under way are cancelled after `grace_s`, or never. On the loop's thread."""
        self.reason = self.reason or reason
        for wake in self._woken:
            wake()
        if grace_s is not None:
            asyncio.get_running_loop().call_later(grace_s, self._hurry.set)

    def on_wanted(self, wake: Callable[[], object]) -> None:
        self._woken.append(wake)
        if self.reason:
            wake()

    async def hurried(self) -> None:
        """Returns when rows under way are to be cancelled."""
        await self._hurry.wait()


@dataclass(eq=False)
class Running:
    """Rows on their way."""

    folder: Folder
    reader: Reader
    asker: Asker
    at_once: int
    """Rows under way at the same time."""
    stop: Stop
    finished: Callable[[Tally], None]
    """Told of each row that has finished, and of what a cancelled one had cost."""
    retry: bool = False
    """Whether rows that were asked before and not answered are asked again."""
    journals: Journals = field(default_factory=Journals)
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _defects: list[BaseException] = field(default_factory=list)

    async def run(self, blocks: Iterable[Block]) -> None:
        """Afterwards every row of `blocks` has a result in its journal, or `stop` says why not.

        Raises `OSError` where results cannot be written, `ConfigError` where the input cannot be read.
        """
        syncing = asyncio.ensure_future(self.journals.keep_syncing())
        syncing.add_done_callback(self._check)
        try:
            try:
                await self._begin_rows(blocks)
            except (OSError, CoterieError) as error:  # those under way may end
                self._defects.append(error)
            await self._end()
            await self.journals.sync()
        finally:
            syncing.cancel()
            await self._cancel()
            await asyncio.wait([syncing])
            self.journals.close()
        if self._defects:
            raise self._defects[0]

    async def _begin_rows(self, blocks: Iterable[Block]) -> None:
        """Begin one row after the other, as others end."""
        slots = asyncio.Semaphore(self.at_once)
        self.stop.on_wanted(slots.release)
        async with aclosing(self._rows(blocks)) as rows:
            async for block, row in rows:
                await slots.acquire()
                if self.stop.reason:
                    return
                task = asyncio.ensure_future(self._one(block, row))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                task.add_done_callback(self._check)
                task.add_done_callback(lambda _: slots.release())

    async def _rows(self, blocks: Iterable[Block]) -> AsyncGenerator[tuple[Block, Row]]:
        """Rows without a result. One block is read at a time, in a thread."""
        for block in blocks:
            kept = await asyncio.to_thread(self.folder.kept, block, retry=self.retry)
            if len(kept.results) == block.rows:
                continue
            rows = await asyncio.to_thread(self.reader.questions, block)
            await self.journals.begin(block, self.folder.journal(block), kept)
            for row in with_twins(rows, block):
                if row.number not in kept.results:
                    yield block, row

    async def _one(self, block: Block, row: Row) -> None:
        traces: list[Trace] = []
        try:
            result = await self.asker.ask(row, traces)
        except asyncio.CancelledError:
            if lost_usd := sum(trace.bill.known_usd for trace in traces):
                self.journals.lose(block, lost_usd)
                self.finished(Tally(known_usd=lost_usd))
            raise
        self.journals.finish(block, result)
        self.finished(Tally.of(result))

    def _check(self, task: asyncio.Task[None]) -> None:
        """What a row's own task raises is none of the row's failures: the disk is full, or we are wrong."""
        if not task.cancelled() and (defect := task.exception()) is not None:
            self._defects.append(defect)
            self.stop.wanted("defect", grace_s=0)

    async def _end(self) -> None:
        """Wait for the rows under way, as long as `stop` lets them."""
        if not self._under_way:
            return
        ended = asyncio.ensure_future(asyncio.wait(set(self._under_way)))
        hurried = asyncio.ensure_future(self.stop.hurried())
        try:
            await asyncio.wait([ended, hurried], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            hurried.cancel()
            await self._cancel()

    async def _cancel(self) -> None:
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)
