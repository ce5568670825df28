"""An encoder's forward as nodes of a graph: BERT, and DeBERTa v2 and v3, up to the states that a ranker's head reads.

What depends on the weights alone is computed once, here: projected relative positions, the sum of places and
token types, the scale of the scores. The last layer goes on from the marked places only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from coterie.judges.pair_ranker.encoder_layout import ACTIVATIONS, Layout, Weights
from coterie.judges.pair_ranker.graph import Graph
from coterie.judges.pair_ranker.position_graph import LONGEST, Distances, PositionGraph, Projected
from coterie.types import Json

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIDDEN = -1e30
"""Added to the scores of padding."""


class EncoderGraph:
    """Writes an encoder into a graph whose inputs are `ids` and `attended`, [rows, length], and `marks`."""

    def __init__(self, graph: Graph, encoder: Mapping[str, Json], weights: Weights) -> None:
        self._layout = Layout.of(encoder)
        self._graph = graph
        self._weights = weights
        shape = graph.node("Shape", "ids")
        self._rows, self._length = (graph.node("Gather", shape, graph.integers(axis)) for axis in (0, 1))
        self._hidden = self._mask()
        self._positions: PositionGraph | None = None
        if encoder.get("relative_attention", False):
            self._positions = PositionGraph(graph, Distances.of(encoder), self._layout.heads, self._length)
            self._table = self._position_table(Distances.of(encoder), str(encoder.get("norm_rel_ebd", "none")))

    @property
    def longest(self) -> int:
        """How many tokens a row may have."""
        if not self._layout.place_embeddings:
            return LONGEST
        places = len(self._weights["embeddings.position_embeddings.weight"])
        return places if self._positions is None else min(places, LONGEST)

    def marked_states(self) -> str:
        """The last states at the marks, [rows, marks, width]."""
        graph, width = self._graph, self._layout.width
        states = self._embedded()
        last = self._layout.layers - 1
        for n in range(last):
            states = self._fed(n, self._everywhere(n, states), states)
        by_row = graph.node("Reshape", states, self._shape(self._rows, self._length, width))
        marks = graph.node("Unsqueeze", "marks", graph.integers(2))
        marked = graph.node("Reshape", graph.node("GatherND", by_row, marks, batch_dims=1), graph.integers(-1, width))
        states = self._fed(last, self._at_marks(last, states, marked), marked)
        return graph.node("Reshape", states, self._shape(self._rows, -1, width))

    # ---- before the first layer ---------------------------------------------------------------

    def _mask(self) -> str:
        """What padding adds to scores, [rows, 1, 1, length]."""
        graph = self._graph
        attended = graph.node("Cast", "attended", to=TensorProto.BOOL)
        hidden = graph.node("Where", attended, graph.number(0), graph.number(HIDDEN))
        return graph.node("Unsqueeze", hidden, graph.integers(1, 2))

    def _embedded(self) -> str:
        """States of all tokens, [tokens, width]."""
        graph, weights = self._graph, self._weights.below("embeddings")
        words = weights["word_embeddings.weight"]
        states = graph.rows_of(words, "ids")
        beside = self._beside_words(weights)
        if beside is not None:
            here = graph.node("Slice", graph.table(beside), graph.integers(0), self._length, graph.integers(0))
            states = graph.node("Add", states, here)
        states = graph.node("Reshape", states, graph.integers(-1, words.shape[1]))
        if self._layout.narrow_embeddings:
            states = graph.linear(states, weights["embed_proj.weight"], np.zeros(self._layout.width))
        return self._normed(states, weights.below("LayerNorm"))

    def _beside_words(self, weights: Weights) -> NDArray[np.float64] | None:
        """What is added to the word at each place: the place's own embedding, and that of the only token type."""
        places = weights.exact("position_embeddings.weight") if self._layout.place_embeddings else None
        kind = weights.exact("token_type_embeddings.weight")[:1] if self._layout.type_embeddings else None
        if places is None or kind is None:
            return places if kind is None else kind
        return places + kind

    def _position_table(self, distances: Distances, norm: str) -> NDArray[np.float64]:
        """Embeddings of relative positions, [positions, width]."""
        weights = self._weights.below("encoder")
        table = weights.exact("rel_embeddings.weight")[: 2 * distances.span]
        if "layer_norm" not in norm.lower():
            return table
        centred = table - table.mean(1, keepdims=True)
        spread = np.sqrt((centred**2).mean(1, keepdims=True) + self._layout.epsilon)
        normed: NDArray[np.float64] = centred / spread * weights["LayerNorm.weight"] + weights["LayerNorm.bias"]
        return normed

    # ---- a layer ------------------------------------------------------------------------------

    def _everywhere(self, n: int, states: str) -> str:
        """The attention's context at every token, [tokens, width]."""
        by_head = self._shape(self._rows, self._length, self._layout.heads, -1)
        query, key, value = (self._by_head(self._projected(n, part, states), by_head) for part in range(3))
        bias = self._positions.everywhere(query, key, self._projected_positions(n)) if self._positions else None
        return self._context(query, key, value, bias)

    def _at_marks(self, n: int, states: str, marked: str) -> str:
        """The attention's context at the marks alone, [rows * marks, width]."""
        graph, layout = self._graph, self._layout
        query, key, value = (self._projected(n, part, x) for part, x in enumerate((marked, states, states)))
        bias = None
        if self._positions:
            of_marks = graph.node("Reshape", query, self._shape(self._rows, -1, layout.width))
            of_row = graph.node("Reshape", key, self._shape(self._rows, self._length, layout.width))
            bias = self._positions.at_marks(of_marks, of_row, self._projected_positions(n))
        places = self._shape(self._rows, self._length, layout.heads, -1)
        marks = self._shape(self._rows, -1, layout.heads, layout.width // layout.heads)
        return self._context(
            self._by_head(query, marks), self._by_head(key, places), self._by_head(value, places), bias
        )

    def _context(self, query: str, key: str, value: str, bias: str | None) -> str:
        """[queries, width] of queries, keys and values by head, and what positions add to their scores."""
        graph = self._graph
        scores = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 1, 3, 2]))
        for added in (bias, self._hidden):
            if added is not None:
                scores = graph.node("Add", scores, added)
        mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
        together = graph.node("Transpose", mixed, perm=[0, 2, 1, 3])
        return graph.node("Reshape", together, graph.integers(-1, self._layout.width))

    def _fed(self, n: int, context: str, before: str) -> str:
        """What layer n makes of its attention's context: projected, added, normalised, and through the feed-forward."""
        graph, weights = self._graph, self._weights.below(f"encoder.layer.{n}")
        attended = graph.node("Add", graph.linear(context, *weights.linear("attention.output.dense")), before)
        attended = self._normed(attended, weights.below("attention.output.LayerNorm"))
        kind, attributes, least = ACTIVATIONS[self._layout.activation]
        wide = graph.node(kind, graph.linear(attended, *weights.linear("intermediate.dense")), **attributes)
        fed = graph.node("Add", graph.linear(wide, *weights.linear("output.dense"), least), attended)
        return self._normed(fed, weights.below("output.LayerNorm"))

    def _projected(self, n: int, part: int, states: str) -> str:
        """Queries (part 0, which carry the scale), keys or values of states, [tokens, width]."""
        scale = self._layout.scale if part == 0 else 1.0
        return self._graph.linear(states, *self._attention(n).linear(self._layout.projections[part], scale))

    def _projected_positions(self, n: int) -> Projected:
        """The positions' keys and queries in layer n."""
        layout, weights = self._layout, self._attention(n)
        names = ("query_proj", "key_proj") if layout.shared_projections else ("pos_query_proj", "pos_key_proj")
        keys = queries = None
        if "p2c" in layout.position_parts:
            weight, bias = weights.linear(names[0], layout.scale)
            queries = self._table @ weight.T + bias
        if "c2p" in layout.position_parts:
            weight, bias = weights.linear(names[1])
            keys = self._table @ weight.T + bias
        return Projected(keys, queries)

    # ---- what they share ----------------------------------------------------------------------

    def _attention(self, n: int) -> Weights:
        return self._weights.below(f"encoder.layer.{n}.attention.self")

    def _normed(self, states: str, weights: Weights) -> str:
        return self._graph.norm(states, weights["weight"], weights["bias"], self._layout.epsilon)

    def _by_head(self, states: str, shape: str) -> str:
        """[rows, heads, places, width of a head] of states [tokens, width]."""
        return self._graph.node("Transpose", self._graph.node("Reshape", states, shape), perm=[0, 2, 1, 3])

    def _shape(self, *parts: str | int) -> str:
        """A shape of which some dimensions are known only when the graph runs."""
        graph = self._graph
        return graph.node("Concat", *(p if isinstance(p, str) else graph.integers(p) for p in parts), axis=0)
