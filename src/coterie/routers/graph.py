"""Nearest vectors by a graph (HNSW, 1603.09320): nearly always those that a scan finds, and as quick for a million."""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError, MissingExtra

CONNECTIVITY = 16
"""Neighbours that a vector is connected with (M); twice as many at the lowest level."""
EXPANSION_ADD = 128
"""Candidates looked at when a vector is added (ef_construction)."""
EXPANSION_SEARCH = 160
"""Candidates looked at by a search (ef) among up to `FEW` vectors: more find more of the nearest, and take longer."""
FEW = 100_000
GROWTH = 0.4
"""Beyond, they grow with this power of the vectors. So many find 98 of 100 nearest among a million too, where 160 found
97 (measured with MiniLM's vectors: `benchmarks/routers.py`)."""


def expansion(vectors: int) -> int:
    """Candidates that a search among so many vectors looks at."""
    return round(EXPANSION_SEARCH * math.pow(max(1.0, vectors / FEW), GROWTH))


def available() -> bool:
    """True where the library that holds the graph is installed."""
    return find_spec("usearch") is not None


def _index_class() -> Any:
    """The library's index. Raises `MissingExtra`.

    Its binary brings a C++ runtime of its own, on which ONNX Runtime crashes when it is loaded after it (seen with
    usearch 2.26.6 and onnxruntime 1.31.1 on Linux); so ONNX Runtime, where there is one, is loaded before.
    """
    if "usearch" not in sys.modules:  # where a program has loaded it by itself, it is too late
        with suppress(ImportError):
            import onnxruntime  # noqa: F401
    try:
        from usearch.index import Index
    except ImportError as error:
        raise MissingExtra("an index of many vectors", "routers", error.name or "usearch") from error
    return Index


class Graph:
    """Vectors by place, kept as bfloat16 in usearch. One thread may use it at a time.

    The same vectors in the same order make the same graph, however many come at once. One that was saved and loaded
    finds the same, but grows otherwise than the one that was saved. Raises `MissingExtra`.
    """

    def __init__(self, dimensions: int) -> None:
        self._index: Any = _index_class()(
            ndim=dimensions,
            metric="ip",
            dtype="bf16",
            connectivity=CONNECTIVITY,
            expansion_add=EXPANSION_ADD,
            expansion_search=EXPANSION_SEARCH,
        )

    def __len__(self) -> int:
        return len(self._index)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Afterwards they stand behind the others. On one thread, so that the graph is told by the order alone."""
        begin = len(self._index)
        self._index.add(np.arange(begin, begin + len(vectors), dtype=np.uint64), vectors, threads=1)
        self._index.expansion_search = expansion(len(self._index))

    def search(self, queries: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places and cosines of about the `count` nearest of each query, (queries, count), best first.

        Where fewer are found, the row ends with places of -1 and cosines of -inf.
        """
        places = np.full((len(queries), count), -1, dtype=np.int64)
        cosines = np.full((len(queries), count), -np.inf, dtype=np.float32)
        found = self._index.search(queries, count, threads=1)
        for row, near in enumerate([found] if len(queries) == 1 else found):
            places[row, : len(near)] = near.keys
            cosines[row, : len(near)] = 1.0 - near.distances
        return places, cosines

    def dump(self) -> NDArray[np.uint8]:
        """All of it, vectors included."""
        return np.frombuffer(self._index.save(), dtype=np.uint8)

    @classmethod
    def load(cls, kept: NDArray[np.uint8], dimensions: int) -> Graph:
        """The graph that was dumped. Raises `ConfigError` for bytes that are none, or one of other vectors."""
        graph = cls(dimensions)
        try:
            graph._index.load(kept.data)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"the index of nearest vectors cannot be read: {error}") from error
        if graph._index.ndim != dimensions:
            raise ConfigError(f"the index holds vectors of {graph._index.ndim} numbers, and {dimensions} were due")
        graph._index.expansion_add = EXPANSION_ADD
        graph._index.expansion_search = expansion(len(graph._index))
        return graph
