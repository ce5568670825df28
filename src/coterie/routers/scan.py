"""Nearest vectors by looking at all of them: exact, and the quickest way while they are few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 64 << 20
"""Of similarities, computed at once."""
ROUNDING = 1e-5
"""More than two ways to add up can differ by in a cosine."""


class Scan:
    """Vectors by place, which may leave again in the order in which they came."""

    def __init__(self, dimensions: int) -> None:
        self._rows = np.zeros((0, dimensions), dtype=np.float32)
        self._begin = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(vectors, dimensions), oldest first; good until the next change."""
        return self._rows[self._begin : self._end]

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Afterwards they stand behind the others. One costs as long for many as for few, but for a rare move."""
        if self._end + len(vectors) > len(self._rows):
            kept = self.vectors
            room = np.zeros((2 * (len(kept) + len(vectors)), self._rows.shape[1]), dtype=np.float32)
            room[: len(kept)] = kept
            self._rows, self._begin, self._end = room, 0, len(kept)
        self._rows[self._end : self._end + len(vectors)] = vectors
        self._end += len(vectors)

    def drop(self, count: int) -> None:
        """Afterwards the oldest `count` are gone; places begin with the first that is left."""
        self._begin += count

    def search(self, queries: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places and cosines of the `count` nearest of each query, (queries, count), best first, ties in order.

        The same for a query whatever stands beside it: a product of matrices finds candidates, whose cosines are then
        computed one query at a time. `count` is at most the number of vectors.
        """
        vectors = self.vectors
        places = np.zeros((len(queries), count), dtype=np.int64)
        cosines = np.zeros((len(queries), count), dtype=np.float32)
        block = max(1, BLOCK_BYTES // (4 * max(1, len(vectors))))
        for start in range(0, len(queries) if count else 0, block):
            rough = queries[start : start + block] @ vectors.T
            for row, near in enumerate(rough, start):
                least = np.partition(near, -count)[-count] - ROUNDING
                found = np.flatnonzero(near >= least)
                again = np.einsum("kd,d->k", vectors[found], queries[row])
                best = np.lexsort((found, -again))[:count]
                places[row], cosines[row] = found[best], again[best]
        return places, cosines
