"""The graph of nearest vectors: how far it looks, and that it looks as far once it was saved and loaded."""

from __future__ import annotations

import numpy as np
import pytest

from coterie.routers.graph import Graph, available, expansion


@pytest.mark.parametrize(("vectors", "looked_at"), [(0, 160), (100_000, 160), (300_000, 248), (1_000_000, 402)])
def test_it_looks_further_among_more(vectors: int, looked_at: int) -> None:
    assert expansion(vectors) == looked_at


@pytest.mark.skipif(not available(), reason="usearch is not installed")
def test_a_loaded_graph_finds_what_the_saved_one_found() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    graph = Graph(16)
    graph.add(rows[:200])
    graph.add(rows[200:])
    again = Graph.load(graph.dump(), 16)
    for found, nearest in zip(graph.search(rows[:20], 5), again.search(rows[:20], 5), strict=True):
        np.testing.assert_array_equal(found, nearest)
    places, _ = graph.search(rows[:20], 1)
    assert places.ravel().tolist() == list(range(20))
