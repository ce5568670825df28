"""Blending's weights as a fitted router, for artifacts and for evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons
from coterie.prospects import Scale
from coterie.routers.forecast import Forecast, Kept, LearnsFrom, Queries, Reads, Vectors, Watch
from coterie.routers.weights import Weights
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class BlendingRouter:
    """Gives each member its weight, whatever is asked (2401.02994)."""

    kind = "blending"
    scale = Scale.SCORE
    reads: Reads = "nothing"

    def __init__(self, members: Sequence[str], weights: Mapping[str, float]) -> None:
        self.members = tuple(members)
        self._weights = Weights(weights)

    def forecast(self, queries: Queries) -> Forecast:
        """Probabilities, which are 1 together."""
        import numpy as np

        shares = np.array(self._weights.shares(self.members), dtype=np.float64)
        return Forecast(np.tile(shares, (len(queries), 1)))

    def settings(self) -> Mapping[str, Json]:
        return {"weights": dict(self._weights.of)}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    @classmethod
    def load(cls, kept: Kept) -> Self:
        """The router that was saved. Raises `ConfigError` for what it did not save itself."""
        try:
            return cls(kept.members, kept.settings["weights"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"this is no {cls.kind} router that was saved: {error!r}") from error


@dataclass(frozen=True)
class BlendingRecipe:
    """Weights for blending: even ones, as in the paper, or each member's mean score."""

    kind: ClassVar[str] = "blending"
    reads: ClassVar[Reads] = "nothing"

    by: Literal["even", "score"] = "even"

    @property
    def learns_from(self) -> LearnsFrom:
        return frozenset({"outcomes", "battles"} if self.by == "even" else {"outcomes"})

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> BlendingRouter:  # noqa: ARG002
        """Raises `ConfigError` without two members, and for `by: score` without scores that are weights."""
        if len(lessons.members) < 2:
            raise ConfigError("blending takes at least two members")
        watch("members", len(lessons.members), len(lessons.members))
        if self.by == "even":
            return BlendingRouter(lessons.members, dict.fromkeys(lessons.members, 1.0))
        try:
            return BlendingRouter(lessons.members, _mean_scores(lessons))
        except ValueError as error:
            raise ConfigError(f"mean scores cannot be weights: {error}") from error


def _mean_scores(lessons: Lessons) -> dict[str, float]:
    """Of the members that have any."""
    import numpy as np

    outcomes = lessons.outcomes
    if outcomes is None:
        raise ValueError("battles have no scores")
    columns = zip(outcomes.members, outcomes.scores.T, strict=True)
    known = {member: column[np.isfinite(column)] for member, column in columns}
    return {member: float(column.mean()) for member, column in known.items() if len(column)}
