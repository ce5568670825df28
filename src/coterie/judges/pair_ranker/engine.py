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
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from coterie.judges.pair_ranker.encoding import Pair, PairEncoder, Row

if TYPE_CHECKING:
    import torch

    from coterie.judges.pair_ranker.network import PairNetwork

log = logging.getLogger("coterie")

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
    row: Row = field(compare=False)
    key: bytes = field(compare=False)
    results: list[Future[Scores]] = field(compare=False, default_factory=list)


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
        key = _key(row.ids)
        self.spent.pairs += 1
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            future.set_result(known)
            return future
        waiting = self._in_flight.get(key)
        if waiting is None:
            waiting = _Waiting((-len(row.ids), next(self._numbers)), row, key)
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
        while True:
            with self._news:
                while not self._heap and not self._closed:
                    self._news.wait()
                if self._closed:
                    return
                batch = list(self._batch())
            try:
                self._finish(batch, self._scores([waiting.row for waiting in batch]))
            except Exception as error:  # a batch that fails must not take the queue with it
                self._fail(batch, error)

    def _batch(self) -> Iterator[_Waiting]:
        """The longest rows that wait, as many as the budget holds; one at least."""
        longest = self._padded(len(self._heap[0].row.ids))
        most = max(1, self._budget_tokens // longest)
        while self._heap and most:
            most -= 1
            yield heapq.heappop(self._heap)

    def _finish(self, batch: Sequence[_Waiting], scores: Sequence[Scores]) -> None:
        with self._news:
            for waiting, score in zip(batch, scores, strict=True):
                del self._in_flight[waiting.key]
                self._known[waiting.key] = score
            while len(self._known) > KNOWN_PAIRS:
                self._known.popitem(last=False)
        for waiting, score in zip(batch, scores, strict=True):
            for future in waiting.results:
                if future.set_running_or_notify_cancel():
                    future.set_result(score)

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        with self._news:
            for waiting in batch:
                self._in_flight.pop(waiting.key, None)
        for waiting in batch:
            for future in waiting.results:
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)

    # ---- the network --------------------------------------------------------------------------

    def _scores(self, rows: Sequence[Row]) -> list[Scores]:
        import torch

        ids, attended, marks = self._tensors(rows)
        with torch.inference_mode():
            by_task = self._network(ids, attended, marks)
            scores = by_task.double().mean(-1).cpu().tolist()
        tokens = sum(len(row.ids) for row in rows)
        self.spent.computed += len(rows)
        self.spent.tokens += tokens
        self.spent.padded += ids.numel() - tokens
        return [(left, right) for left, right in scores]

    def _tensors(self, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        import torch

        width = self._padded(max(len(row.ids) for row in rows))
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        attended = torch.zeros_like(ids)
        for n, row in enumerate(rows):
            ids[n, : len(row.ids)] = torch.tensor(row.ids)
            attended[n, : len(row.ids)] = 1
        marks = torch.tensor([row.marks for row in rows])
        return ids.to(self._device), attended.to(self._device), marks.to(self._device)

    def _padded(self, length: int) -> int:
        return -(-length // self._pad_to) * self._pad_to


def _key(ids: Sequence[int]) -> bytes:
    return hashlib.blake2b(array("I", ids).tobytes(), digest_size=16).digest()
