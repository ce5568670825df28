"""A ranker as a throughput machine: what all requests want to be read, in one queue, cut into batches by length.

A worker thread takes the longest rows that wait, as many as the token budget holds, so that a batch
holds rows of nearly one length and padding costs next to nothing. Equal rows are computed once, and
known ones not at all. Callers tokenise on their own threads while the worker computes. What computes is
a `Forward`: PyTorch on any device, or ONNX Runtime.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import logging
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger("coterie")

T = TypeVar("T")
Item = TypeVar("Item")

Scores = tuple[float, ...]
"""What a network says of a row. Of a pair ranker's row: the left and the right candidate's score."""

KNOWN_ROWS = 200_000


@dataclass(frozen=True)
class Row:
    """Something to be read, as a network reads it."""

    ids: tuple[int, ...]
    marks: tuple[int, ...]
    """The places whose states the network's head reads; as many in every row of one ranker."""
    cut: bool
    """True when some text did not fit."""


class Forward(Protocol):
    """The network behind an engine."""

    def __call__(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], marks: NDArray[np.int64]
    ) -> Callable[[], Sequence[Sequence[float]]]:
        """Start the forward of ids [rows, width], padded behind with 0; calling what is returned waits for its scores.

        `lengths` [rows] says how much of each row is no padding; `marks` is [rows, marks a row].
        """
        ...


@dataclass
class Spent:
    """What the engine has done so far."""

    rows: int = 0
    """Asked for."""
    computed: int = 0
    """Sent through the network; the others were equal to one that was."""
    cut: int = 0
    """Rows of which a text was too long."""
    tokens: int = 0
    """Of the rows computed."""
    padded: int = 0
    """Padding beside them."""

    @property
    def padding(self) -> float:
        """Share of the network's work that was padding."""
        return self.padded / (self.tokens + self.padded) if self.tokens else 0.0


@dataclass(order=True)
class _Waiting:
    priority: tuple[int, int]
    ids: array[int] = field(compare=False)
    marks: tuple[int, ...] = field(compare=False)
    key: bytes = field(compare=False)
    results: list[Future[Scores]] = field(compare=False, default_factory=list)


_Batch = list[_Waiting]


