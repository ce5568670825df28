"""What stands before whatever computes vectors: a cache by text, and one queue for all who ask at once.

What is asked for while a batch is computed makes up the next one, so that nobody waits for company. A text is computed
once, however many ask for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from coterie.encoders.reading import digest, whole
from coterie.errors import ConfigError, RouterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Row = NDArray[np.float32]

log = logging.getLogger("coterie")

Compute = Callable[[Sequence[str]], "NDArray[np.floating]"]
"""A vector of any length for each text, 0 for one without a word; here and now."""
Fetch = Callable[[Sequence[str]], Awaitable["NDArray[np.floating]"]]
"""The same, awaited."""

KEPT_TEXTS = 16_384


class Refused(RouterError):
    """A batch was refused, and one text in it may be why: the others are asked for without it."""


@dataclass(frozen=True)
class Pace:
    """How what computes likes to be asked."""

    texts: int = 32
    """At most in one batch."""
    batches: int = 1
    """At once."""


def threaded(compute: Compute) -> Fetch:
    """`compute` on a thread, so that the event loop goes on."""

    async def fetch(texts: Sequence[str]) -> NDArray[np.floating]:
        return await asyncio.to_thread(compute, texts)

    return fetch


class Served:
    """An open encoder over something that computes vectors. It lives on one event loop.

    Vectors are brought to length 1; one that is no number is a `RouterError`. Cancelling one caller leaves what others
    wait for alone.
    """

    def __init__(
        self,
        fetch: Fetch,
        dimensions: int,
        pace: Pace = Pace(),
        *,
        inline: Callable[[Sequence[str]], NDArray[np.floating] | None] = lambda _: None,
        kept_texts: int = KEPT_TEXTS,
    ) -> None:
        """`inline` computes texts on the event loop where that takes no time worth speaking of, and else gives none."""
        self._fetch = fetch
        self._inline = inline
        self._dimensions = dimensions
        self._pace = pace
        self._kept_texts = kept_texts
        self._known: OrderedDict[bytes, Row] = OrderedDict()
        self._asked: dict[bytes, asyncio.Future[Row]] = {}
        self._waiting: dict[bytes, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = 0
        self._closed = False

    @property
    def dimensions(self) -> int:
        return self._dimensions

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The texts' vectors, (texts, dimensions), which are the caller's own. Raises `RouterError`."""
        import numpy as np

        if isinstance(texts, str):
            raise ConfigError("an encoder takes a list of texts, not one text")
        if self._closed:
            raise RouterError("the encoder was closed")
        if not texts:
            return np.zeros((0, self._dimensions), dtype=np.float32)
        found = self._found([whole(text) for text in texts])
        asked = {row for row in found if isinstance(row, asyncio.Future)}
        if asked:
            await asyncio.wait(asked)  # which, unlike gather, leaves them alone when it is cancelled
        return np.stack([row.result() if isinstance(row, asyncio.Future) else row for row in found])

    async def close(self) -> None:
        """Nothing more is computed; who still waits is told."""
        self._closed = True
        self._fail(list(self._asked), RouterError("the encoder was closed"))
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- what is known ------------------------------------------------------------------------

    def _found(self, texts: Sequence[str]) -> list[Row | asyncio.Future[Row]]:
        """For each text its vector, where it is known or quickly computed, or what it will come from."""
        marks = [digest(text) for text in texts]
        rows: dict[bytes, Row | asyncio.Future[Row]] = {}
        fresh: dict[bytes, str] = {}
        for mark, text in zip(marks, texts, strict=True):
            if (row := self._of(mark, text)) is not None:
                rows[mark] = row
            else:
                fresh[mark] = text
        computed = self._inline(list(fresh.values())) if fresh else None
        if computed is not None:
            rows |= self._keep(list(fresh), computed)
        else:
            rows |= {mark: self._ask(mark, text) for mark, text in fresh.items()}
        return [rows[mark] for mark in marks]

    def _of(self, mark: bytes, text: str) -> Row | asyncio.Future[Row] | None:
        """What there is of a text already."""
        import numpy as np

        if mark in self._known:
            self._known.move_to_end(mark)
            return self._known[mark]
        if not text or text.isspace():
            return np.zeros(self._dimensions, dtype=np.float32)
        return self._asked.get(mark)

    def _keep(self, marks: Sequence[bytes], rows: NDArray[np.floating]) -> dict[bytes, Row]:
        """Those vectors at length 1, which are known from now on. Raises `RouterError`."""
        if rows.shape != (len(marks), self._dimensions):
            raise RouterError(f"{len(marks)} vectors of {self._dimensions} numbers were due, and {rows.shape!r} came")
        found = dict(zip(marks, unit(rows), strict=True))
        self._known |= found
        while len(self._known) > self._kept_texts:
            self._known.popitem(last=False)
        return found

    # ---- what is asked for --------------------------------------------------------------------

    def _ask(self, mark: bytes, text: str) -> asyncio.Future[Row]:
        future: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        self._asked[mark], self._waiting[mark] = future, text
        if self._working < self._pace.batches:
            self._working += 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return future

    async def _work(self) -> None:
        """Batch after batch, until nothing waits."""
        try:
            while self._waiting:
                marks = list(islice(self._waiting, self._pace.texts))
                await self._batch(marks, [self._waiting.pop(mark) for mark in marks])
        finally:
            self._working -= 1  # here, and not when the task is seen to be done: the next text may come before that

    async def _batch(self, marks: Sequence[bytes], texts: Sequence[str]) -> None:
        try:
            rows = self._keep(marks, await self._fetch(texts))
        except Exception as error:
            if isinstance(error, Refused) and len(marks) > 1:
                middle = len(marks) // 2
                await self._batch(marks[:middle], texts[:middle])
                await self._batch(marks[middle:], texts[middle:])
            else:
                self._fail(marks, _told(error))
            return
        for mark in marks:
            if (future := self._asked.pop(mark, None)) is not None:
                future.set_result(rows[mark])

    def _fail(self, marks: Sequence[bytes], error: RouterError) -> None:
        for mark in marks:
            if (future := self._asked.pop(mark, None)) is not None:
                future.set_exception(error)


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """The rows at length 1; what is 0 stays so. Raises `RouterError` for what is no number."""
    import numpy as np

    exact = rows.astype(np.float64)
    lengths = np.sqrt(np.square(exact).sum(axis=1, keepdims=True))
    if not np.isfinite(lengths).all():
        raise RouterError(f"{int((~np.isfinite(lengths)).sum())} of {len(rows)} vectors hold what is no number")
    made: NDArray[np.float32] = (exact / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return made


def _told(error: Exception) -> RouterError:
    """What callers are told: what the encoder says itself, and of a defect its kind alone; the rest goes to the log."""
    if isinstance(error, RouterError):
        return error
    log.error("an encoder failed with a defect of its own", exc_info=error)
    return RouterError(f"the encoder failed with {type(error).__name__}")


def _seen(future: asyncio.Future[Row]) -> None:
    """An error that nobody waits for any more is no news."""
    if not future.cancelled():
        future.exception()
