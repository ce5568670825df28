"""Eagle: Elo ratings over all battles, and over those that were fought over the most similar prompts (2409.15518)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigError, RouterError
from coterie.prospects import Scale
from coterie.routers.battle_log import BattleLog
from coterie.routers.eagle_rules import EagleRules
from coterie.routers.elo import Battle, Ratings, replay
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.neighbours import Neighbours
from coterie.types import Json

RATINGS = ("final_ratings", "rating_totals", "rating_counts")
"""Arrays with a number for each member."""


class EagleRouter:
    """Score = p * global + (1 - p) * local, in Elo points; nothing of a member that was in no battle.

    Global ratings follow all battles in the order in which they came. Local ones begin at the global ones and go
    through the battles over the N nearest prompts once more, oldest first. What was learned of a prompt at once (of
    outcomes, all its pairs) is one of the N; of prompts that are equally near, as one that was asked again, the newest
    are. So a decision takes no longer where much is known, and one more battle changes two ratings and adds a vector.

    The paper's "average" of the global ratings is read as the mean of each member's rating over its own battles, so
    that one who joins late is not drawn to the initial rating by battles that it was not in.
    """

    kind = "eagle"
    scale = Scale.ELO
    reads: Reads = "vectors"

    def __init__(self, rules: EagleRules, prompts: Neighbours, members: Iterable[str] = ()) -> None:
        self._rules = rules
        self._members: dict[str, int] = {}
        self._ratings = Ratings(rules.k)
        self._prompts = prompts
        self._battles = BattleLog()
        for member in members:
            self.place(member)

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(self._members)

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return self._prompts.dimensions

    def __len__(self) -> int:
        """How many battles it has learned from."""
        return int(sum(self._ratings.counts)) // 2

    def go_by(self, rules: EagleRules) -> None:
        """Afterwards it forecasts, and learns from here on, by other rules; what it has learned stays as it is."""
        self._rules = rules
        self._ratings.k = rules.k

    def place(self, member: str) -> int:
        """Where the member stands among `members`, the last of them from now on where it is new."""
        if member not in self._members:
            self._members[member] = len(self._members)
            self._ratings.join()
        return self._members[member]

    def learn(self, vectors: NDArray[np.floating], battles: Iterable[Sequence[Battle]]) -> None:
        """Afterwards the `battles` over each of the prompts are learned, in their order.

        `vectors` is (prompts, dimensions). Battles over a prompt without a word (zeros) count globally alone. Raises
        `RouterError` for vectors of another length, and nothing is learned.
        """
        for prompt, fought in zip(self._prompts.add(vectors).tolist(), battles, strict=True):
            self._ratings.add(fought)
            if prompt >= 0:
                self._battles.add(prompt, fought)

    def forecast(self, queries: Queries) -> Forecast:
        """Raises `RouterError` for queries without vectors, or with another encoder's."""
        if queries.vectors is None:
            raise RouterError("the router 'eagle' reads vectors, and was given texts alone")
        found = self._prompts.search(queries.vectors, self._rules.neighbours)
        everywhere = self._ratings.averages() if self._rules.ratings == "average" else self._ratings.final.tolist()
        quality = np.empty((len(queries), len(self._members)))
        basis = []
        for row in range(len(queries)):
            near = found.places[row][found.places[row] >= 0].tolist()
            fought, reached = self._battles.over(near, self._rules.neighbours)
            here = list(everywhere)
            replay(here, fought, self._rules.k)
            quality[row] = here
            basis.append(self._basis(found.cosines[row, :reached], len(fought)))
        quality += self._rules.p * (np.array(everywhere) - quality)
        quality[:, np.array(self._ratings.counts) == 0] = np.nan
        return Forecast(quality, basis=tuple(basis))

    def settings(self) -> Mapping[str, Json]:
        return asdict(self._rules)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {
            "final_ratings": np.array(self._ratings.final),
            "rating_totals": np.array(self._ratings.totals),
            "rating_counts": np.array(self._ratings.counts),
            **self._prompts.arrays(),
            **self._battles.arrays(),
        }

    @classmethod
    def load(cls, kept: Kept) -> EagleRouter:
        """The router that was saved. Raises `ConfigError`, and `MissingExtra` for many prompts without usearch."""
        try:
            router = cls(EagleRules(**kept.settings), Neighbours.load(kept.arrays), kept.members)
            router._ratings.restore(*(kept.arrays[name].tolist() for name in RATINGS))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the ratings in {str(kept.folder)!r} cannot be read: {error!r}") from error
        router._battles = BattleLog.load(kept.arrays, len(kept.members))
        return router

    def _basis(self, cosines: NDArray[np.float32], battles: int) -> str:
        told = f"{len(self)} battles"
        if not len(cosines):
            return f"{told}, and no prompt to compare the query with"
        alike = f"{cosines[0]:.2f}" if len(cosines) == 1 else f"{cosines[0]:.2f} to {cosines[-1]:.2f}"
        told += f", {battles} of them over the nearest prompts (cosine {alike})"
        return f"{told}; {self._prompts.note}" if self._prompts.note else told