class Engine(Generic[Item]):
    """An open ranker. Thread-safe; `close` stops its worker.

    Rows are padded to the longest of a batch, and that to a multiple of `pad_to`; 0 says that the forward computes
    no padding, so that a batch is counted by its tokens alone. The scores of the last `known_rows` are kept.
    """

    def __init__(
        self,
        encode: Callable[[Item], Row],
        forward: Forward,
        *,
        budget_tokens: int,
        pad_to: int = 1,
        known_rows: int = KNOWN_ROWS,
    ) -> None:
        self.spent = Spent()
        self.encode = encode
        self._forward = forward
        self._budget_tokens = budget_tokens
        self._pad_to = pad_to
        self._known_rows = known_rows
        self._numbers = count()
        self._heap: list[_Waiting] = []
        self._in_flight: dict[bytes, _Waiting] = {}
        self._known: OrderedDict[bytes, Scores] = OrderedDict()
        self._news = threading.Condition()
        self._closed = False
        self._warned = False
        self._worker = threading.Thread(target=self._run, name="ranker", daemon=True)
        self._worker.start()

    def submit(self, items: Sequence[Item]) -> list[Future[Scores]]:
        """A future for each item, in their order; all of them enter the queue together."""
        rows = [self.encode(item) for item in items]
        self._warn(rows)
        with self._news:
            if self._closed:
                raise RuntimeError("this ranker is closed: open another")
            futures = [self._enter(row) for row in rows]
            self._news.notify()
        return futures

    def score(self, items: Sequence[Item]) -> list[Scores]:
        """The scores of each item, in their order."""
        return [future.result() for future in self.submit(items)]

    async def ascore(self, items: Sequence[Item]) -> list[Scores]:
        """`score`, awaited: the texts are tokenised on a thread of their own, beside the worker."""
        futures = await asyncio.to_thread(self.submit, items)
        return await asyncio.gather(*map(asyncio.wrap_future, futures))

    def close(self) -> None:
        """Stop the worker after its batch; what still waits is cancelled."""
        with self._news:
            self._closed = True
            for waiting in self._heap:
                for future in waiting.results:
                    future.cancel()
            self._heap.clear()
            self._news.notify()
        self._worker.join()

    # ---- the queue ----------------------------------------------------------------------------

    def _enter(self, row: Row) -> Future[Scores]:
        future: Future[Scores] = Future()
        ids = array("i", row.ids)
        key = hashlib.blake2b(ids.tobytes() + bytes(array("i", row.marks)), digest_size=16).digest()
        self.spent.rows += 1
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            future.set_result(known)
            return future
        waiting = self._in_flight.get(key)
        if waiting is None:
            waiting = _Waiting((-len(ids), next(self._numbers)), ids, row.marks, key)
            self._in_flight[key] = waiting
            heapq.heappush(self._heap, waiting)
        waiting.results.append(future)
        return future

    def _warn(self, rows: Iterable[Row]) -> None:
        cut = sum(row.cut for row in rows)
        self.spent.cut += cut
        if cut and not self._warned:
            self._warned = True
            log.warning("%d texts or pairs of texts are too long for the ranker, which reads only a part of them", cut)

    def _run(self) -> None:
        """Launch batch after batch; the results of one are fetched while the device works on the next."""
        launched: tuple[_Batch, Callable[[], Sequence[Sequence[float]]]] | None = None
        while True:
            batch = self._next(wait=launched is None)
            if batch is None:
                return
            fresh = self._guarded(batch, self._launch) if batch else None
            if launched is not None:
                before, scores = launched
                self._guarded(before, partial(self._finish, scores=scores))
            launched = None if fresh is None else (batch, fresh)

    def _next(self, *, wait: bool) -> _Batch | None:
        """The next batch; an empty one when none waits and we are not to `wait`, ``None`` when all is over."""
        with self._news:
            while wait and not self._heap and not self._closed:
                self._news.wait()
            if self._closed and wait:
                return None
            return list(self._batch()) if self._heap else []

    def _guarded(self, batch: _Batch, work: Callable[[_Batch], T]) -> T | None:
        """What `work` returns; where it fails, everybody who waits for the batch is told, and the queue goes on."""
        try:
            return work(batch)
        except Exception as error:
            self._fail(batch, error)
            return None

    def _batch(self) -> Iterator[_Waiting]:
        """The longest rows that wait, as many as the budget holds; one at least."""
        widest = self._padded(len(self._heap[0].ids))
        room = max(widest, self._budget_tokens)
        while self._heap:
            room -= widest if self._pad_to else len(self._heap[0].ids)
            if room < 0:
                return
            yield heapq.heappop(self._heap)

    def _finish(self, batch: _Batch, scores: Callable[[], Sequence[Sequence[float]]]) -> None:
        found: list[Scores] = [tuple(of_row) for of_row in scores()]
        with self._news:
            for waiting, score in zip(batch, found, strict=True):
                del self._in_flight[waiting.key]
                self._known[waiting.key] = score
            while len(self._known) > self._known_rows:
                self._known.popitem(last=False)
        for waiting, score in zip(batch, found, strict=True):
            for future in waiting.results:
                if future.set_running_or_notify_cancel():
                    future.set_result(score)

    def _fail(self, batch: _Batch, error: Exception) -> None:
        with self._news:
            for waiting in batch:
                self._in_flight.pop(waiting.key, None)
        for waiting in batch:
            for future in waiting.results:
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)

    # ---- the network --------------------------------------------------------------------------

    def _launch(self, batch: _Batch) -> Callable[[], Sequence[Sequence[float]]]:
        """The batch's forward, begun; calling what comes back waits for it."""
        ids, lengths, marks = self._arrays(batch)
        launched = self._forward(ids, lengths, marks)
        tokens = int(lengths.sum())
        self.spent.computed += len(batch)
        self.spent.tokens += tokens
        self.spent.padded += ids.size - tokens if self._pad_to else 0
        return launched

    def _arrays(self, batch: _Batch) -> tuple[Any, Any, Any]:
        import numpy as np

        lengths = np.array([len(waiting.ids) for waiting in batch], dtype=np.int64)
        ids = np.zeros((len(batch), self._padded(int(lengths.max()))), dtype=np.int64)
        for n, waiting in enumerate(batch):
            ids[n, : lengths[n]] = waiting.ids
        return ids, lengths, np.array([waiting.marks for waiting in batch], dtype=np.int64)

    def _padded(self, length: int) -> int:
        return -(-length // self._pad_to) * self._pad_to if self._pad_to else length
