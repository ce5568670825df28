"""Fitting RouteLLM's similarity-weighted ranking: nothing is trained, members are put into tiers (2406.18665)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.routers.comparisons import Comparisons
    from coterie.routers.sw_ranking import SWRankingRouter


@dataclass(frozen=True)
class SWRankingRecipe:
    """Keeps every battle; of outcomes, all pairs of members that answered a prompt are battles, equal scores ties."""

    kind: ClassVar[str] = "sw_ranking"
    reads: ClassVar[Reads] = "vectors"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes", "battles"})

    tiers: int = 10
    """Members are put into so many tiers by their strength over all battles; there are never more than members."""
    shortest_prompt: int = 16
    """Characters; battles over shorter prompts are left out, as RouteLLM leaves them out."""
    gamma: float = 10.0
    """A battle over the query itself counts so many times as much as one over an unrelated prompt."""
    scaled: bool = True
    """Divide similarities by the query's largest (RouteLLM's code), or take cosines as they are."""
    anchor: str = ""
    """The member that has `anchor_elo` for every query; empty: the tiers' mean is 1000."""
    anchor_elo: float = 1000.0

    def __post_init__(self) -> None:
        if self.tiers < 2:
            raise ConfigError(f"members are told apart by two tiers or more, not by {self.tiers!r}")
        if not 1.0 <= self.gamma < math.inf:
            raise ConfigError(f"gamma is 1 or more, not {self.gamma!r}")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> SWRankingRouter:
        """The ranking over all battles. Raises `ConfigError` where nothing compares two members."""
        from coterie.outcomes.battles import Pairs
        from coterie.routers.comparisons import comparisons_of
        from coterie.routers.likeness import StoredVectors
        from coterie.routers.sw_ranking import SWRankingRouter, Weighing

        told = comparisons_of(lessons, vectors, self.shortest_prompt)
        watch("battles", 0, len(told))
        tiers = _tiers(told, self.tiers)
        kept = told.where(tiers[told.first] != tiers[told.second])
        battles = Pairs(kept.prompt, tiers[kept.first], tiers[kept.second], kept.result)
        fitted = SWRankingRouter(
            told.members,
            tiers,
            StoredVectors.of(kept.vectors),
            battles,
            Weighing(self.gamma, self.scaled),
            self.anchor,
            self.anchor_elo,
        )
        watch("battles", len(told), len(told))
        return fitted


def _tiers(told: Comparisons, n_tiers: int) -> NDArray[np.int64]:
    """Every member's tier, by strength over all battles alike; -1 for one that fought none."""
    import numpy as np

    from coterie.routers.bradley_terry import elo, has_maximum, strengths, wins_of
    from coterie.routers.tiers import tiers_of

    wins = wins_of(told.first, told.second, told.result, len(told.members))
    heard = np.flatnonzero((wins + wins.T).sum(axis=1))
    among = wins[np.ix_(heard, heard)]
    tiers = np.full(len(told.members), -1)
    tiers[heard] = tiers_of(elo(strengths(among, 0.0 if has_maximum(among) else 1.0)), n_tiers)
    return tiers
