"""The stored prompts that are nearest to a query: few are scanned, many stand in a graph.

A prompt is known by its vector, so one that comes again is the one that is there. Vectors are rounded to float16 on
their way in, which is how they are saved, so that nothing changes when they come back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError, RouterError
from coterie.routers.graph import Graph, available
from coterie.routers.scan import Scan

SCANNED = 5_000
"""Up to so many vectors, all are looked at: a tenth to half of a millisecond for 384 numbers each."""
DIGEST_BYTES = 16
STEP = 4_096
"""Vectors added at once, so that many more take no more room on their way."""


@dataclass(frozen=True, eq=False)
class Found:
    """The nearest of each query, best first. Rows end with -1 and -inf where there were fewer."""

    places: NDArray[np.int64]
    """(queries, count)."""
    cosines: NDArray[np.float32]
    """(queries, count), in [-1, 1]."""


class Neighbours:
    """Distinct unit vectors, numbered from 0 in the order in which they came.

    Up to `scanned` a search looks at all of them. Of those beyond, each that comes moves the two oldest into a graph,
    so that no addition waits for many to be moved, and when there are twice as many the graph holds them all. What
    stands where follows from their number alone. Without the library for graphs all are scanned, however many. Any
    thread may use it.
    """

    def __init__(self, dimensions: int, scanned: int = SCANNED) -> None:
        self._dimensions = dimensions
        self._scanned = scanned
        self._graphs = available()
        self._lock = Lock()
        self._places: dict[bytes, int] = {}
        self._graph: Graph | None = None
        self._scan = Scan(dimensions)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return self._dimensions

    @property
    def note(self) -> str:
        """What a reader should know of how the search is done; empty where all is well."""
        if len(self) <= self._scanned or self._graphs:
            return ""
        return f"all {len(self)} are scanned, since usearch is not installed: pip install 'coterie[routers]'"

    def add(self, vectors: NDArray[np.floating]) -> NDArray[np.int64]:
        """Afterwards each stands there once; their places, -1 for a vector of zeros, which is near to nothing.

        Raises `RouterError` for vectors of another length, or ones that hold what is no number.
        """
        rows = self._checked(vectors)
        places = np.full(len(rows), -1, dtype=np.int64)
        with self._lock:
            for begin in range(0, len(rows), STEP):
                places[begin : begin + STEP] = self._added(rows[begin : begin + STEP].astype(np.float16))
        return places

    def search(self, queries: NDArray[np.floating], count: int) -> Found:
        """The `count` nearest of each query by cosine, fewer where there are not so many; none of a query of zeros.

        Exact, but for what a graph holds: `docs/benchmarks/routers.md` has how many of the nearest it finds. Raises
        `RouterError` as `add` does.
        """
        rows = self._checked(queries)
        with self._lock:
            found = self._found(rows, min(count, len(self)))
        blank = ~rows.any(axis=1)
        if blank.any():
            found.places[blank], found.cosines[blank] = -1, -np.inf
        return found

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """All of it, to be saved."""
        kept: dict[str, NDArray[np.generic]] = {
            "prompt_digests": np.frombuffer(b"".join(self._places), dtype=np.uint8).reshape(-1, DIGEST_BYTES),
            "prompt_vectors": self._scan.vectors.astype(np.float16),
        }
        if self._graph is not None:
            kept["prompt_graph"] = self._graph.dump()
        return kept

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[np.generic]], scanned: int = SCANNED) -> Neighbours:
        """What `arrays` gave. Raises `ConfigError` for anything else, `MissingExtra` for a graph without usearch."""
        digests, vectors = arrays.get("prompt_digests"), arrays.get("prompt_vectors")
        if digests is None or vectors is None or vectors.ndim != 2:
            raise ConfigError("the prompts that a router goes by are missing from its arrays")
        kept = cls(vectors.shape[1], scanned)
        kept._places = {row.tobytes(): place for place, row in enumerate(digests)}
        kept._scan.add(vectors.astype(np.float32))
        if "prompt_graph" in arrays:
            kept._graph = Graph.load(arrays["prompt_graph"].astype(np.uint8, copy=False), vectors.shape[1])
        if len(kept) != len(kept._scan) + kept._in_graph:
            raise ConfigError(f"a router goes by {len(kept)} prompts, and {len(kept._scan) + kept._in_graph} were kept")
        kept._move()
        return kept

    @property
    def _in_graph(self) -> int:
        return 0 if self._graph is None else len(self._graph)

    def _added(self, rounded: NDArray[np.float16]) -> NDArray[np.int64]:
        places = np.full(len(rounded), -1, dtype=np.int64)
        fresh = []
        for row in np.flatnonzero(rounded.any(axis=1)):
            digest = hashlib.blake2b(rounded[row].tobytes(), digest_size=DIGEST_BYTES).digest()
            if digest not in self._places:
                self._places[digest] = len(self._places)
                fresh.append(row)
            places[row] = self._places[digest]
        self._scan.add(rounded[fresh].astype(np.float32))
        self._move()
        return places

    def _found(self, rows: NDArray[np.float32], count: int) -> Found:
        if not count:
            return Found(*_nothing(len(rows)))
        parts = []
        if self._graph is not None:
            parts.append(self._graph.search(rows, min(count, len(self._graph))))
        if len(self._scan):
            places, cosines = self._scan.search(rows, min(count, len(self._scan)))
            parts.append((places + self._in_graph, cosines))
        return _merged(parts, count)

    def _move(self) -> None:
        """Afterwards so many of the oldest stand in the graph as their number asks for."""
        due = min(len(self), 2 * (len(self) - self._scanned)) - self._in_graph
        if due <= 0 or not self._graphs:
            return
        if self._graph is None:
            self._graph = Graph(self._dimensions)
        self._graph.add(self._scan.vectors[:due])
        self._scan.drop(due)

    def _checked(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        if vectors.ndim != 2 or vectors.shape[1] != self._dimensions:
            wanted = f"vectors of {self._dimensions} numbers are stored"
            raise RouterError(f"{wanted}, and some of shape {vectors.shape!r} were given: is it another encoder?")
        if not np.isfinite(vectors).all():
            raise RouterError("a vector holds what is no number")
        return np.ascontiguousarray(vectors, dtype=np.float32)


Part = tuple[NDArray[np.int64], NDArray[np.float32]]


def _merged(parts: list[Part], count: int) -> Found:
    """The best of all parts, equally near ones in the order in which they came."""
    if len(parts) == 1 and parts[0][0].shape[1] == count:
        return Found(*parts[0])
    places = np.concatenate([part[0] for part in parts], axis=1)
    cosines = np.concatenate([part[1] for part in parts], axis=1)
    best = np.lexsort((places, -cosines), axis=1)[:, :count]
    return Found(np.take_along_axis(places, best, axis=1), np.take_along_axis(cosines, best, axis=1))


def _nothing(queries: int) -> Part:
    return np.zeros((queries, 0), dtype=np.int64), np.zeros((queries, 0), dtype=np.float32)
