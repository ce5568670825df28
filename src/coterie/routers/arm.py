"""One member's reward as a ridge regression on the query's vector, kept up to date one lesson at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from coterie.routers.linucb_terms import Terms

REFRESH = 1_000
"""After so many updates a member's inverse is computed anew from A, so that rounding errors do not add up."""

WORN, MENDED = 1e-4, 1e-2
"""A discount makes λ fade with the rest. At the first share of λ it is raised to the second, or the inverse would grow
without bound in directions that no query has."""


@dataclass(eq=False)
class Arm:
    """What was learned of one member. Arrays are changed in place."""

    precision: NDArray[np.float64]
    """A, (dimensions, dimensions)."""
    inverse: NDArray[np.float64]
    """A⁻¹, exactly symmetric."""
    rewards: NDArray[np.float64]
    """b, (dimensions,)."""
    queries: NDArray[np.float64]
    """Σ x, discounted as b is: what b would be if every reward were 1."""
    prior: float
    """What is left of λ in A."""
    updates: int = 0
    """Lessons learned one at a time since the inverse was computed."""

    @classmethod
    def fresh(cls, dimensions: int, ridge: float) -> Self:
        """An arm that nobody has pulled."""
        zeros, eye = np.zeros(dimensions), np.eye(dimensions)
        return cls(ridge * eye, eye / ridge, zeros, zeros.copy(), ridge)

    @classmethod
    def fitted(cls, vectors: NDArray[np.float64], rewards: NDArray[np.float64], ridge: float) -> Self:
        """An arm that has learned all at once, with equal weights."""
        arm = cls.fresh(vectors.shape[1], ridge)
        arm.precision += vectors.T @ vectors
        arm.rewards += vectors.T @ rewards
        arm.queries += vectors.sum(axis=0)
        arm.invert()
        return arm

    @classmethod
    def restored(
        cls,
        dimensions: int,
        precision: NDArray[np.generic],
        rewards: NDArray[np.generic],
        queries: NDArray[np.generic],
        prior: np.generic,
    ) -> Self:
        """An arm as it was saved. Raises `ValueError` for arrays that do not belong together."""
        shapes = [array.shape for array in (precision, rewards, queries)]
        if shapes != [(dimensions, dimensions), (dimensions,), (dimensions,)]:
            raise ValueError(f"arrays of the shapes {shapes!r} are none of a member in {dimensions} dimensions")
        arm = cls.fresh(dimensions, float(prior))
        arm.precision[:], arm.rewards[:], arm.queries[:] = precision, rewards, queries
        arm.invert()
        return arm

    def pull(self, x: NDArray[np.float64], reward: float, terms: Terms, scratch: NDArray[np.float64]) -> None:
        """Afterwards A is gA + x xᵀ and b is gb + r x, with g the discount. O(dimensions²), but for a rare inversion.

        By Sherman and Morrison (gA + x xᵀ)⁻¹ = (A⁻¹ - k kᵀ / (g + xᵀk)) / g with k = A⁻¹x. The outer product of a
        vector with itself is symmetric to the last bit, so the inverse stays so.
        """
        kept = terms.discount
        if kept < 1:
            self.precision *= kept
            self.rewards *= kept
            self.queries *= kept
            self.prior *= kept
        np.multiply.outer(x, x, out=scratch)
        self.precision += scratch
        self.rewards += reward * x
        self.queries += x
        self.updates += 1
        if self.prior < WORN * terms.ridge:
            self._mend(MENDED * terms.ridge)
        elif self.updates >= REFRESH:
            self.invert()
        else:
            k = self.inverse @ x
            k /= np.sqrt(kept + x @ k)
            np.multiply.outer(k, k, out=scratch)
            self.inverse -= scratch
            if kept < 1:
                self.inverse /= kept

    def invert(self) -> None:
        """Afterwards the inverse is that of A, to rounding."""
        found = np.linalg.inv(self.precision)
        self.inverse[:] = (found + found.T) / 2
        self.updates = 0

    def _mend(self, prior: float) -> None:
        self.precision[np.diag_indices_from(self.precision)] += prior - self.prior
        self.prior = prior
        self.invert()
