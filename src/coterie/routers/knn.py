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
from coterie.routers.stored_scores import TABLES, StoredScores, ratio
from coterie.types import Json


@dataclass(frozen=True, eq=False)
class KnnRouter:
    """The mean score of each member over the k nearest prompts, and its standard error.

    A neighbour that says nothing of a member is left out for it, so a member can rest on fewer than k, and is unknown
    where it rests on none. The standard error is unknown where it rests on one; it is 0 where all neighbours agree,
    which k of them may do by chance. Of more prompts than are wanted that are equally near, such as those whose
    beginning is the same and of which the encoder reads no more, each counts in part. A query without a word gets the
    means over all prompts.
    """

    kind = "knn"
    scale = Scale.SCORE
    reads: ClassVar[Reads] = "vectors"

    members: tuple[str, ...]
    rules: KnnRules
    prompts: Neighbours
    scores: StoredScores
    means: NDArray[np.float64]
    """(members,), over everything the router was fitted to; NaN for unknown."""

    @classmethod
    def fit(
        cls, members: tuple[str, ...], rules: KnnRules, vectors: NDArray[np.floating], scores: NDArray[np.float64]
    ) -> KnnRouter:
        """From the scores of prompts, (prompts, members), NaN where unknown, and their vectors.

        A prompt without a word counts in the means over all, and is near to nothing.
        """
        prompts = Neighbours(vectors.shape[1])
        places = prompts.add(vectors)
        told = places >= 0
        means = ratio(np.nansum(scores, axis=0), np.sum(~np.isnan(scores), axis=0, dtype=np.float64))
        return cls(members, rules, prompts, StoredScores.of(scores[told], places[told], len(prompts)), means)

    def forecast(self, queries: Queries) -> Forecast:
        """Raises `RouterError` for queries without vectors, or with another encoder's."""
        if queries.vectors is None:
            raise RouterError("the router 'knn' reads vectors, and was given texts alone")
        found = self.prompts.search(queries.vectors, self.rules.k)
        quality = np.tile(self.means, (len(queries), 1))
        error = np.full_like(quality, np.nan)
        basis = []
        for row, (places, cosines) in enumerate(zip(found.places, found.cosines, strict=True)):
            near = places[places >= 0]
            alike = cosines[: len(near)].astype(np.float64)
            basis.append(self._basis(near, alike))
            if len(near):
                weights = np.ones_like(alike) if self.rules.weighting == "even" else np.maximum(alike, 0.0)
                quality[row], error[row] = self.scores.near(near, weights, self.rules.k)
        return Forecast(quality, error, tuple(basis))

    def settings(self) -> Mapping[str, Json]:
        return asdict(self.rules)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        tables = {f"score_{name}": getattr(self.scores, name) for name in TABLES}
        return {"means": self.means, **tables, **self.prompts.arrays()}

    @classmethod
    def load(cls, kept: Kept) -> KnnRouter:
        """The router that was saved. Raises `ConfigError`, and `MissingExtra` for many prompts without usearch."""
        try:
            rules = KnnRules(**kept.settings)
            means, *tables = (
                kept.arrays[name].astype(np.float64) for name in ("means", *(f"score_{n}" for n in TABLES))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the neighbours in {str(kept.folder)!r} cannot be read: {error!r}") from error
        router = cls(kept.members, rules, Neighbours.load(kept.arrays), StoredScores(*tables), means)
        n, members = len(router.prompts), len(kept.members)
        if [table.shape for table in (means, *tables)] != [(members,), (n,), *[(n, members)] * 3]:
            raise ConfigError(f"the scores in {str(kept.folder)!r} are not those of {n} prompts and {members} members")
        return router

    def _basis(self, places: NDArray[np.int64], cosines: NDArray[np.float64]) -> str:
        if not len(places):
            return "the means over all prompts, since no prompt is like the query"
        reached = np.cumsum(self.scores.rows[places])
        last = min(int(np.searchsorted(reached, self.rules.k)), len(places) - 1)
        alike = f"cosine {cosines[0]:.2f}" + (f" to {cosines[last]:.2f}" if last else "")
        told = f"{min(self.rules.k, int(reached[last]))} nearest of {int(self.scores.rows.sum())} prompts ({alike})"
        return f"{told}; {self.prompts.note}" if self.prompts.note else told
