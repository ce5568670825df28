"""Vectors to measure with: those of real prompts, more that are made of them, or invented ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figures import progress
from router_index import grown, real

DIMENSIONS = 384
"""Of MiniLM's vectors."""
STEP = 50_000
TOPICS, WITHIN = 64, 64
"""Topics, and topics within each."""

ABOUT_INVENTED = """
Vectors are invented: the sum of a topic (0.4), a topic within it (0.6, a few of them popular, by Zipf's law) and what
is a text's own (0.35 to 1.05), all with most of their variance in few dimensions, as MiniLM's have it. Of 20,000 of
them one lies at a cosine of 0.69 of its nearest and 0.52 of its 20th, and 24 dimensions locally (medians); of as many
real prompts it is 0.73, 0.47 and 14, so that the nearest of invented ones are harder to tell apart.
"""


@dataclass(frozen=True)
class Material:
    """What is stored, and what is asked; no query is stored."""

    stored: NDArray[np.float16]
    """Distinct."""
    queries: NDArray[np.float32]
    about: str
    """Where they come from, for the reader."""


def material(data: Sequence[str], files: Sequence[Path], size: int, queries: int) -> Material:
    """`size` vectors to be stored, real ones first."""
    if not (data or files):
        rows = invented(size + queries)
        return Material(rows[queries:], rows[:queries].astype(np.float32), " ".join(ABOUT_INVENTED.split()))
    progress("reading vectors")
    rounded = real(data, files).astype(np.float16)
    _, first = np.unique(rounded, axis=0, return_index=True)
    found = rounded[np.sort(first)].astype(np.float32)
    base = found[queries:]
    progress(f"{len(base)} real vectors grow to {size}")
    stored = grown(base, size)
    kinds = f"{len(base):,} are {'those of files (`--vectors`)' if files else 'MiniLM vectors'} of real texts"
    if size > len(base):
        kinds += (
            ", and the others lie between one of those and one of its 16 nearest, moved on by 0.7 of the difference of "
            "two other neighbours"
        )
    return Material(
        stored,
        found[:queries],
        f"Of {size:,} vectors to be stored {kinds}. Queries are of real texts too, and are not stored.",
    )


def invented(size: int, seed: int = 7) -> NDArray[np.float16]:
    """Unit vectors, (size, dimensions), about as alike as prompts are."""
    rng = np.random.default_rng(seed)
    falling = (1.0 + np.arange(DIMENSIONS, dtype=np.float32) / 3.0) ** -0.6
    falling /= np.linalg.norm(falling)

    def drawn(count: int) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = rng.standard_normal((count, DIMENSIONS), dtype=np.float32) * falling
        return rows

    topics, within = drawn(TOPICS), drawn(TOPICS * WITHIN)
    popular = rng.permutation(1.0 / (1.0 + np.arange(len(within))))
    popular /= popular.sum()
    made = np.empty((size, DIMENSIONS), dtype=np.float16)
    for begin in range(0, size, STEP):
        n = min(STEP, size - begin)
        topic = rng.choice(len(within), size=n, p=popular)
        own = rng.uniform(0.35, 1.05, size=(n, 1)).astype(np.float32) * drawn(n)
        rows = np.float32(0.4) * topics[topic // WITHIN] + np.float32(0.6) * within[topic] + own
        made[begin : begin + n] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made
