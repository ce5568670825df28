"""RouteLLM's similarity-weighted ranking: for each query a Bradley-Terry fit over all battles (2406.18665)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError, RouterError
from coterie.outcomes.battles import Pairs
from coterie.prospects import Scale
from coterie.routers.bradley_terry import ELO_MEAN, elo, has_maximum, strengths, wins_of
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.likeness import StoredVectors
from coterie.types import Json

BLOCK = 2**22
"""Cosines that are held at once, queries times prompts."""

LIGHTEST = 1e-6
"""No battle weighs less, of the heaviest one: where nothing is alike, dividing by it would silence most of them."""


@dataclass(frozen=True)
class Weighing:
    """How much a battle counts for a query."""

    gamma: float = 10.0
    """A battle over the query itself counts so many times as much as one over an unrelated prompt."""
    scaled: bool = True
    """Similarities are divided by the query's largest, as RouteLLM's code does. The paper divides by the largest that
    the battle's own prompt has with any; that is 1, its own, if it is one of them, so false leaves cosines as they are.
    """

    def weights(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """gamma^(s / max s) for each similarity s; 1 for all where none is above 0, which nothing is like.

        RouteLLM's weight is gamma times that, as every battle's is, so that the fit is the same.
        """
        nearest = float(cosines.max()) if self.scaled else 1.0
        if nearest <= 0.0:
            return np.ones_like(cosines)
        rate = math.log(self.gamma)
        heavy: NDArray[np.float32] = cosines * np.float32(rate / nearest)
        np.maximum(heavy, np.float32(rate + math.log(LIGHTEST)), out=heavy)
        return np.exp(heavy, out=heavy)


@dataclass(frozen=True, eq=False)
class SWRankingRouter:
    """Elo of every member's tier, fitted to all battles, those over prompts like the query weighing more.

    A decision costs a scan of all prompts' vectors and one small fit that starts from the strengths over all queries:
    about 2 ms at 65 thousand prompts of 384 dimensions. Where somebody never lost, or groups never met, there is no
    most likely strength: then every tier also draws once against one of mean strength, a draw weighing what a battle
    weighs on average. A member that was never compared has no quality.
    """

    kind: ClassVar[str] = "sw_ranking"
    scale: ClassVar[Scale] = Scale.ELO
    reads: ClassVar[Reads] = "vectors"

    members: tuple[str, ...]
    tiers: NDArray[np.int64]
    """(members,), 0 the best tier; -1 for a member without a battle."""
    prompts: StoredVectors
    battles: Pairs
    """Of tiers, each over one of `prompts`; none within a tier.

    RouteLLM keeps those, as losses of the tier against nobody, since both signs go to one column and the second one
    stays; that pulls the strengths of wide tiers down. They say nothing of two tiers, so they are left out here.
    """
    weighing: Weighing = Weighing()
    anchor: str = ""
    """The member that has `anchor_elo` for every query; empty: the tiers' mean is 1000."""
    anchor_elo: float = ELO_MEAN

    def __post_init__(self) -> None:
        if len(self.tiers) != len(self.members):
            raise ConfigError(f"{len(self.members)} members stand in {len(self.tiers)} places of tiers")
        if self.anchor and (self.anchor not in self.members or self.tiers[self.members.index(self.anchor)] < 0):
            raise ConfigError(f"the anchor {self.anchor!r} is none of the members that were compared")

    def forecast(self, queries: Queries) -> Forecast:
        """Raises `RouterError` for vectors of another encoder, `MissingExtra`."""
        vectors = self._vectors(queries)
        rows = max(1, BLOCK // len(self.prompts))
        quality = np.full((len(queries), len(self.members)), np.nan)
        basis: list[str] = []
        for begin in range(0, len(queries), rows):
            for cosines in self.prompts.cosines(vectors[begin : begin + rows]):
                quality[len(basis)] = self._quality(self._fit(self.weighing.weights(cosines)))
                basis.append(f"{len(self.battles)} battles, the nearest at cosine {cosines.max():.2f}")
        return Forecast(quality, basis=tuple(basis))

    def settings(self) -> Mapping[str, Json]:
        return {
            "gamma": self.weighing.gamma,
            "scaled": self.weighing.scaled,
            "anchor": self.anchor,
            "anchor_elo": self.anchor_elo,
        }

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {
            "tiers": self.tiers,
            "codes": self.prompts.codes,
            "steps": self.prompts.steps,
            "prompt": self.battles.prompt,
            "first": self.battles.first,
            "second": self.battles.second,
            "result": self.battles.result,
        }

    @classmethod
    def load(cls, kept: Kept) -> SWRankingRouter:
        """The router that was saved. Raises `ConfigError`."""
        held, said = kept.arrays, kept.settings
        try:
            prompts = StoredVectors(held["codes"].astype(np.int8), held["steps"].astype(np.float32))
            first, second = held["first"].astype(np.int64), held["second"].astype(np.int64)
            battles = Pairs(held["prompt"].astype(np.int64), first, second, held["result"].astype(np.float64))
            weighing = Weighing(said["gamma"], said["scaled"])
            return cls(
                kept.members,
                held["tiers"].astype(np.int64),
                prompts,
                battles,
                weighing,
                said["anchor"],
                said["anchor_elo"],
            )
        except KeyError as error:
            raise ConfigError(f"the ranking in {str(kept.folder)!r} lacks {error}") from error

    # ---- the fit -------------------------------------------------------------------------------

    def _vectors(self, queries: Queries) -> NDArray[np.float32]:
        found = None if queries.vectors is None else queries.vectors.shape
        if queries.vectors is None or found != (len(queries), self.prompts.dimensions):
            wanted = f"{len(queries)} vectors of {self.prompts.dimensions} dimensions"
            raise RouterError(
                f"the router 'sw_ranking' reads {wanted}, and was given {found!r}: is it another encoder?"
            )
        return queries.vectors

    def _fit(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Elo of each tier, by those weights of the prompts."""
        size = self._n_tiers**2
        sums = np.bincount(self._cell, weights[self.battles.prompt], 2 * size)
        won, tied = sums.reshape(2, self._n_tiers, self._n_tiers)
        draw = sums.sum() / len(self.battles) if self._draws else 0.0
        return elo(strengths(won + (tied + tied.T) / 2.0, draw, self._start))

    def _quality(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        of_member = np.where(self.tiers >= 0, points[self.tiers], np.nan)
        if self.anchor:
            of_member += self.anchor_elo - of_member[self.members.index(self.anchor)]
        return of_member

    @cached_property
    def _n_tiers(self) -> int:
        return int(self.tiers.max()) + 1

    @cached_property
    def _cell(self) -> NDArray[np.int64]:
        """Where each battle is counted: in a table of the rows' wins over the columns, or behind it in one of ties."""
        first, second, result = self.battles.first, self.battles.second, self.battles.result
        better, worse = np.where(result > 0.5, first, second), np.where(result > 0.5, second, first)
        cell: NDArray[np.int64] = better * self._n_tiers + worse + (result == 0.5) * self._n_tiers**2
        return cell

    @cached_property
    def _wins(self) -> NDArray[np.float64]:
        return wins_of(self.battles.first, self.battles.second, self.battles.result, self._n_tiers)

    @cached_property
    def _draws(self) -> bool:
        """Whether everybody needs a draw. What has a maximum has one with any weights, which are all above 0."""
        return not has_maximum(self._wins)

    @cached_property
    def _start(self) -> NDArray[np.float64]:
        return strengths(self._wins, float(self._draws))
