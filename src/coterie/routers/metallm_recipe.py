"""How MetaLLM's bandit is warmed up: from outcomes, where every member's score is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.routers.arm import Arm
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch
from coterie.routers.linucb import LinUCB
from coterie.routers.linucb_terms import Terms


@dataclass(frozen=True)
class MetaLLMRecipe(Terms):
    """LinUCB after a warm start with full information: each prompt is a lesson on every member whose score is known.

    As the authors' code does it (2407.10834), nothing of it is discounted: `discount` holds for what comes later. A
    member's price is the mean of what its answers have cost.
    """

    kind: ClassVar[str] = "metallm"
    reads: ClassVar[Reads] = "vectors"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> LinUCB:
        """Raises `ConfigError` without outcomes of two members, or without prices where these have a weight."""
        outcomes = lessons.outcomes
        if outcomes is None or len(outcomes.members) < 2:
            raise ConfigError("metallm is fitted to outcomes of at least two members")
        if vectors.outcomes is None:
            raise ConfigError("metallm reads vectors, and there are none of these prompts")
        terms = Terms(**{term.name: getattr(self, term.name) for term in fields(Terms)})
        router = LinUCB(vectors.outcomes.shape[1], terms, self._prices(outcomes))
        for place, member in enumerate(outcomes.members):
            known = np.isfinite(outcomes.scores[:, place])
            learned = vectors.outcomes[known].astype(np.float64)
            router.join(member, Arm.fitted(learned, outcomes.scores[known, place], self.ridge))
            watch("members", place + 1, len(outcomes.members))
        return router

    def _prices(self, outcomes: Outcomes) -> Mapping[str, float]:
        """Mean USD of an answer, of the members for which some are known."""
        columns = [column[np.isfinite(column)] for column in outcomes.costs_usd.T]
        prices = {m: float(column.mean()) for m, column in zip(outcomes.members, columns, strict=True) if len(column)}
        unpriced = [member for member in outcomes.members if member not in prices]
        if self.price_weight and unpriced:
            raise ConfigError(
                f"price_weight={self.price_weight!r} weighs what answers cost, which is unknown of {unpriced!r}: "
                "leave it at 0, or give the outcomes their costs"
            )
        return prices
