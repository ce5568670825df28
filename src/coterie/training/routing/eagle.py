"""Fitting Eagle: battles are replayed once and kept (2409.15518)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons
from coterie.routers.eagle_rules import EagleRules
from coterie.routers.elo import Battle
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.routers.comparisons import Comparisons
    from coterie.routers.eagle import EagleRouter

STEP = 10_000
"""Battles between two words to the watcher."""


@dataclass(frozen=True)
class EagleRecipe(EagleRules):
    """Learns every battle, in its order; of outcomes, any two members that answered a prompt are a battle.

    The higher score wins, and equal ones are a draw. Prompts of outcomes have no order in time, and files often hold
    one benchmark after the other, so they and their pairs come in an order drawn by `seed`.
    """

    kind: ClassVar[str] = "eagle"
    reads: ClassVar[Reads] = "vectors"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes", "battles"})

    pairs_per_prompt: int | None = None
    """Of a prompt's N (N - 1) / 2 pairs so many are drawn; all of them where left out."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs_per_prompt is not None and self.pairs_per_prompt < 1:
            raise ConfigError(f"pairs_per_prompt must be at least 1, not {self.pairs_per_prompt!r}")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> EagleRouter:
        """Ratings over all battles. Raises `ConfigError` where nothing compares two members."""
        from coterie.routers.comparisons import comparisons_of
        from coterie.routers.eagle import EagleRouter
        from coterie.routers.neighbours import Neighbours

        told = comparisons_of(lessons, vectors)
        order = self._order(told, lessons)
        rules = EagleRules(self.p, self.neighbours, self.k, self.ratings)
        router = EagleRouter(rules, Neighbours(told.vectors.shape[1]), told.members)
        watch("battles", 0, len(order))
        for begin, end in _steps(told.prompt[order]):
            router.learn(*_by_prompt(told, order[begin:end]))
            watch("battles", end, len(order))
        return router

    def _order(self, told: Comparisons, lessons: Lessons) -> NDArray[np.int64]:
        """Which battles are learned, first to last: those of outcomes, which stand first in `told`, as drawn."""
        import numpy as np

        from coterie.outcomes.battles import pairs_of

        n = 0 if lessons.outcomes is None else len(pairs_of(lessons.outcomes.scores))
        if not n:
            return np.arange(len(told))
        rng = np.random.default_rng(self.seed)
        turn = rng.permutation(len(told.vectors))[told.prompt[:n]]
        drawn = np.lexsort((rng.random(n), turn))
        if self.pairs_per_prompt is not None:
            begins = np.flatnonzero(np.diff(turn[drawn], prepend=-1))
            nth = np.arange(n) - np.repeat(begins, np.diff(begins, append=n))
            drawn = drawn[nth < self.pairs_per_prompt]
        return np.concatenate([drawn, np.arange(n, len(told))])


def _steps(prompt: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Where steps of at least `STEP` battles begin and end, none of them between two battles over one prompt."""
    import numpy as np

    ends = np.append(np.flatnonzero(np.diff(prompt)) + 1, len(prompt))
    begin = 0
    while begin < len(prompt):
        end = int(ends[min(int(np.searchsorted(ends, begin + STEP)), len(ends) - 1)])
        yield begin, end
        begin = end


def _by_prompt(told: Comparisons, order: NDArray[np.int64]) -> tuple[NDArray[np.float32], list[list[Battle]]]:
    """Vectors of prompts, each with its battles that follow one another; it stands there again for later ones."""
    import numpy as np

    prompt = told.prompt[order]
    begins = np.flatnonzero(np.diff(prompt, prepend=-1))
    results = told.result[order].tolist()
    battles = list(zip(told.first[order].tolist(), told.second[order].tolist(), results, strict=True))
    ends = [*begins[1:].tolist(), len(battles)]
    fought = [battles[begin:end] for begin, end in zip(begins.tolist(), ends, strict=True)]
    return told.vectors[prompt[begins]], fought
