"""LinUCB: for each member a ridge regression of its reward on the query's vector, kept up to date one lesson at a time.

MetaLLM (2407.10834) and Li et al. (1003.0146), disjoint models. For each member A = λI + Σ x xᵀ, b = Σ r x and
θ = A⁻¹ b; its expected reward is θᵀx, and √(xᵀ A⁻¹ x) times the noise's standard deviation is how far off that may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Self

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError
from coterie.prospects import Scale
from coterie.routers.arm import Arm
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.linucb_terms import Terms
from coterie.types import Json

CHUNK = 256
"""Queries whose uncertainty is computed at once."""


class LinUCB:
    """A regression for each member, of which more may join. It is a `Fitted` router, and it learns."""

    kind = "metallm"
    scale = Scale.SCORE
    reads: Reads = "vectors"

    def __init__(self, dimensions: int, terms: Terms, prices: Mapping[str, float] | None = None) -> None:
        self.dimensions = dimensions
        self.terms = terms
        self.prices = dict(prices or {})
        """What a call costs by member, in any unit: only the ratio to the highest counts."""
        self._arms: dict[str, Arm] = {}
        self._places: dict[str, int] = {}
        self._scores = np.empty((0, dimensions))
        """θ of scores alone, (members, dimensions)."""
        self._ones = np.empty((0, dimensions))
        """A⁻¹ Σ x: what θ would be if every reward were 1, and so what a price adds to it."""
        self._inverses = np.empty((0, dimensions, dimensions), dtype=np.float32)
        """A⁻¹ again, in single precision: a decision reads all of them, and takes the time that reading takes."""
        self._scratch = np.empty((dimensions, dimensions))

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(self._arms)

    # ---- learning ----

    def join(self, member: str, arm: Arm) -> None:
        """Afterwards `member` has that arm, and what it had before is forgotten."""
        self._arms[member] = arm
        if member not in self._places:
            self._places[member] = len(self._places)
            self._scores = np.concatenate([self._scores, np.empty((1, self.dimensions))])
            self._ones = np.concatenate([self._ones, np.empty((1, self.dimensions))])
            empty = np.empty((1, self.dimensions, self.dimensions), dtype=np.float32)
            self._inverses = np.concatenate([self._inverses, empty])
        self._solve(member)

    def learn(self, member: str, vector: NDArray[np.float32], reward: float) -> None:
        """Afterwards it is known that `member` earned `reward`, before its price, on a query with that vector."""
        if member not in self._arms:
            self.join(member, Arm.fresh(self.dimensions, self.terms.ridge))
        self._arms[member].pull(vector.astype(np.float64), reward, self.terms, self._scratch)
        self._solve(member)

    def _solve(self, member: str) -> None:
        arm, place = self._arms[member], self._places[member]
        np.matmul(arm.inverse, arm.rewards, out=self._scores[place])
        np.matmul(arm.inverse, arm.queries, out=self._ones[place])
        self._inverses[place] = arm.inverse

    # ---- foretelling ----

    def forecast(self, queries: Queries) -> Forecast:
        return self.expect(queries, self.members, self.prices)

    def expect(self, queries: Queries, members: Sequence[str], prices: Mapping[str, float]) -> Forecast:
        """Expected rewards and how far off they may be, columns in the order of `members`.

        A member that nothing was learned of has what λ alone says: reward 0, give or take |x| / √λ. Where the price
        has a weight, NaN for a member without one. Raises `ConfigError` for vectors of another length.
        """
        vectors = queries.vectors
        if vectors is None or vectors.shape[1] != self.dimensions:
            shape = None if vectors is None else vectors.shape
            raise ConfigError(f"this router reads vectors of {self.dimensions} numbers, not {shape!r}")
        exact = vectors.astype(np.float64)
        places = [self._places.get(member, -1) for member in members]
        quality, spread = exact @ self._scores.T, self._spread(vectors)
        if -1 in places:
            unheard = np.linalg.norm(exact, axis=1, keepdims=True) / np.sqrt(self.terms.ridge)
            quality, spread = np.hstack([quality, np.zeros_like(unheard)]), np.hstack([spread, unheard])
        quality, spread = quality[:, places], spread[:, places]
        if self.terms.price_weight:
            worth = np.hstack([exact @ self._ones.T, np.zeros((len(exact), 1))])[:, places]
            quality -= self.terms.price_weight * _shares(members, prices) * worth
        return Forecast(quality, spread)

    def _spread(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """√(xᵀ A⁻¹ x), (queries, members that are known)."""
        flat = self._inverses.reshape(-1, self.dimensions)
        parts = []
        for start in range(0, len(vectors), CHUNK):
            x = vectors[start : start + CHUNK]
            moved = (flat @ x.T).reshape(len(self._places), self.dimensions, len(x))
            parts.append(np.einsum("mdq,qd->qm", moved, x))
        squared = np.concatenate(parts) if parts else np.empty((0, len(self._places)), dtype=np.float32)
        return np.sqrt(np.maximum(squared, 0.0), dtype=np.float64)

    # ---- being kept ----

    def settings(self) -> Mapping[str, Json]:
        return {"dimensions": self.dimensions, "terms": asdict(self.terms), "prices": self.prices}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        arms = list(self._arms.values())
        return {
            "precision": np.array([arm.precision for arm in arms]),
            "rewards": np.array([arm.rewards for arm in arms]),
            "queries": np.array([arm.queries for arm in arms]),
            "prior": np.array([arm.prior for arm in arms]),
        }

    @classmethod
    def load(cls, kept: Kept) -> Self:
        """The router that was saved. Raises `ConfigError` for arrays that do not belong together."""
        try:
            made = cls(kept.settings["dimensions"], Terms(**kept.settings["terms"]), kept.settings["prices"])
            rows = zip(*(kept.arrays[name] for name in ("precision", "rewards", "queries", "prior")), strict=True)
            for member, row in zip(kept.members, rows, strict=True):
                made.join(member, Arm.restored(made.dimensions, *row))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"this is no {cls.kind} router that was saved: {error!r}") from error
        return made


def _shares(members: Sequence[str], prices: Mapping[str, float]) -> NDArray[np.float64]:
    """Each price as a share of the highest; NaN where it is unknown."""
    found = np.array([prices.get(member, np.nan) for member in members], dtype=np.float64)
    highest = np.nanmax(found, initial=0.0)
    return found / highest if highest > 0 else found
