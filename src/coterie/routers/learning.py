"""Learning while serving: a learner's state is a fold over a journal of the store, and each process keeps its own.

Where it begins (an artifact, or nothing) and every entry of the journal, in order, make the state; so all workers that
have read the same entries say the same. Nothing is written but by appending, and no worker waits for another.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from coterie.errors import StoreError
from coterie.protocols import Journals, Run
from coterie.routers.forecast import Forecast, Queries
from coterie.types import Entry, Json

PAGE = 250
"""Entries read at once."""

SLICE_S = 0.005
"""Seconds for which entries are applied before others on the event loop have their turn."""

PATIENCE_S = 1.0
"""Longest that a forecast waits for new entries; what is not read by then, the next one reads. After a journal that was
out of reach nobody tries again for as long, so that a store that is away costs one wait and not one for each."""

FIRST_PATIENCE_S = 10.0
"""The same until all was read for the first time: the store may have to be opened, and nothing is known yet."""


class Unreadable(ValueError):
    """An entry that this version cannot take: another one wrote it, or it speaks of something else."""


class Folding(Protocol):
    """A learner's state in one process. It is used on the event loop alone, so both operations should be quick."""

    def apply(self, entry: Json) -> None:
        """Afterwards `entry` is learned. Raises `Unreadable`, and is then as it was."""
        ...

    def forecast(self, queries: Queries, members: Sequence[str]) -> Forecast:
        """What to expect, columns in the order of `members`; NaN for one of whom nothing can be said."""
        ...


F_co = TypeVar("F_co", bound=Folding, covariant=True)
F = TypeVar("F", bound=Folding)


class Begins(Protocol[F_co]):
    """Where a fold begins: a frozen specification with all hyper-parameters, such as the part itself."""

    @property
    def journal(self) -> str: ...

    @property
    def fresh_s(self) -> float:
        """How old what it knows may be, in seconds; 0 reads the journal before each forecast."""
        ...

    def begin(self) -> F_co:
        """The state before the first entry. It is called in a thread, since it may read an artifact."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Fold(Generic[F]):
    """Opens what a learner has learned: ``state = await (await run.open(Fold(part))).state(run)``."""

    begins: Begins[F]
    patience_s: float = PATIENCE_S
    first_patience_s: float = FIRST_PATIENCE_S

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Learning[F]]:
        state, name = await asyncio.to_thread(lambda: (self.begins.begin(), self.begins.journal))
        yield Learning(self, state, name)


class Learning(Generic[F]):
    """A state and how far it has read its journal. All requests of a committee share one."""

    def __init__(self, fold: Fold[F], state: F, name: str) -> None:
        self._begins = fold.begins
        self._patience_s = fold.patience_s
        self._first_patience_s = fold.first_patience_s
        self._state = state
        self._journal = name
        self._last = Entry(0, None)
        """The entry that was read last."""
        self._as_of_s = -math.inf
        """When the last reading began that came to the journal's end."""
        self._failed_s, self._why = -math.inf, ""
        self._reading = asyncio.Lock()
        self.skipped = 0
        """Entries that could not be read."""

    @property
    def number(self) -> int:
        """How many entries were read."""
        return self._last.number

    async def state(self, run: Run) -> F:
        """What was learned from all entries up to `fresh_s` ago, or up to now where that is 0.

        Forecasts that wait at once share one reading. Where the journal is out of reach it is what is known so far,
        and a note says so.
        """
        asked_s, number = time.monotonic(), self.number
        longest_s = self._patience_s if math.isfinite(self._as_of_s) else self._first_patience_s
        if not self._fresh(asked_s):
            try:
                async with asyncio.timeout(longest_s), self._reading:
                    if not self._fresh(asked_s):  # who came first has read for all who waited
                        await self._read(run)
            except TimeoutError:
                self._give_up(run, f"it was not read in {longest_s:g} s", pause=self.number == number)
            except StoreError as error:
                self._give_up(run, str(error), pause=True)
        return self._state

    def _fresh(self, asked_s: float) -> bool:
        return self._as_of_s >= asked_s - self._begins.fresh_s

    def _give_up(self, run: Run, why: str, *, pause: bool) -> None:
        if pause:
            self._failed_s, self._why = time.monotonic(), why
        known = f"what was learned from {self.number} entries" if self.number else "what it began with"
        run.note(f"the router goes on with {known}, for its journal {self._journal!r} is out of reach: {why}")

    async def _read(self, run: Run) -> None:
        """Afterwards every entry is applied that stood in the journal when this began."""
        if time.monotonic() - self._failed_s < self._patience_s:
            self._give_up(run, self._why, pause=False)
            return
        began_s, skipped = time.monotonic(), self.skipped
        journals = await run.journals()
        while await self._page(journals):
            pass
        self._as_of_s = began_s
        if self.skipped > skipped:
            run.note(
                f"{self.skipped - skipped} entries of the journal {self._journal!r} cannot be read by this "
                "version, so nothing was learned from them"
            )

    async def _page(self, journals: Journals) -> bool:
        """Apply one page; true where more may follow.

        The last entry is read again: if it is gone or another one, the journal was discarded and has begun anew.
        """
        last = self._last
        page = await journals.since(self._journal, max(0, last.number - 1), PAGE)
        if last.number:
            if not page or page[0] != last:
                self._state = await asyncio.to_thread(self._begins.begin)
                self._last, self.skipped = Entry(0, None), 0
                return True
            page = page[1:]
        await self._apply(page)
        return len(page) >= PAGE - 1

    async def _apply(self, entries: Sequence[Entry]) -> None:
        turn_s = time.monotonic()
        for entry in entries:
            try:
                self._state.apply(entry.value)
            except Unreadable:
                self.skipped += 1
            self._last = entry
            if time.monotonic() - turn_s > SLICE_S:
                await asyncio.sleep(0)
                turn_s = time.monotonic()


def journal(kind: str, name: str, *facts: object) -> str:
    """Where lessons of learners stand that `facts` describe: the same for equal facts, and only for them.

    `name` is what the user calls them, empty for no name; `facts` must have a stable `repr`.
    """
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return f"{kind}:{digest}:{name}" if name else f"{kind}:{digest}"
