"""What nearest neighbours cost a router: Eagle and k nearest neighbours, by the number of stored comparisons.

One index grows through all sizes. Up to `ONE_THREAD` vectors it is filled as a router fills it, on one thread; beyond,
the library goes on with the same graph on all cores, to save time, and it comes back as a saved index does. Limits and
peers read the same vectors: a product of all of them with the query, the library's search of the same graph with
nothing around it, and an exact scan.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.routers.eagle import EagleRouter
from coterie.routers.eagle_learner import VERSION, HeardBattles
from coterie.routers.eagle_rules import EagleRules
from coterie.routers.elo import Battle
from coterie.routers.forecast import Queries
from coterie.routers.graph import Graph
from coterie.routers.knn import KnnRouter
from coterie.routers.knn_rules import KnnRules
from coterie.routers.neighbours import DIGEST_BYTES, SCANNED, Neighbours
from coterie.routers.packing import packed
from coterie.routers.stored_scores import StoredScores
from figures import progress
from machine import cores
from router_times import Indexed, Plan, Report, Row
from router_vectors import Material
from turns import Side, in_turns

MEMBERS = tuple(f"m{n}" for n in range(11))
EAGLE, KNN, INDEX = f"eagle, {len(MEMBERS)} members", f"knn, {len(MEMBERS)} members", "(the index alone)"
NEAREST = 20
"""That Eagle looks for, and recall is measured of."""
ONE_THREAD = 100_000
STEP = 25_000
MOST_MS = {100_000: 1.0, 1_000_000: 2.0}
"""Targets of a decision, by the number of stored comparisons."""
FEEDBACK_MS = 1.0

Half = NDArray[np.float16]
Call = Callable[[int], object]


def needed(plan: Plan) -> int:
    """Vectors that are stored at the end, lessons of the last size included."""
    return max(plan.sizes) + _lessons(plan)


def measure(plan: Plan, given: Material, report: Report) -> None:
    """Afterwards the report has rows of each size."""
    prompts = Neighbours(given.stored.shape[1])
    for size in plan.sizes:
        began = time.perf_counter()
        prompts = _filled(prompts, given.stored[:size])
        built_s = time.perf_counter() - began
        progress(f"{size:,} stored in {built_s:.0f} s; looking for the nearest by a scan")
        exact = given.stored[:size].astype(np.float32)
        recall = _recall(prompts, exact, given.queries)
        threads = 1 if size <= ONE_THREAD else cores()
        report.indexes.append(Indexed(size, built_s, threads, recall, len(given.queries)))
        report.rows.extend(_decisions(plan, prompts, exact, given))
        del exact
        report.rows.append(_feedback(plan, prompts, given.stored[size : size + _lessons(plan)], size))


# ---- one size -------------------------------------------------------------------------------------


def _decisions(plan: Plan, prompts: Neighbours, exact: NDArray[np.float32], given: Material) -> Iterator[Row]:
    size, queries, rng = len(exact), given.queries, np.random.default_rng(2)
    progress(f"{size:,}: {size:,} battles are learned")
    eagle = EagleRouter(EagleRules(), prompts, MEMBERS)
    for begin in range(0, len(prompts), STEP):
        part = given.stored[begin : min(len(prompts), begin + STEP)].astype(np.float32)
        eagle.learn(part, ([battle] for battle in _battles(len(part), rng)))
    scores = StoredScores.of(rng.random((len(prompts), len(MEMBERS))), np.arange(len(prompts)), len(prompts))
    knn = KnnRouter(MEMBERS, KnnRules(), prompts, scores, np.zeros(len(MEMBERS)))
    bare = _library(prompts, queries)
    product = f"{'limit' if bare is None else 'a bare scan'}: all vectors times the query"
    slow = plan.calls if size <= SCANNED else plan.slow
    own = [
        Side(EAGLE, lambda n: eagle.forecast(_asked(queries, n)), plan.calls),
        Side(KNN, lambda n: knn.forecast(_asked(queries, n)), plan.calls),
        Side(INDEX, lambda n: prompts.search(_asked_row(queries, n), NEAREST), plan.calls),
    ]
    others = [
        Side(product, lambda n: exact @ queries[n % len(queries)], slow),
        Side("peer: an exact scan and the 20 nearest", lambda n: _scan(exact, queries[n % len(queries)]), slow),
    ]
    if bare is not None:
        others.insert(0, Side("limit: the library's search alone", bare, plan.calls))
    progress(f"{size:,}: decisions")
    took = in_turns([*own, *others], plan.blocks)
    beside = {side.what: took[side.what] for side in others}
    for name in (EAGLE, KNN):
        yield Row("decision", name, took[name], size, "vectors", beside, MOST_MS.get(size))
    yield Row("decision", INDEX, took[INDEX], size, beside=dict([*beside.items()][:1]))


def _feedback(plan: Plan, prompts: Neighbours, fresh: Half, size: int) -> Row:
    """Each lesson is over a prompt that is new. Ratings take as long however many battles there were."""
    router = EagleRouter(EagleRules(), prompts, MEMBERS)
    heard = HeardBattles(EagleRules(), router)
    entries: list[dict[str, Any]] = [
        {"version": VERSION, "first": "m1", "second": "m2", "result": 1.0, "vector": packed(row.astype(np.float32))}
        for row in fresh
    ]
    took = in_turns([Side("eagle", lambda n: heard.apply(entries[n]), plan.added)], plan.blocks)
    return Row("feedback", "eagle", took["eagle"], size, most_ms=FEEDBACK_MS)


def _lessons(plan: Plan) -> int:
    return plan.blocks * (plan.added + 1)


def _battles(count: int, rng: np.random.Generator) -> Iterator[Battle]:
    first = rng.integers(len(MEMBERS), size=count)
    second = (first + rng.integers(1, len(MEMBERS), size=count)) % len(MEMBERS)
    return zip(first.tolist(), second.tolist(), rng.choice([0.0, 0.5, 1.0], size=count).tolist(), strict=True)


def _asked_row(queries: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    place = n % len(queries)
    return queries[place : place + 1]


def _asked(queries: NDArray[np.float32], n: int) -> Queries:
    return Queries(("",), _asked_row(queries, n))


def _scan(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.intp]:
    near = vectors @ query
    top = np.argpartition(near, -NEAREST)[-NEAREST:]
    return top[np.argsort(-near[top])]


def _recall(prompts: Neighbours, exact: NDArray[np.float32], queries: NDArray[np.float32]) -> float:
    """Of the vectors that were first stored, each at the place of its row."""
    found = prompts.search(queries, NEAREST).places
    shares: list[float] = []
    for begin in range(0, len(queries), 50):
        near = queries[begin : begin + 50] @ exact.T
        top = np.argpartition(near, -NEAREST, axis=1)[:, -NEAREST:]
        pairs = zip(found[begin : begin + 50].tolist(), top.tolist(), strict=True)
        shares.extend(len({*own} & {*best}) / NEAREST for own, best in pairs)
    return float(np.mean(shares))


# ---- the index ------------------------------------------------------------------------------------


def _filled(prompts: Neighbours, vectors: Half) -> Neighbours:
    """An index of all `vectors`, the first of which `prompts` has."""
    if len(vectors) > ONE_THREAD:
        return _grown(prompts, vectors)
    for begin in range(len(prompts), len(vectors), STEP):
        prompts.add(vectors[begin : begin + STEP].astype(np.float32))
        progress(f"{len(prompts):,} of {len(vectors):,} stored")
    return prompts


def _grown(prompts: Neighbours, vectors: Half) -> Neighbours:
    kept = prompts.arrays()
    dumped: Any = kept.get("prompt_graph")
    graph: Any = Graph(vectors.shape[1]) if dumped is None else Graph.load(dumped, vectors.shape[1])
    index = graph._index
    del prompts, kept, dumped
    for begin in range(len(index), len(vectors), STEP):
        part = vectors[begin : begin + STEP].astype(np.float32)
        index.add(np.arange(begin, begin + len(part), dtype=np.uint64), part, threads=cores())
        progress(f"{len(index):,} of {len(vectors):,} stored")
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=DIGEST_BYTES).digest() for row in vectors)
    dumped = graph.dump()
    del graph, index
    return Neighbours.load(
        {
            "prompt_digests": np.frombuffer(digests, dtype=np.uint8).reshape(-1, DIGEST_BYTES),
            "prompt_vectors": np.zeros((0, vectors.shape[1]), dtype=np.float16),
            "prompt_graph": dumped,
        }
    )


def _library(prompts: Neighbours, queries: NDArray[np.float32]) -> Call | None:
    """A search of the graph and nothing else; ``None`` where there is none."""
    graph: Any = prompts._graph
    return None if graph is None else lambda n: graph._index.search(_asked_row(queries, n), NEAREST, threads=1)
