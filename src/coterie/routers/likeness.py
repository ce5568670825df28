"""How alike a query is to every stored text: an exhaustive scan of vectors that are kept in one byte a number.

A scan takes as long as its memory takes to be read, and a byte is a quarter of a float32. What is rounded away is worth
some 0.0005 of a cosine, to either side. Products of whole numbers are exact, so equal vectors give equal cosines,
whatever is asked beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.errors import MissingExtra

LARGEST = 127.0


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Vectors of length 1, rounded to whole steps: a row is `codes * step`."""

    codes: NDArray[np.int8]
    """(texts, dimensions)."""
    steps: NDArray[np.float32]
    """(texts,), what a row's numbers count; 0 for a row of zeros."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> StoredVectors:
        """Each row in steps of a 127th of its largest number."""
        steps = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(LARGEST)
        codes = np.rint(vectors / np.where(steps > 0, steps, 1)[:, None])
        return cls(codes.astype(np.int8), steps.astype(np.float32))

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def dimensions(self) -> int:
        return int(self.codes.shape[1])

    def cosines(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(queries, texts). Raises `MissingExtra`."""
        asked = StoredVectors.of(vectors)
        products = np.asarray(_numkong().dots_packed(asked.codes, self._packed)).astype(np.float32)
        products *= self.steps
        products *= asked.steps[:, None]
        return products

    @cached_property
    def _packed(self) -> Any:
        return _numkong().dots_pack(self.codes, "int8")


def _numkong() -> ModuleType:
    try:
        import numkong
    except ImportError as error:
        raise MissingExtra("a router that compares queries with stored ones", "routers", "numkong") from error
    return numkong
