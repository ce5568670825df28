"""A router among any number of members, measured by the quality it reaches and, where prices are known, by its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.evaluation.routing import savings
from coterie.evaluation.routing.aiq import aiq, routerbench_aiq
from coterie.evaluation.routing.arena import arena_score
from coterie.evaluation.routing.curves import band_mean, hull
from coterie.evaluation.routing.sweeps import Sweep, by_threshold, by_utility

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.evaluation.routing.forecasts import Forecasts
    from coterie.evaluation.routing.ground import Ground
    from coterie.evaluation.routing.samples import Figure

    Array = NDArray[np.float64]

ARRAYS_HELD = 4
"""Of a number for each change, while a sample's curve is computed."""

HULL_STEPS = 100
"""Steps of a sweep that a convex hull is drawn over: their number hardly moves it, and each sample has its own."""

BY_QUALITY = ("quality", "over_single", "closed", "gain_random", "gain_single", "gap_oracle")

BY_COST = ("band", "over_mix", "usd", "saved", "arena", "aiq", "routerbench_aiq", "band_threshold")


@dataclass(frozen=True, eq=False)
class PoolFound:
    """What was found of one router, or of whatever else stands in the table."""

    figures: dict[str, Figure]
    """Under `BY_QUALITY`, and under `BY_COST` where costs are known."""
    curve: tuple[Array, Array] | None = None
    """USD for a query, and quality; ``None`` where costs are unknown."""


def of_router(ground: Ground, forecasts: Forecasts) -> PoolFound:
    """What there is to say of forecasts. Raises `ValueError` for a prompt on which the router knows no member.

    Its quality is that of the member it expects most of: the cheaper of equals, or their mean where costs are unknown.
    """
    import numpy as np

    if ground.costs is None:
        return PoolFound(_by_quality(ground, best_choice(forecasts.swept, ground.scores)))
    usd = ground.costs.usd + forecasts.usd_per_query
    expected = _expected(ground, forecasts)
    sweep = by_utility(forecasts.swept, expected, ground.scores, usd)
    chosen = _last(sweep, sweep.score, sweep.gain)
    thresholds = by_threshold(forecasts.swept, expected, ground.scores, usd)
    figures = {**_by_quality(ground, chosen), **_by_cost(ground, sweep)}
    figures["band_threshold"] = _bands(ground, thresholds)
    cost, quality = sweep.curve()
    return PoolFound({key: of for key, of in figures.items() if np.isfinite(of.value)}, (cost, quality))


def of_oracle(ground: Ground) -> PoolFound:
    """What knowing every score and cost beforehand would reach."""
    if ground.costs is None:
        return PoolFound(_by_quality(ground, ground.scores.max(axis=1)))
    sweep = by_utility(ground.scores, ground.costs.usd, ground.scores, ground.costs.usd)
    figures = {**_by_quality(ground, ground.scores.max(axis=1)), **_by_cost(ground, sweep)}
    return PoolFound(figures, sweep.curve())


def of_single(ground: Ground, member: int) -> PoolFound:
    """One member on everything: a point."""
    figures = _by_quality(ground, ground.scores[:, member])
    if ground.costs is None:
        return PoolFound(figures)
    usd = ground.costs.usd[:, member]
    figures["usd"] = ground.samples.mean(usd)
    import numpy as np

    return PoolFound(figures, (np.array([usd.mean()]), np.array([ground.scores[:, member].mean()])))


def of_chance(ground: Ground) -> PoolFound:
    """A member drawn for each prompt, all equally likely: its expectation."""
    figures = _by_quality(ground, ground.scores.mean(axis=1))
    if ground.costs is not None:
        figures["usd"] = ground.samples.mean(ground.costs.usd.mean(axis=1))
    return PoolFound(figures)


def of_mix(ground: Ground) -> PoolFound:
    """The best that mixing single members at random reaches at each cost: RouterBench's "zero router"."""
    if ground.costs is None:
        raise ValueError(ground.unpriced)
    usd, scores = ground.costs.usd, ground.scores

    def statistic(weights: Array) -> Array:
        import numpy as np

        total = weights.sum(axis=1, keepdims=True)
        cost, quality = weights @ usd / total, weights @ scores / total
        hulls = (hull(*of) for of in zip(cost, quality, strict=True))
        code = [routerbench_aiq(x, y, high) for (x, y), high in zip(hulls, cost.max(axis=1), strict=True)]
        mixed = _mixed(cost, quality)
        return np.stack([mixed, mixed, np.array(code)], axis=1)

    found = ground.samples.figures(statistic)
    figures = dict(zip(("band", "aiq", "routerbench_aiq"), found, strict=True))
    figures["over_mix"] = found[0] - found[0]
    return PoolFound(figures, hull(usd.mean(axis=0), scores.mean(axis=0)))


def best_choice(quality: Array, scores: Array) -> Array:
    """The score of the member of highest quality for each prompt, the mean over equals, (prompts,)."""
    import numpy as np

    if np.isnan(quality).all(axis=1).any():
        raise ValueError(f"of {int(np.isnan(quality).all(axis=1).sum())} prompts no member's quality is known")
    best = quality == np.nanmax(quality, axis=1, keepdims=True)
    mean: Array = np.where(best, scores, 0.0).sum(axis=1) / best.sum(axis=1)
    return mean


