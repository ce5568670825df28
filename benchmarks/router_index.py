"""What nearest neighbours cost a router: the index, Eagle and k nearest neighbours, by the number of stored prompts.

    python benchmarks/router_index.py --data FILE.jsonl.gz ... [--vectors FILE.npy ...] [--sizes 1000 100000 1000000]

The vectors are real ones: prompts of outcome files, encoded with MiniLM, and any that `--vectors` adds. Where there
are not enough, more are made of them (`grown`). Queries are real vectors that are not stored. Everything runs on one
thread, function by function: no encoder, no event loop and no store is in these times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coterie.encoders import vectors_of
from coterie.encoders.minilm import MiniLM
from coterie.outcomes.reading import read
from coterie.routers.eagle import EagleRouter
from coterie.routers.eagle_rules import EagleRules
from coterie.routers.forecast import Queries
from coterie.routers.knn import KnnRouter
from coterie.routers.knn_rules import KnnRules
from coterie.routers.neighbours import Neighbours
from coterie.routers.stored_scores import StoredScores
from figures import progress
from machine import setting

Rows = NDArray[np.float32]
SIZES = (1_000, 100_000, 1_000_000)
COUNT = 20
QUERIES = 500
ADDED = 500
"""Prompts that are added one at a time, in the place of feedback."""
MEMBERS = tuple(f"m{n}" for n in range(11))
PACKAGES = ("coterie", "numpy", "usearch", "numkong")
STEP = 50_000


@dataclass(frozen=True)
class Times:
    """How long something took, one call after the other."""

    ms: tuple[float, ...]

    @classmethod
    def of(cls, calls: Iterator[Callable[[], object]]) -> Times:
        """Of each call in turn."""
        taken = []
        for call in calls:
            began = time.perf_counter()
            call()
            taken.append(1e3 * (time.perf_counter() - began))
        return cls(tuple(taken))

    def __str__(self) -> str:
        middle, late = np.percentile(self.ms, [50, 99])
        return f"{middle:.2f} / {late:.2f}"


@dataclass(frozen=True)
class Measured:
    """One size of an index."""

    size: int
    built_s: float
    recall: float
    """Share of the 20 nearest, by an exact scan of the vectors before any rounding, that a search finds."""
    search: Times
    add: Times
    eagle: Times
    eagle_pairs: Times
    """As many battles, of all pairs of 11 members over each prompt."""
    eagle_feedback: Times
    knn: Times


# ---- vectors --------------------------------------------------------------------------------------


def real(data: Sequence[str], files: Sequence[Path]) -> Rows:
    """Distinct vectors in an order of no meaning."""
    found = [np.load(file).astype(np.float32) for file in files]
    if data:
        told = read(data).lessons.outcomes
        assert told is not None
        found.append(vectors_of(MiniLM(), told.prompts, None, lambda *how_far: progress(f"{how_far}")))
    rows = np.unique(np.concatenate(found), axis=0)
    rows = rows[rows.any(axis=1)]
    return np.random.default_rng(0).permutation(rows)


def grown(base: Rows, size: int, near: int = 16, noise: float = 0.7) -> NDArray[np.float16]:
    """`size` vectors: those of `base`, and points between one of them and one of its `near` nearest.

    To each such point comes `noise` times the difference of two other neighbours, so that it leaves the line between
    the two in the directions in which real neighbours lie apart. With 0.7, seven times as many vectors as there are
    real ones lie as close together as so many real ones do, and real queries find their nearest harder to tell apart.
    """
    made = np.empty((size, base.shape[1]), dtype=np.float16)
    kept = min(size, len(base))
    made[:kept] = base[:kept]
    if kept == size:
        return made
    rng, next_to = np.random.default_rng(1), _next_to(base, near)
    for begin in range(kept, size, STEP):
        n = min(STEP, size - begin)
        a, c = rng.integers(len(base), size=(2, n))
        b, d = (next_to[one, rng.integers(near, size=n)] for one in (a, c))
        share = rng.uniform(0.3, 0.8, size=(n, 1)).astype(np.float32)
        rows = share * base[a] + (1 - share) * base[b] + noise * (base[c] - base[d])
        made[begin : begin + n] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


def _next_to(base: Rows, near: int) -> NDArray[np.int64]:
    """For each vector the places of those nearest to it, without itself."""
    prompts = Neighbours(base.shape[1])
    prompts.add(base)
    return prompts.search(base, near + 1).places[:, 1:]


def _nearest(stored: NDArray[np.floating], queries: Rows, count: int) -> NDArray[np.int64]:
    """By an exact scan, best first."""
    places, best = np.zeros((2, len(queries), 0))
    for begin in range(0, len(stored), STEP):
        part = stored[begin : begin + STEP].astype(np.float32)
        found, cosines = [], []
        for row in range(0, len(queries), 500):
            near = queries[row : row + 500] @ part.T
            top = np.argpartition(near, -min(count, len(part)), axis=1)[:, -count:]
            found.append(top + begin)
            cosines.append(np.take_along_axis(near, top, axis=1))
        places = np.concatenate([places, np.concatenate(found)], axis=1)
        best = np.concatenate([best, np.concatenate(cosines)], axis=1)
        order = np.argsort(-best, axis=1)[:, :count]
        places, best = (np.take_along_axis(one, order, axis=1) for one in (places, best))
    return places.astype(np.int64)


# ---- measuring ------------------------------------------------------------------------------------


def measure(vectors: NDArray[np.float16], queries: Rows) -> Measured:
    """One size: the vectors but the last `ADDED` are stored, and those are added one at a time."""
    rng, stored = np.random.default_rng(2), len(vectors) - ADDED
    prompts = Neighbours(vectors.shape[1])
    began = time.perf_counter()
    for begin in range(0, stored, STEP):
        prompts.add(vectors[begin : min(stored, begin + STEP)].astype(np.float32))
        progress(f"{len(prompts)} of {stored} stored")
    built_s = time.perf_counter() - began
    router = EagleRouter(EagleRules(), prompts, MEMBERS)
    _teach(router, vectors[:stored], rng)
    fresh = iter(vectors[stored:].astype(np.float32))
    feedback = Times.of(_feedback(router, row, rng) for row in (next(fresh) for _ in range(ADDED // 2)))
    add = Times.of(_add(prompts, row) for row in fresh)
    scores = StoredScores.of(rng.random((len(prompts), len(MEMBERS))), np.arange(len(prompts)), len(prompts))
    knn = KnnRouter(MEMBERS, KnnRules(), prompts, scores, np.zeros(len(MEMBERS)))
    found = prompts.search(queries, COUNT).places
    nearest = _nearest(_distinct(vectors), queries, COUNT)
    return Measured(
        len(vectors),
        built_s,
        float(np.mean([len(set(a) & set(b)) / COUNT for a, b in zip(found.tolist(), nearest.tolist(), strict=True)])),
        Times.of(_search(prompts, query) for query in queries),
        add,
        Times.of(_forecast(router, query) for query in queries),
        _of_pairs(vectors, queries, rng),
        feedback,
        Times.of(_forecast(knn, query) for query in queries),
    )


def _of_pairs(vectors: NDArray[np.float16], queries: Rows, rng: np.random.Generator) -> Times:
    """Eagle's decisions where the battles are all pairs of members over fewer prompts."""
    pairs = [(a, b) for a in range(len(MEMBERS)) for b in range(a)]
    n = max(1, len(vectors) // len(pairs))
    router = EagleRouter(EagleRules(), Neighbours(vectors.shape[1]), MEMBERS)
    results = rng.choice([0.0, 0.5, 1.0], size=(n, len(pairs))).tolist()
    battles = [[(a, b, result) for (a, b), result in zip(pairs, row, strict=True)] for row in results]
    router.learn(vectors[:n].astype(np.float32), battles)
    return Times.of(_forecast(router, query) for query in queries)


def _teach(router: EagleRouter, vectors: NDArray[np.float16], rng: np.random.Generator) -> None:
    """Afterwards it has learned of one battle over each prompt."""
    for begin in range(0, len(vectors), STEP):
        rows = vectors[begin : begin + STEP].astype(np.float32)
        first = rng.integers(len(MEMBERS), size=len(rows))
        second = (first + rng.integers(1, len(MEMBERS), size=len(rows))) % len(MEMBERS)
        results = rng.choice([0.0, 0.5, 1.0], size=len(rows)).tolist()
        router.learn(rows, [[battle] for battle in zip(first.tolist(), second.tolist(), results, strict=True)])


def _distinct(vectors: NDArray[np.float16]) -> NDArray[np.float16]:
    """Without those that stood there before."""
    _, places = np.unique(vectors, axis=0, return_index=True)
    return vectors if len(places) == len(vectors) else vectors[np.sort(places)]


def _search(prompts: Neighbours, query: Rows) -> Callable[[], object]:
    return lambda: prompts.search(query[None], COUNT)


def _add(prompts: Neighbours, row: Rows) -> Callable[[], object]:
    return lambda: prompts.add(row[None])


def _forecast(router: EagleRouter | KnnRouter, query: Rows) -> Callable[[], object]:
    asked = Queries(("?",), query[None])
    return lambda: router.forecast(asked)


def _feedback(router: EagleRouter, row: Rows, rng: np.random.Generator) -> Callable[[], object]:
    first, second = rng.choice(len(MEMBERS), size=2, replace=False).tolist()
    return lambda: router.learn(row[None], [[(first, second, 1.0)]])


# ---- telling --------------------------------------------------------------------------------------


def table(rows: Sequence[Measured]) -> Iterator[str]:
    """Lines of Markdown; times are p50 / p99 in milliseconds."""
    yield "| stored prompts | built in | recall@20 | search | add | Eagle | Eagle, all pairs | Eagle feedback | kNN |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        times = (row.search, row.add, row.eagle, row.eagle_pairs, row.eagle_feedback, row.knn)
        told = " | ".join(str(one) for one in times)
        yield f"| {row.size:,} | {row.built_s:.1f} s | {row.recall:.4f} | {told} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", nargs="*", default=[], metavar="FILE", help="outcome files")
    options.add_argument("--vectors", nargs="*", default=[], type=Path, metavar="FILE", help="unit vectors, .npy")
    options.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    given = options.parse_args()
    rows = real(given.data, given.vectors)
    queries, base = rows[:QUERIES], rows[QUERIES:]
    vectors = grown(base, max(given.sizes))
    measured = [measure(vectors[:size], queries) for size in sorted(given.sizes)]
    print("\n".join([*setting(PACKAGES), f"- Vectors: {len(base)} real ones; more are made of them", ""]))
    print("\n".join(table(measured)))


if __name__ == "__main__":
    main()
