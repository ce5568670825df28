"""What a decision of RouteLLM's two rankings costs beyond the encoder, beside what it cannot be quicker than.

Similarity-weighted ranking reads every stored vector once and fits Bradley-Terry once: the floor is that reading, the
peer is the same decision as RouteLLM makes it, a product in float32 and a logistic regression over all battles twice.
Vectors and battles are drawn; how long a decision takes depends on how many there are, and hardly on what they say.

    OMP_NUM_THREADS=1 python benchmarks/router_ranking.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.outcomes.outcome import Battles, Lessons
from coterie.routers.forecast import Queries, Vectors
from coterie.routers.mf import MFRouter
from coterie.routers.sw_ranking import SWRankingRouter
from coterie.training.routing.sw_ranking import SWRankingRecipe

DIMENSIONS = 384
"""Of MiniLM's vectors."""
MEMBERS = 64
"""As many as RouteLLM's battles are of."""
WARM = 5
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Timed:
    """How long single decisions took, one after the other."""

    what: str
    comparisons: int
    """Stored ones; 0 where none are."""
    p50_ms: float
    p99_ms: float
    n: int

    @property
    def per_second(self) -> float:
        return 1e3 / self.p50_ms


def drawn(n: int, seed: int = 0) -> Vector:
    """Vectors of length 1, most of which lies in few dimensions, as with vectors of texts."""
    falling = np.sqrt(1.0 + np.arange(DIMENSIONS, dtype=np.float32) / 30.0)
    rows = np.random.default_rng(seed).standard_normal((n, DIMENSIONS), dtype=np.float32) / falling
    unit: Vector = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def arena(n: int) -> tuple[Battles, Vector]:
    """As many battles, each over a prompt of its own; a fifth are ties."""
    rng = np.random.default_rng(1)
    strength = rng.normal(0.0, 1.0, MEMBERS)
    first = rng.integers(0, MEMBERS, n)
    second = (first + rng.integers(1, MEMBERS, n)) % MEMBERS
    result = (rng.random(n) < 1.0 / (1.0 + np.exp(strength[second] - strength[first]))).astype(np.float64)
    result[rng.random(n) < 0.2] = 0.5
    names, texts = (
        tuple(f"{what} that has number {k}" for k in range(m)) for what, m in (("m", MEMBERS), ("a text", n))
    )
    return Battles(names, texts, first, second, result), drawn(n)


def timed(what: str, comparisons: int, decide: Callable[[Vector], object], decisions: int) -> Timed:
    """`decide` for vectors it has not seen, (1, dimensions) each."""
    vectors = drawn(WARM + decisions, seed=2)
    took_s = []
    for n in range(len(vectors)):
        start_s = time.perf_counter()
        decide(vectors[n : n + 1])
        took_s.append(time.perf_counter() - start_s)
    p50, p99 = np.quantile(took_s[WARM:], (0.5, 0.99)) * 1e3
    return Timed(what, comparisons, float(p50), float(p99), decisions)


def sw_ranking(n: int, decisions: int = 200) -> Iterator[Timed]:
    """A decision over `n` battles, and the reading of all vectors in it."""
    battles, vectors = arena(n)
    router = SWRankingRecipe().fit(Lessons(battles=battles), Vectors(battles=vectors), lambda *_: None)
    yield timed("sw_ranking", n, lambda query: router.forecast(Queries(("",), query)), decisions)
    yield timed("floor: one scan of the vectors, a byte a number", n, router.prompts.cosines, decisions)
    yield timed("a scan of the vectors in float32", n, lambda query: vectors @ query[0], decisions)


@dataclass(frozen=True)
class Peer:
    """RouteLLM's way to the same Elos, by SciPy's L-BFGS instead of scikit-learn's, and how far the router is off."""

    timed: Timed
    off_elo: float
    """The largest difference of any member's Elo, the peer run on to a gradient of 1e-9."""
    stopped_elo: float
    """The same of the peer itself where it stops by default, at 1e-4."""