# ---- figures ------------------------------------------------------------------------------------


def _by_quality(ground: Ground, reached: Array) -> dict[str, Figure]:
    """What scores (prompts,) say, without their cost."""
    import numpy as np

    scores = ground.scores
    columns = np.stack([reached, scores[:, ground.best_single], scores.mean(axis=1), scores.max(axis=1)], axis=1)

    def statistic(weights: Array) -> Array:
        ours, single, chance, oracle = (weights @ columns / weights.sum(axis=1, keepdims=True)).T
        found = (
            ours,
            ours - single,
            savings.closed(ours, single, oracle),
            savings.relative(ours, chance),
            savings.relative(ours, single),
            -savings.relative(ours, oracle),
        )
        return np.stack(found, axis=1)

    return dict(zip(BY_QUALITY, ground.samples.figures(statistic), strict=True))


def _by_cost(ground: Ground, sweep: Sweep) -> dict[str, Figure]:
    """What a sweep by utility says with its costs."""
    import numpy as np

    usd, scores, single = _usd(ground), ground.scores, ground.best_single
    graded = float(usd.min()) > 0 and scores.min() >= 0 and scores.max() <= 1
    thin = sweep.thinned(HULL_STEPS)

    def statistic(weights: Array) -> Array:
        total = weights.sum(axis=1, keepdims=True)
        alone, reached = weights @ usd / total, weights @ scores / total
        cost, quality = _from_cheapest(*sweep.curves(weights), alone, reached)
        band = band_mean(cost, quality, alone.min(axis=1), alone.max(axis=1))
        saved = savings.saved(cost, quality, alone[:, single], reached[:, single])
        arena = arena_score(quality[:, -1], 1000 * cost[:, -1]) if graded else np.full(len(band), np.nan)
        return np.stack([band, band - _mixed(alone, reached), cost[:, -1], saved, arena], axis=1)

    def hulls(weights: Array) -> Array:
        alone = weights @ usd / weights.sum(axis=1, keepdims=True)
        ends = zip(alone.min(axis=1), alone.max(axis=1), strict=True)
        found = zip(*thin.curves(weights), ends, strict=True)
        return np.array([[aiq(x, y, *end), routerbench_aiq(x, y, end[1])] for x, y, end in found])

    width = ARRAYS_HELD * sweep.changes
    found = [*ground.samples.figures(statistic, width), *ground.samples.figures(hulls, width)]
    return dict(zip(BY_COST, found, strict=False))


def _bands(ground: Ground, sweep: Sweep) -> Figure:
    """The mean quality over all budgets."""
    usd, scores = _usd(ground), ground.scores

    def statistic(weights: Array) -> Array:
        total = weights.sum(axis=1, keepdims=True)
        alone, reached = weights @ usd / total, weights @ scores / total
        curve = _from_cheapest(*sweep.curves(weights), alone, reached)
        return band_mean(*curve, alone.min(axis=1), alone.max(axis=1))[:, None]

    [figure] = ground.samples.figures(statistic, ARRAYS_HELD * sweep.changes)
    return figure


def _from_cheapest(cost: Array, quality: Array, alone: Array, reached: Array) -> tuple[Array, Array]:
    """Curves that begin at the cheapest member's point where the router's first decision costs more.

    With less than a router takes, part of the prompts can go to that member without asking the router.
    """
    import numpy as np

    cheapest = np.argmin(alone, axis=1)[:, None]
    x, y = (np.take_along_axis(of, cheapest, axis=1) for of in (alone, reached))
    dearer = cost[:, :1] > x
    return (
        np.concatenate([np.where(dearer, x, cost[:, :1]), cost], axis=1),
        np.concatenate([np.where(dearer, y, quality[:, :1]), quality], axis=1),
    )


def _mixed(alone: Array, reached: Array) -> Array:
    """The mean quality over all budgets of mixing single members, whose costs and qualities are [samples, members]."""
    import numpy as np

    hulls = (hull(*of) for of in zip(alone, reached, strict=True))
    ends = zip(alone.min(axis=1), alone.max(axis=1), strict=True)
    return np.array([float(band_mean(x, y, *end)) for (x, y), end in zip(hulls, ends, strict=True)])


def _usd(ground: Ground) -> Array:
    if ground.costs is None:
        raise ValueError(ground.unpriced)
    return ground.costs.usd


def _expected(ground: Ground, forecasts: Forecasts) -> Array:
    """What a decision thinks calls cost, (prompts, members)."""
    import numpy as np

    usd = _usd(ground)
    return np.broadcast_to(usd.mean(axis=0), usd.shape) if forecasts.expected_usd is None else forecasts.expected_usd


def _last(sweep: Sweep, first: Array, changes: Array) -> Array:
    """What each prompt comes to under the last decision."""
    import numpy as np

    return first + np.bincount(sweep.prompt, weights=changes, minlength=len(first))
