"""k nearest neighbours: a member's score on a query is its mean score on the prompts most like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError, RouterError
from coterie.prospects import Scale
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.knn_rules import KnnRules
from coterie.routers.neighbours import Neighbours
from coterie.types import Json


@dataclass(frozen=True, eq=False)
class KnnRouter:
    """The mean score of each member over the k nearest prompts, and its standard error.

    A neighbour that says nothing of a member is left out for it, so a member can rest on fewer than k, and is unknown
    where it rests on none. The standard error is unknown where it rests on one; it is 0 where all neighbours agree,
    which k of them may do by chance. A query without a word gets the means over all prompts.
    """

    kind = "knn"
    scale = Scale.SCORE
    reads: ClassVar[Reads] = "vectors"

    members: tuple[str, ...]
    rules: KnnRules
    prompts: Neighbours
    scores: NDArray[np.float64]
    """(prompts, members), NaN for unknown."""
    means: NDArray[np.float64]
    """(members,), over everything the router was fitted to; NaN for unknown."""

    @classmethod
    def fit(
        cls, members: tuple[str, ...], rules: KnnRules, vectors: NDArray[np.floating], scores: NDArray[np.float64]
    ) -> KnnRouter:
        """From the scores of prompts, (prompts, members), NaN where unknown, and their vectors.

        Of a prompt that stands there more than once, a member's score is the mean of those that are known. A prompt
        without a word counts in the means over all.
        """
        prompts = Neighbours(vectors.shape[1])
        places = prompts.add(vectors)
        told = places >= 0
        sums, counts = np.zeros((2, len(prompts), len(members)))
        np.add.at(sums, places[told], np.nan_to_num(scores[told]))
        np.add.at(counts, places[told], ~np.isnan(scores[told]))
        return cls(members, rules, prompts, _mean(sums, counts), _mean(np.nansum(scores, axis=0), _known(scores)))

    def forecast(self, queries: Queries) -> Forecast:
        """Raises `RouterError` for queries without vectors, or with another encoder's."""
        if queries.vectors is None:
            raise RouterError("the router 'knn' reads vectors, and was given texts alone")
        found = self.prompts.search(queries.vectors, self.rules.k)
        quality = np.tile(self.means, (len(queries), 1))
        error = np.full_like(quality, np.nan)
        basis = []
        for row, (places, cosines) in enumerate(zip(found.places, found.cosines, strict=True)):
            near = cosines[places >= 0].astype(np.float64)
            basis.append(self._basis(near))
            if len(near):
                quality[row], error[row] = self._of(self.scores[places[places >= 0]], near)
        return Forecast(quality, error, tuple(basis))

    def settings(self) -> Mapping[str, Json]:
        return asdict(self.rules)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {"scores": self.scores, "means": self.means, **self.prompts.arrays()}

    @classmethod
    def load(cls, kept: Kept) -> KnnRouter:
        """The router that was saved. Raises `ConfigError`, and `MissingExtra` for many prompts without usearch."""
        try:
            rules = KnnRules(**kept.settings)
            scores, means = kept.arrays["scores"].astype(np.float64), kept.arrays["means"].astype(np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the neighbours in {str(kept.folder)!r} cannot be read: {error!r}") from error
        router = cls(kept.members, rules, Neighbours.load(kept.arrays), scores, means)
        if scores.shape != (len(router.prompts), len(kept.members)) or means.shape != (len(kept.members),):
            raise ConfigError(f"scores of shape {scores.shape!r} do not fit {len(router.prompts)} prompts")
        return router

    def _of(self, scores: NDArray[np.float64], cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean and standard error of each member over (neighbours, members), (2, members)."""
        known = ~np.isnan(scores)
        even = self.rules.weighting == "even"
        weights = known * (np.ones_like(cosines) if even else np.maximum(cosines, 0.0))[:, None]
        total, n = weights.sum(axis=0), (weights > 0).sum(axis=0)
        values = np.where(known, scores, 0.0)
        mean = _mean((weights * values).sum(axis=0), total)
        spread = np.where(known, values - mean, 0.0)
        variance = _mean(np.square(weights * spread).sum(axis=0), np.square(total))
        return np.stack([mean, np.sqrt(variance * _mean(n.astype(np.float64), np.maximum(n - 1.0, 0.0)))])

    def _basis(self, cosines: NDArray[np.float64]) -> str:
        if not len(cosines):
            return "the means over all prompts, since no prompt is like the query"
        told = f"{len(cosines)} nearest of {len(self.prompts)} prompts (cosine {cosines[0]:.2f} to {cosines[-1]:.2f})"
        return f"{told}; {self.prompts.note}" if self.prompts.note else told


def _known(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    counts: NDArray[np.float64] = (~np.isnan(scores)).sum(axis=0).astype(np.float64)
    return counts


def _mean(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums by counts; NaN where nothing was counted."""
    mean: NDArray[np.float64] = np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)
    return mean
