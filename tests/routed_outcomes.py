"""Made-up outcomes for the tests of measuring routers: members that differ in what they can do and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coterie.evaluation.routing.forecasts import Forecasts
from coterie.outcomes.outcome import Outcomes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MEMBERS = ("cheap", "middle", "dear")

MEANS = (0.4, 0.6, 0.75)

USD = (0.0001, 0.0004, 0.002)


def outcomes(n: int = 90, *, seed: int = 0, members: int = 3, costs: bool = True, groups: Any = ()) -> Outcomes:
    """0/1 scores with the means above; costs that vary by a half around the ones above."""
    import numpy as np

    rng = np.random.default_rng(seed)
    scores = (rng.random((n, members)) < np.array(MEANS[:members])).astype(float)
    unknown = np.full(scores.shape, np.nan)
    usd = np.array(USD[:members]) * rng.uniform(0.5, 1.5, scores.shape) if costs else unknown
    return Outcomes(
        MEMBERS[:members],
        tuple(f"question {row} of {n}" for row in range(n)),
        scores,
        usd,
        unknown,
        tuple(groups[row % len(groups)] for row in range(n)) if groups else (),
        tuple(f"made-up:{row + 1}" for row in range(n)),
    )


def knowing(of: Outcomes, share: float, seed: int = 1, name: str = "knows", **more: Any) -> Forecasts:
    """Forecasts that know the scores to some share: 0 is noise around the means, 1 the scores."""
    import numpy as np

    rng = np.random.default_rng(seed)
    noise = of.scores.mean(axis=0) + rng.normal(0, 0.2, of.scores.shape)
    return Forecasts(name, share * of.scores + (1 - share) * noise, **more)