def peer(n: int, decisions: int = 5) -> Peer:
    """Both on the same queries."""
    battles, vectors = arena(n)
    router = SWRankingRecipe().fit(Lessons(battles=battles), Vectors(battles=vectors), lambda *_: None)
    apart = router.tiers[battles.first] != router.tiers[battles.second]
    regression = Regression(router, vectors[apart])
    took = timed("peer: logistic regression over all battles, twice each", n, regression, decisions)
    off, stopped = [], []
    for query in drawn(decisions, seed=4):
        exact = regression(query[None], gradient=1e-9)[router.tiers]
        off.append(np.abs(router.forecast(Queries(("",), query[None])).quality[0] - exact).max())
        stopped.append(np.abs(regression(query[None])[router.tiers] - exact).max())
    return Peer(took, float(max(off)), float(max(stopped)))


class Regression:
    """A matrix with two rows for each battle, float32 cosines, and L-BFGS from zero for each query."""

    def __init__(self, router: SWRankingRouter, vectors: Vector) -> None:
        fought = router.battles
        rows = np.zeros((2 * len(fought), int(router.tiers.max()) + 1))
        rows[np.arange(len(rows)), np.tile(fought.first, 2)] = np.log(10.0)
        rows[np.arange(len(rows)), np.tile(fought.second, 2)] = -np.log(10.0)
        self._rows = rows
        self._signs = np.where(np.concatenate([fought.result > 0, fought.result == 1]), 1.0, -1.0)
        self._vectors = vectors

    def __call__(self, query: Vector, gradient: float = 1e-4) -> NDArray[np.float64]:
        from scipy.optimize import minimize

        cosines = self._vectors @ query[0]
        weights = np.tile(10.0 * 10.0 ** (cosines / cosines.max()), 2).astype(np.float64)
        weights /= weights.sum()

        def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            margins = self._signs * (self._rows @ at)
            missed = weights * self._signs / (1.0 + np.exp(margins))
            return float((weights * np.logaddexp(0.0, -margins)).sum()), -(self._rows.T @ missed)

        options = {"gtol": gradient, "ftol": 64 * np.finfo(float).eps, "maxiter": 1_000}
        found = minimize(loss, np.zeros(self._rows.shape[1]), jac=True, method="L-BFGS-B", options=options)
        elo: NDArray[np.float64] = 1000.0 + 400.0 * found.x
        return elo


def mf(decisions: int = 2_000) -> Timed:
    """A decision between 64 members, at the published dimensions of the common space."""
    rng = np.random.default_rng(3)
    shapes = ((MEMBERS, 128), (128, DIMENSIONS), (128,))
    embeddings, projection, classifier = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    router = MFRouter(tuple(f"m {n}" for n in range(MEMBERS)), embeddings, projection, classifier)
    return timed("mf", 0, lambda query: router.forecast(Queries(("",), query)), decisions)


def timings(sizes: tuple[int, ...] = (1_000, 65_000, 100_000, 1_000_000)) -> Iterator[Timed]:
    """Every decision, at every number of stored comparisons."""
    for n in sizes:
        yield from sw_ranking(n, decisions=200 if n <= 100_000 else 40)
    yield mf()


def main() -> None:
    print("| decision | stored comparisons | p50 ms | p99 ms | decisions/s | n |\n|---|---:|---:|---:|---:|---:|")
    for row in timings():
        print(line(row), flush=True)
    beside = peer(65_000)
    print(line(beside.timed))
    print(f"\nLargest difference from the peer run on: {beside.off_elo:.2f} Elo")
    print(f"Largest difference between that and where the peer stops: {beside.stopped_elo:.2f} Elo")


def line(row: Timed) -> str:
    """A row of the table."""
    rate = f"{row.per_second:,.0f}" if row.per_second >= 10 else f"{row.per_second:.1f}"
    stored = f"{row.comparisons:,}" if row.comparisons else "-"
    return f"| {row.what} | {stored} | {row.p50_ms:.3f} | {row.p99_ms:.3f} | {rate} | {row.n} |"


if __name__ == "__main__":
    main()
