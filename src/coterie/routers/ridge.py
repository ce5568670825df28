"""Ridge regression for many members at once, on features that may be sparse: fitted by conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Block = Any
"""Features (rows, columns): a numpy array, or a sparse matrix of SciPy's."""

TOLERANCE = 1e-6
"""Of the residual, relative to what it began with."""

MOST_STEPS = 1_000


@dataclass(frozen=True, eq=False)
class Lines:
    """For each member a score that is linear in the features."""

    weights: tuple[Array, ...]
    """For each block (columns, members)."""
    intercepts: Array
    """(members,); NaN for a member without a known score."""

    def __call__(self, blocks: Sequence[Block]) -> Array:
        """The expected scores, (rows, members)."""
        said: Array = (
            sum(block @ weights for block, weights in zip(blocks, self.weights, strict=True)) + self.intercepts
        )
        return said


def silent(done: int, members: int) -> None:
    """Is told how far a fit has come, and tells nobody."""


def fit(blocks: Sequence[Block], scores: Array, alpha: float, done: Callable[[int, int], None] = silent) -> Lines:
    """The weights w and intercepts b with the least sum of (score - b - x w)² + alpha |w|², for each member.

    `scores` is (rows, members); rows in which a member's is NaN teach nothing of that member. `done` is told how many
    members are fitted, and of how many.
    """
    import numpy as np

    members = scores.shape[1]
    weights = tuple(np.zeros((block.shape[1], members)) for block in blocks)
    intercepts = np.full(members, np.nan)
    known = ~np.isnan(scores)
    left = list(range(members))
    while left:
        alike = [n for n in left if (known[:, n] == known[:, left[0]]).all()]
        rows = np.flatnonzero(known[:, left[0]])
        if len(rows):
            centred = Centred([block[rows] for block in blocks])
            theirs = scores[rows][:, alike]
            means = theirs.mean(axis=0)
            found = _solved(centred, theirs - means, alpha)
            intercepts[alike] = means - centred.means @ found
            for block_weights, part in zip(weights, centred.parted(found), strict=True):
                block_weights[:, alike] = part
        left = [n for n in left if n not in alike]
        done(members - len(left), members)
    return Lines(weights, intercepts)


class Centred:
    """Blocks side by side, with every column's mean taken off; sparse ones stay sparse."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        import numpy as np

        self._blocks = blocks
        self._ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
        self.means: Array = np.concatenate([np.asarray(block.mean(axis=0)).ravel() for block in blocks])

    def times(self, weights: Array) -> Array:
        """X w, of (columns, members)."""
        said: Array = sum(b @ part for b, part in zip(self._blocks, self.parted(weights), strict=True))
        return said - self.means @ weights

    def back(self, rows: Array) -> Array:
        """Xᵀ r, of (rows, members)."""
        import numpy as np

        found = np.concatenate([np.asarray(block.T @ rows) for block in self._blocks])
        taken: Array = found - np.outer(self.means, rows.sum(axis=0))
        return taken

    def parted(self, weights: Array) -> list[Array]:
        """The rows of `weights`, block by block."""
        import numpy as np

        return np.split(weights, self._ends)


def _solved(features: Centred, targets: Array, alpha: float) -> Array:
    """(XᵀX + alpha) w = Xᵀ y by conjugate gradients, each member on its own."""
    import numpy as np

    residual = features.back(targets)
    weights = np.zeros_like(residual)
    step, size = residual.copy(), (residual**2).sum(axis=0)
    wanted = size * TOLERANCE**2
    for _ in range(MOST_STEPS):
        going = size > wanted
        if not going.any():
            break
        curved = features.back(features.times(step)) + alpha * step
        along = np.where(going, size / np.where(going, (step * curved).sum(axis=0), 1.0), 0.0)
        weights += along * step
        residual -= along * curved
        before, size = size, (residual**2).sum(axis=0)
        step = residual + np.where(going, size / np.where(before > 0, before, 1.0), 0.0) * step
    return weights
