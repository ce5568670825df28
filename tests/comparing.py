"""What the tests of RouteLLM's two ranking routers share: battles in which who wins depends on what is asked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.routers.forecast import Vectors


def silent(what: str, done: int, total: int) -> None:
    """Watches nothing."""


def directions(n: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    """Vectors of length 1, most of whose length lies in the first few dimensions, as with vectors of texts."""
    drawn = np.random.default_rng(seed).standard_normal((n, dimensions)) / np.sqrt(1.0 + np.arange(dimensions) / 8.0)
    rows: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return rows


def battles(n: int, members: int, dimensions: int, seed: int = 0) -> tuple[Lessons, Vectors]:
    """Battles over as many prompts: members differ, and each is better at some of what can be asked."""
    rng = np.random.default_rng(seed)
    vectors = directions(n, dimensions, seed)
    strength, liking = rng.normal(0.0, 0.7, members), 3.0 * rng.standard_normal((members, dimensions))
    first = rng.integers(0, members, n)
    second = (first + rng.integers(1, members, n)) % members
    ahead = strength[first] - strength[second] + ((liking[first] - liking[second]) * vectors).sum(axis=1)
    result = (rng.random(n) < 1.0 / (1.0 + np.exp(-ahead))).astype(np.float64)
    result[rng.random(n) < 0.2] = 0.5
    names = tuple(f"member {n}" for n in range(members))
    texts = tuple(f"a question that is number {n}" for n in range(n))
    return Lessons(battles=Battles(names, texts, first, second, result)), Vectors(battles=vectors)


def outcomes(scores: NDArray[np.float64], members: tuple[str, ...], prompts: tuple[str, ...] = ()) -> Outcomes:
    unknown = np.full(scores.shape, np.nan)
    texts = prompts or tuple(f"a question that is number {n}" for n in range(len(scores)))
    return Outcomes(members, texts, scores, unknown, unknown)


def subjects(n: int, seed: int = 0) -> tuple[Outcomes, Vectors]:
    """Two members, each of which knows one of two subjects: "left" the first one, "right" the other; a third knows all.

    Which subject a prompt is of can be told from its vector.
    """
    rng = np.random.default_rng(seed)
    subject = rng.integers(0, 2, n)
    vectors = np.full((n, 8), 0.3) + 0.1 * rng.standard_normal((n, 8))
    vectors[:, 0] += np.where(subject == 0, 1.0, -1.0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.stack([subject == 0, subject == 1, np.ones(n)], axis=1).astype(np.float64)
    return outcomes(scores, ("left", "right", "all")), Vectors(outcomes=vectors.astype(np.float32))
