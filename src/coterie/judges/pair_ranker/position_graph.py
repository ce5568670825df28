"""DeBERTa's relative positions as nodes of a graph: what a score owes to how far apart two tokens are.

Disentangled attention: 2006.03654, section 3.1. A score is q_i k_j + q_i pk_t + k_j pq_t, with t the bucket of the
distance i - j. With the projected positions laid out by distance instead of by bucket, q_i pk for all i and j
is one product whose i-th row has to be read from another column on: a table that is one column too narrow
reads it so, without any gathering.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coterie.judges.pair_ranker.graph import Graph
from coterie.types import Json

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 8192
"""Tokens of a row whose distances are stored; no published ranker reads more than 2048."""


@dataclass(frozen=True)
class Distances:
    """Which distances between two tokens an encoder tells apart, and which of them lie in one bucket."""

    buckets: int
    """On either side; 0 where every distance has its own."""
    furthest: int
    """From here on distances are alike."""

    @classmethod
    def of(cls, encoder: Mapping[str, Json]) -> Distances:
        """As an encoder's configuration says."""
        config: Mapping[str, Any] = encoder
        said = config.get("max_relative_positions", -1)
        furthest = said if said >= 1 else config.get("max_position_embeddings", 512)
        return cls(max(0, config.get("position_buckets", -1)), furthest)

    @property
    def span(self) -> int:
        """Rows of the table of positions on either side of distance 0."""
        return self.buckets or self.furthest

    def rows(self, longest: int) -> NDArray[np.int64]:
        """The row in the table of positions of each distance from -longest to longest.

        Near distances have a row each; further ones share rows by their logarithm.
        """
        distances = np.arange(-longest, longest + 1)
        rows = self._bucketed(distances) if self.buckets else distances
        return np.clip(rows + self.span, 0, 2 * self.span - 1)

    def _bucketed(self, distances: NDArray[np.int64]) -> NDArray[np.int64]:
        middle = self.buckets // 2
        beyond = np.maximum(np.abs(distances), middle) / middle
        share = np.log(beyond) / np.log((self.furthest - 1) / middle)
        far = np.ceil(share * (middle - 1)).astype(np.int64) + middle
        return np.where(np.abs(distances) <= middle, distances, far * np.sign(distances))


@dataclass(frozen=True)
class Projected:
    """A layer's table of positions as its keys and queries, [rows, width]; ``None`` for one that has no part in it.

    Queries carry the scale of the scores, as the layer's own queries do.
    """

    keys: NDArray[np.float64] | None
    queries: NDArray[np.float64] | None


class PositionGraph:
    """Writes the part of positions in the scores of a layer, for rows of `length` tokens."""

    def __init__(self, graph: Graph, distances: Distances, heads: int, length: str) -> None:
        self._graph = graph
        self._heads = heads
        self._length = length
        one = graph.integers(1)
        self._before = graph.node("Sub", length, one)
        self._narrow = graph.node("Sub", graph.node("Add", length, length), one)
        self._end = graph.node("Add", self._before, graph.node("Mul", length, self._narrow))
        self._rows = graph.constant(distances.rows(LONGEST + 1).astype(np.int32))
        self._upward = self._slice(("Sub", LONGEST + 2), ("Add", LONGEST + 2), 1)
        self._downward = self._slice(("Add", LONGEST), ("Sub", LONGEST), -1)
        self._of_marks = self._rows_of_marks()

    def everywhere(self, query: str, key: str, projected: Projected) -> str | None:
        """[rows, heads, length, length] of queries and keys [rows, heads, length, width of a head]."""
        graph = self._graph
        parts = []
        if projected.keys is not None:
            parts.append(self._read(query, projected.keys, self._downward))
        if projected.queries is not None:
            parts.append(graph.node("Transpose", self._read(key, projected.queries, self._upward), perm=[0, 1, 3, 2]))
        return self._sum(parts)

    def at_marks(self, query: str, key: str, projected: Projected) -> str | None:
        """[rows, heads, marks, length] of queries [rows, marks, width] and keys [rows, length, width]."""
        graph = self._graph
        sides = ((query, 2, projected.keys), (key, 1, projected.queries))
        parts = [
            graph.node(
                "Mul",
                graph.node("Unsqueeze", states, graph.integers(axis)),
                graph.node("Gather", graph.table(table), self._of_marks),
            )
            for states, axis, table in sides
            if table is not None
        ]
        products = self._sum(parts)
        if products is None:
            return None
        by_head = graph.node("Reshape", products, graph.integers(0, 0, 0, self._heads, -1))
        return graph.node(
            "Transpose", graph.node("ReduceSum", by_head, graph.integers(4), keepdims=0), perm=[0, 3, 1, 2]
        )

    def _read(self, states: str, table: NDArray[np.float64], order: str) -> str:
        """states_i times the position at the distance between i and j, for all j: [rows, heads, length, length].

        The product has 2 length columns, of which row i wants those from length - 1 - i on. With length - 1
        numbers dropped in front, and rows one number shorter, every row begins where it should.
        """
        graph = self._graph
        by_head = graph.integers(0, self._heads, -1)
        laid_out = graph.node("Reshape", graph.node("Gather", graph.table(table), order), by_head)
        product = graph.node("MatMul", states, graph.node("Transpose", laid_out, perm=[1, 2, 0]))
        flat = graph.node("Reshape", product, graph.integers(0, 0, -1))
        shifted = graph.node("Slice", flat, self._before, self._end, graph.integers(2))
        shape = graph.node("Concat", graph.integers(0, 0), self._length, self._narrow, axis=0)
        narrow = graph.node("Reshape", shifted, shape)
        return graph.node("Slice", narrow, graph.integers(0), self._length, graph.integers(3))

    def _slice(self, begin: tuple[str, int], end: tuple[str, int], step: int) -> str:
        """The rows of 2 length distances one after another; begin and end lie so far from length."""
        graph = self._graph
        ends = [graph.node(kind, graph.integers(number), self._length) for kind, number in (begin, end)]
        return graph.node("Slice", self._rows, *ends, graph.integers(0), graph.integers(step))

    def _rows_of_marks(self) -> str:
        """The row of the distance from each mark to each place, [rows, marks, length]."""
        graph = self._graph
        first, step = (graph.constant(np.array(number, dtype=np.int64)) for number in (0, 1))
        places = graph.node("Range", first, graph.node("Squeeze", self._length), step)
        distances = graph.node("Sub", graph.node("Unsqueeze", "marks", graph.integers(2)), places)
        return graph.node("Gather", self._rows, graph.node("Add", distances, graph.integers(LONGEST + 1)))

    def _sum(self, parts: list[str]) -> str | None:
        if len(parts) < 2:
            return parts[0] if parts else None
        return self._graph.node("Add", *parts)
