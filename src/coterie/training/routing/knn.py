"""Fitting k nearest neighbours: outcomes are kept beside their prompts' vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch
from coterie.routers.knn_rules import KnnRules

if TYPE_CHECKING:
    from coterie.routers.knn import KnnRouter


@dataclass(frozen=True)
class KnnRecipe(KnnRules):
    """Keeps every prompt of which a score is known."""

    kind: ClassVar[str] = "knn"
    reads: ClassVar[Reads] = "vectors"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> KnnRouter:
        """The router over all outcomes. Raises `ConfigError` where no score is known."""
        import numpy as np

        from coterie.routers.knn import KnnRouter

        outcomes = lessons.outcomes
        if outcomes is None or np.isnan(outcomes.scores).all():
            raise ConfigError("the nearest neighbours' scores are wanted, and no outcome has a score")
        if vectors.outcomes is None or len(vectors.outcomes) != len(outcomes):
            n = 0 if vectors.outcomes is None else len(vectors.outcomes)
            raise ConfigError(f"{len(outcomes)} prompts need as many vectors, and there are {n}")
        told = ~np.isnan(outcomes.scores).all(axis=1)
        watch("prompts", 0, len(outcomes))
        rules = KnnRules(self.k, self.weighting)
        fitted = KnnRouter.fit(outcomes.members, rules, vectors.outcomes[told], outcomes.scores[told])
        watch("prompts", len(outcomes), len(outcomes))
        return fitted
