"""What members achieved on prompts that are found again by their vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TABLES = ("rows", "counts", "sums", "squares")
"""The arrays of `StoredScores`, in its order."""


@dataclass(frozen=True, eq=False)
class StoredScores:
    """What members achieved on stored prompts. A prompt stands there once, for all rows that told of it."""

    rows: NDArray[np.float64]
    """(prompts,)."""
    counts: NDArray[np.float64]
    """(prompts, members), rows of which the member's score is known."""
    sums: NDArray[np.float64]
    """(prompts, members), of those scores."""
    squares: NDArray[np.float64]
    """(prompts, members), the sums of their squares."""

    @classmethod
    def of(cls, scores: NDArray[np.float64], places: NDArray[np.int64], prompts: int) -> StoredScores:
        """From scores, (rows, members) with NaN for unknown ones, and for each row the place of its prompt."""
        known = np.nan_to_num(scores)
        tables = np.zeros((3, prompts, scores.shape[1]))
        for table, told in zip(tables, (~np.isnan(scores), known, known**2), strict=True):
            np.add.at(table, places, told)
        return cls(np.bincount(places, minlength=prompts).astype(np.float64), *tables)

    def near(self, places: NDArray[np.int64], weights: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        """Each member's mean and its standard error over the k rows of `places` in turn, (2, members).

        Where a prompt has more rows than are wanted, each of them counts in part. NaN where no row says anything, and
        as error where but one does. `weights` are one for each of `places`.
        """
        rows = self.rows[places]
        share = np.clip((k - np.cumsum(rows) + rows) / rows, 0.0, 1.0) * weights
        counts = share @ self.counts[places]
        mean = ratio(share @ self.sums[places], counts)
        variance = np.maximum(ratio(share @ self.squares[places], counts) - mean**2, 0.0)
        alike = ratio(counts**2, (share * weights) @ self.counts[places])  # rows of equal weight that tell as much
        return np.stack([mean, np.sqrt(ratio(variance, np.maximum(alike - 1.0, 0.0)))])


def ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where there is nothing to divide by."""
    ratio: NDArray[np.float64] = np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under > 0)
    return ratio
