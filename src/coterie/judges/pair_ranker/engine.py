"""The pair ranker as a throughput machine: pairs of all requests in one queue, cut into batches by length.

A worker thread takes the longest pairs that wait, as many as the token budget holds, so that a batch
holds rows of nearly one length and padding costs next to nothing. Equal pairs are computed once, and
known ones not at all. Callers tokenise on their own threads while the worker computes.
"""

from __future__ import annotations

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
from typing import TYPE_CHECKING, TypeVar

from coterie.judges.pair_ranker.encoding import Pair, PairEncoder, Row

if TYPE_CHECKING:
    import torch

    from coterie.judges.pair_ranker.network import PairNetwork

log = logging.getLogger("coterie")

T = TypeVar("T")

Scores = tuple[float, float]
"""Of the left and of the right candidate, the mean over tasks; their difference is the logit."""

KNOWN_PAIRS = 200_000


@dataclass
class Spent:
    """What the engine has done so far."""

    pairs: int = 0
    """Asked for."""
    computed: int = 0
    """Sent through the network; the others were equal to one that was."""
    cut: int = 0
    """Pairs of which a text was too long."""
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
    marks: tuple[int, int, int] = field(compare=False)
    key: bytes = field(compare=False)
    results: list[Future[Scores]] = field(compare=False, default_factory=list)


_Batch = list[_Waiting]


class PairEngine:
    """An open pair ranker. Thread-safe; `close` stops its worker."""

    def __init__(
        self, encoder: PairEncoder, network: PairNetwork, *, device: str, budget_tokens: int, pad_to: int = 1
    ) -> None:
        self.encoder = encoder
        self.spent = Spent()
        self._network = network
        self._device = device
        self._budget_tokens = budget_tokens
        self._pad_to = pad_to
        self._numbers = count()
        self._heap: list[_Waiting] = []
        self._in_flight: dict[bytes, _Waiting] = {}
        self._known: OrderedDict[bytes, Scores] = OrderedDict()
        self._news = threading.Condition()
        self._closed = False
        self._warned = False
        self._worker = threading.Thread(target=self._run, name="pair-ranker", daemon=True)
        self._worker.start()

    def submit(self, pairs: Sequence[Pair]) -> list[Future[Scores]]:
        """A future for each pair, in their order; all of them enter the queue together."""
        rows = [self.encoder.row(pair) for pair in pairs]
        self._warn(rows)
        with self._news:
            futures = [self._enter(row) for row in rows]
            self._news.notify()
        return futures

    def compare(self, pairs: Sequence[Pair]) -> list[Scores]:
        """The scores of each pair, in their order."""
        return [future.result() for future in self.submit(pairs)]

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
        key = hashlib.blake2b(ids.tobytes(), digest_size=16).digest()
        self.spent.pairs += 1
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
            log.warning("%d pairs hold a text too long for the pair ranker, which reads only a part of it", cut)

    def _run(self) -> None:
        """Launch batch after batch; the results of one are fetched while the device works on the next."""
        launched: tuple[_Batch, torch.Tensor] | None = None
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
        most = max(1, self._budget_tokens // self._padded(len(self._heap[0].ids)))
        while self._heap and most:
            most -= 1
            yield heapq.heappop(self._heap)

    def _finish(self, batch: _Batch, scores: torch.Tensor) -> None:
        found: list[Scores] = [(left, right) for left, right in scores.tolist()]
        with self._news:
            for waiting, score in zip(batch, found, strict=True):
                del self._in_flight[waiting.key]
                self._known[waiting.key] = score
            while len(self._known) > KNOWN_PAIRS:
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

    def _launch(self, batch: _Batch) -> torch.Tensor:
        """Scores of a batch, [rows, 2], perhaps still being computed: reading them waits."""
        import torch

        ids, attended, marks = self._tensors(batch)
        with torch.inference_mode():
            by_task: torch.Tensor = self._network(ids, attended, marks)
        tokens = sum(len(waiting.ids) for waiting in batch)
        self.spent.computed += len(batch)
        self.spent.tokens += tokens
        self.spent.padded += ids.numel() - tokens
        return by_task.double().mean(-1)

    def _tensors(self, batch: _Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        import numpy as np
        import torch

        width = self._padded(max(len(waiting.ids) for waiting in batch))
        ids = np.zeros((len(batch), width), dtype=np.int32)
        lengths = np.array([len(waiting.ids) for waiting in batch])
        for n, waiting in enumerate(batch):
            ids[n, : lengths[n]] = waiting.ids
        attended = (np.arange(width) < lengths[:, None]).astype(np.int64)
        marks = torch.tensor([waiting.marks for waiting in batch])
        made = (torch.from_numpy(ids).long(), torch.from_numpy(attended), marks)
        ids_there, attended_there, marks_there = (tensor.to(self._device, non_blocking=True) for tensor in made)
        return ids_there, attended_there, marks_there

    def _padded(self, length: int) -> int:
        return -(-length // self._pad_to) * self._pad_to
