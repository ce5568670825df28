"""The nearest prompts: what a scan finds is exact, what the graph finds nearly always, and nothing depends on luck."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie.errors import ConfigError, MissingExtra, RouterError
from coterie.routers.neighbours import Found, Neighbours

Rows = NDArray[np.float32]
DIMENSIONS = 24
ALL = 1_000_000


def unit(rows: Rows) -> Rows:
    made: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return made


def clusters(n: int, seed: int = 0, centres: int = 12) -> Rows:
    """Vectors that lie in heaps, as those of texts do."""
    rng = np.random.default_rng(seed)
    middle = np.random.default_rng(99).standard_normal((centres, DIMENSIONS))
    return unit((middle[rng.integers(centres, size=n)] + 0.7 * rng.standard_normal((n, DIMENSIONS))).astype(np.float32))


STORED, QUERIES = clusters(500), clusters(40, seed=1)


def filled(vectors: Rows = STORED, scanned: int = ALL) -> Neighbours:
    made = Neighbours(DIMENSIONS, scanned)
    made.add(vectors)
    return made


def recall(found: Found, vectors: Rows, queries: Rows) -> float:
    """The share of the nearest by brute force that was found."""
    count = found.places.shape[1]
    nearest = np.argsort(-(queries @ vectors.T), axis=1)[:, :count]
    return float(np.mean([len(set(a) & set(b)) / count for a, b in zip(found.places, nearest, strict=True)]))


def same(a: Found, b: Found) -> bool:
    return np.array_equal(a.places, b.places) and np.array_equal(a.cosines, b.cosines)


def test_a_scan_finds_the_nearest_best_first() -> None:
    found = filled().search(QUERIES, 7)
    cosines = QUERIES @ STORED.T
    assert np.array_equal(found.places, np.argsort(-cosines, axis=1)[:, :7])
    np.testing.assert_allclose(found.cosines, np.sort(cosines, axis=1)[:, ::-1][:, :7], atol=1e-6)


@pytest.mark.parametrize("scanned", [ALL, 200, 300])
def test_a_query_finds_the_same_whatever_is_asked_beside_it(scanned: int) -> None:
    stored = filled(scanned=scanned)
    together = stored.search(QUERIES, 10)
    for n in range(len(QUERIES)):
        alone = stored.search(QUERIES[n : n + 1], 10)
        assert np.array_equal(alone.places[0], together.places[n])
        assert np.array_equal(alone.cosines[0], together.cosines[n])


def test_equally_near_ones_come_in_their_order() -> None:
    axes = np.eye(DIMENSIONS, dtype=np.float32)
    query = unit(np.ones((1, DIMENSIONS), dtype=np.float32))
    assert filled(axes).search(query, 5).places.tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("scanned", [200, 300], ids=["all in the graph", "some in both"])
def test_a_graph_finds_nearly_all_of_them(scanned: int) -> None:
    assert recall(filled(scanned=scanned).search(QUERIES, 10), STORED, QUERIES) >= 0.98


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 160), st.lists(st.integers(0, 160), max_size=4))
def test_what_stands_where_follows_from_the_number_alone(n: int, cuts: list[int]) -> None:
    at_once, by_parts = filled(STORED[:n], 50), Neighbours(DIMENSIONS, 50)
    ends = [0, *sorted(min(cut, n) for cut in cuts), n]
    for begin, end in pairwise(ends):
        by_parts.add(STORED[begin:end])
    assert len(at_once) == len(by_parts) == n
    assert same(at_once.search(QUERIES, 5), by_parts.search(QUERIES, 5))
    assert at_once.search(QUERIES, 5).places.shape == (len(QUERIES), min(5, n))
    if n >= 5:
        assert recall(at_once.search(QUERIES, 5), STORED[:n], QUERIES) > 0.95


def test_one_at_a_time_is_as_all_at_once() -> None:
    one_by_one = Neighbours(DIMENSIONS, 100)
    places = [one_by_one.add(STORED[n : n + 1])[0] for n in range(300)]
    assert places == list(range(300))
    assert same(one_by_one.search(QUERIES, 10), filled(STORED[:300], 100).search(QUERIES, 10))


def test_a_prompt_that_comes_again_is_the_one_that_is_there() -> None:
    stored = Neighbours(DIMENSIONS, 20)
    assert stored.add(STORED[[0, 1, 0]]).tolist() == [0, 1, 0]
    stored.add(STORED[:100])
    assert stored.add(STORED[[99, 3]]).tolist() == [99, 3]
    assert len(stored) == 100
    assert stored.search(STORED[3:4], 1).places.tolist() == [[3]]


def test_zeros_are_near_to_nothing() -> None:
    stored, nothing = filled(), np.zeros((1, DIMENSIONS), dtype=np.float32)
    assert stored.add(nothing).tolist() == [-1]
    assert len(stored) == len(STORED)
    found = stored.search(np.concatenate([nothing, QUERIES[:1]]), 3)
    assert found.places[0].tolist() == [-1, -1, -1]
    assert (found.places[1] >= 0).all()


@pytest.mark.parametrize("scanned", [ALL, 1])
def test_fewer_than_were_asked_for(scanned: int) -> None:
    assert filled(STORED[:3], scanned).search(QUERIES, 20).places.shape == (len(QUERIES), 3)
    assert filled(STORED[:3], scanned).search(QUERIES, 0).places.shape == (len(QUERIES), 0)
    assert Neighbours(DIMENSIONS, scanned).search(QUERIES, 20).places.shape == (len(QUERIES), 0)
    assert filled(STORED[:3], scanned).search(QUERIES[:0], 20).places.shape == (0, 3)


def kept(stored: Neighbours, folder: Path) -> Mapping[str, NDArray[np.generic]]:
    """What comes back from a file."""
    np.savez(folder / "arrays.npz", **stored.arrays())  # type: ignore[arg-type]
    with np.load(folder / "arrays.npz", allow_pickle=False) as content:
        return dict(content)


@pytest.mark.parametrize("scanned", [ALL, 200, 300])
def test_it_comes_back_as_it_was(scanned: int, tmp_path: Path) -> None:
    stored = filled(scanned=scanned)
    arrays = kept(stored, tmp_path)
    back, again = (Neighbours.load(arrays, scanned) for _ in range(2))
    assert same(back.search(QUERIES, 10), stored.search(QUERIES, 10))
    for one in (back, again):
        assert one.add(clusters(50, seed=2)).tolist() == list(range(500, 550))
        assert one.add(STORED[7:8]).tolist() == [7]
    assert same(back.search(QUERIES, 10), again.search(QUERIES, 10))


def test_what_was_not_kept_so_is_refused(tmp_path: Path) -> None:
    arrays = kept(filled(scanned=200), tmp_path)
    with pytest.raises(ConfigError, match="missing"):
        Neighbours.load({})
    with pytest.raises(ConfigError, match="500 prompts, and 0 were kept"):
        Neighbours.load({name: array for name, array in arrays.items() if name != "prompt_graph"})
    with pytest.raises(ConfigError, match="cannot be read"):
        Neighbours.load({**arrays, "prompt_graph": arrays["prompt_graph"][:1000]})
    other = np.zeros((0, DIMENSIONS + 1), dtype=np.float16)
    with pytest.raises(ConfigError, match=f"vectors of {DIMENSIONS} numbers, and {DIMENSIONS + 1} were due"):
        Neighbours.load({**arrays, "prompt_vectors": other})


def test_vectors_of_another_encoder_are_refused() -> None:
    stored = filled()
    for rows in (QUERIES[:, :5], QUERIES[0]):
        with pytest.raises(RouterError, match="another encoder"):
            stored.search(rows, 3)
        with pytest.raises(RouterError, match="another encoder"):
            stored.add(rows)
    with pytest.raises(RouterError, match="no number"):
        stored.add(np.full((1, DIMENSIONS), np.nan, dtype=np.float32))
    assert len(stored) == len(STORED)


def test_without_the_library_all_are_scanned_and_a_note_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_graph = kept(filled(scanned=200), tmp_path)
    assert filled(scanned=200).note == ""
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    stored = filled(scanned=200)
    assert same(stored.search(QUERIES, 10), filled().search(QUERIES, 10))
    assert stored.note == "all 500 are scanned, since usearch is not installed: pip install 'coterie[routers]'"
    assert filled(STORED[:200], 200).note == ""
    with pytest.raises(MissingExtra, match=r"coterie\[routers\]"):
        Neighbours.load(with_graph, 200)
    scanned = kept(stored, tmp_path)
    monkeypatch.undo()
    assert recall(Neighbours.load(scanned, 200).search(QUERIES, 10), STORED, QUERIES) >= 0.98


def test_threads_may_search_while_another_adds() -> None:
    stored = filled(STORED[:300], 50)
    wrong: list[int] = []

    def search() -> None:
        wrong.extend(n for n in range(200) if stored.search(STORED[n : n + 1], 1).places.tolist() != [[n]])

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(300, 500):
        stored.add(STORED[n : n + 1])
    for thread in threads:
        thread.join()
    assert wrong == []
