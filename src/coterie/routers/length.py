"""The baseline that knows nothing but how long the question is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from coterie.errors import ConfigError
from coterie.outcomes.choosing import to_choose_by
from coterie.outcomes.outcome import Lessons
from coterie.prospects import Scale
from coterie.routers.forecast import Forecast, Kept, LearnsFrom, Queries, Reads, Vectors, Watch
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STEPS = 100
"""At most, of Newton's method; a handful is enough."""


@dataclass(frozen=True, eq=False)
class LengthRouter:
    """A member's expected score is a logistic curve over the logarithm of the prompt's length in characters.

    With `z` the logarithm of 1 + characters, standardised, and all known scores between `low` and `high`, it is
    low + (high - low) / (1 + exp(-(intercept + slope z))): monotone in the length, rising or falling.
    """

    kind: ClassVar[str] = "length"
    scale: ClassVar[Scale] = Scale.SCORE
    reads: ClassVar[Reads] = "texts"

    members: tuple[str, ...]
    curves: Array
    """(members, 2): intercept and slope; NaN for a member without a known score."""
    standard: Array
    """Mean and standard deviation of the logarithms, lowest and highest score."""

    def forecast(self, queries: Queries) -> Forecast:
        mean, deviation, low, high = self.standard
        z = (logarithms(queries.texts) - mean) / deviation
        chances = logistic(self.curves[:, 0] + z[:, None] * self.curves[:, 1])
        return Forecast(low + (high - low) * chances)

    def settings(self) -> Mapping[str, Json]:
        return {}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {"curves": self.curves, "standard": self.standard}

    @classmethod
    def load(cls, kept: Kept) -> LengthRouter:
        """The router that was saved. Raises `ConfigError`."""
        curves, standard = (kept.arrays[name].astype("float64") for name in ("curves", "standard"))
        if curves.shape != (len(kept.members), 2) or standard.shape != (4,):
            raise ConfigError(f"{len(kept.members)} members have no curves of the shape {curves.shape!r}")
        return cls(kept.members, curves, standard)


@dataclass(frozen=True)
class LengthRecipe:
    """The question's length alone: what any router that claims to read questions has to beat."""

    kind: ClassVar[str] = "length"
    reads: ClassVar[Reads] = "texts"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    penalty: float = 1.0
    """Of the slope's square: how much evidence a slope needs."""

    def __post_init__(self) -> None:
        if not self.penalty > 0:
            raise ConfigError(f"penalty is above 0, not {self.penalty!r}")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> LengthRouter:  # noqa: ARG002
        """The most likely curves, under the penalty. Raises `ConfigError` where no score differs from another."""
        import numpy as np

        outcomes = to_choose_by(lessons, self.kind)
        logs = logarithms(outcomes.prompts)
        deviation = float(logs.std()) or 1.0
        z = (logs - logs.mean()) / deviation
        low, high = float(np.nanmin(outcomes.scores)), float(np.nanmax(outcomes.scores))
        shares = (outcomes.scores - low) / (high - low)
        curves = np.full((len(outcomes.members), 2), np.nan)
        for n in range(len(outcomes.members)):
            known = ~np.isnan(shares[:, n])
            if known.any():
                curves[n] = _curve(z[known], shares[known, n], self.penalty)
            watch("fitting curves", n + 1, len(outcomes.members))
        return LengthRouter(outcomes.members, curves, np.array([logs.mean(), deviation, low, high]))


def logarithms(texts: Sequence[str]) -> Array:
    """Of 1 + the number of characters, (texts,)."""
    import numpy as np

    return np.log1p(np.array([len(text) for text in texts], dtype=np.float64))


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    import numpy as np

    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _curve(z: Array, shares: Array, penalty: float) -> Array:
    """Intercept and slope of the most likely logistic curve, scores being shares of successes.

    Half a success and half a failure of mean length are added, so that a member that never failed has a curve.
    """
    import numpy as np

    rows = np.stack([np.append(np.ones_like(z), [1.0, 1.0]), np.append(z, [0.0, 0.0])], axis=1)
    seen, weight = np.append(shares, [0.0, 1.0]), np.append(np.ones_like(z), [0.5, 0.5])
    held = np.diag([0.0, penalty])
    curve = np.zeros(2)
    for _ in range(STEPS):
        said = logistic(rows @ curve)
        slope = rows.T @ (weight * (said - seen)) + held @ curve
        bend = (rows * (weight * said * (1 - said))[:, None]).T @ rows + held
        step = np.linalg.solve(bend, slope)
        curve -= step
        if np.abs(step).max() < 1e-10:
            break
    return curve
