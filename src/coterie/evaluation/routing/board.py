"""Everything that stands in one comparison: routers and baselines, single members, the random mix and the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from coterie.errors import ConfigError
from coterie.evaluation.routing import folds, pairs, pools
from coterie.evaluation.routing.pairs import PairFound
from coterie.evaluation.significance import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.evaluation.routing.forecasts import Forecasts
    from coterie.evaluation.routing.ground import Ground
    from coterie.evaluation.routing.samples import Figure

    Array = NDArray[np.float64]

Kind = Literal["router", "baseline", "single", "chance", "oracle"]

MIX, CHANCE, ORACLE = "random mix", "random member", "oracle"

MOST_GROUPS = 24
"""Of them a table is still read."""

FEWEST_PROMPTS = 30
"""In a group, from which on an interval is near its level."""


@dataclass(frozen=True, eq=False)
class Row:
    """One of those compared."""

    name: str
    kind: Kind
    figures: Mapping[str, Figure]
    curve: tuple[Array, Array] | None = None
    """Cost, or the share of strong calls, and quality."""
    pair: PairFound | None = None
    forecasts: Forecasts | None = None


@dataclass(frozen=True)
class Against:
    """A router's headline figure less a rival's, on the same prompts."""

    row: str
    rival: str
    difference: Estimate

    @property
    def word(self) -> str:
        """``yes`` where the router is better beyond its interval, ``no`` where it is worse, else ``cannot tell``."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return "cannot tell"
        return "yes" if low > 0 else "no" if high < 0 else "cannot tell"


@dataclass(frozen=True, eq=False)
class Board:
    """Rows on one ground, and the same again for each group of prompts."""

    ground: Ground
    rows: tuple[Row, ...]
    groups: Mapping[str, Board] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """What verdicts are about: APGR of a pair, else the mean quality over all budgets, else quality at any cost."""
        if self.ground.pair is not None:
            return "apgr"
        return "band" if self.ground.costs is not None else "quality"

    @property
    def routers(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == "router")

    @property
    def forecast(self) -> tuple[Row, ...]:
        """Routers and baselines: what made forecasts."""
        return tuple(row for row in self.rows if row.forecasts is not None)

    @cached_property
    def named(self) -> Mapping[str, Row]:
        return {row.name: row for row in self.rows}

    @property
    def rivals(self) -> tuple[str, ...]:
        """What a router should beat, by the headline: chance, every baseline, and the best single member."""
        baselines = [row.name for row in self.rows if row.kind == "baseline"]
        there = [name for name in (MIX, CHANCE, *baselines, self.best_single) if name in self.named]
        return tuple(name for name in there if self.headline in self.named[name].figures)

    @property
    def best_single(self) -> str:
        return self.ground.outcomes.members[self.ground.best_single]

    @property
    def best_router(self) -> Row | None:
        """The router with the best headline figure on these very prompts."""
        there = [row for row in self.routers if self.headline in row.figures]
        return max(there, key=lambda row: row.figures[self.headline].value, default=None)

    def against(self, row: Row, rival: str, key: str = "") -> Against | None:
        """`row` less `rival`, by the headline or another figure; ``None`` where either has none."""
        key = key or self.headline
        ours, theirs = row.figures.get(key), self.named[rival].figures.get(key) if rival in self.named else None
        if ours is None or theirs is None or row.name == rival:
            return None
        return Against(row.name, rival, (ours - theirs).estimate)


def measure(
    ground: Ground, forecasts: Sequence[Forecasts], watch: Callable[[str, int, int], None] = lambda *_: None
) -> Board:
    """All of it. Raises `ConfigError` for forecasts of which nothing can be measured, naming the router."""
    _check(ground, forecasts)
    forecasts = [_levelled(ground, one) for one in forecasts]
    groups = _groups(ground)
    total = (1 + len(groups)) * len(forecasts)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        watch("measuring", done, total)

    whole = _board(ground, forecasts, step)
    parts = {
        name: _board(ground.part(rows), [_part(of, rows) for of in forecasts], step) for name, rows in groups.items()
    }
    return replace(whole, groups=parts)


def headline_of(ground: Ground, forecasts: Forecasts) -> Estimate:
    """The headline figure alone. Raises `ConfigError` like `measure`."""
    _check(ground, [forecasts])
    row = _row(ground, _levelled(ground, forecasts))
    return row.figures[Board(ground, ()).headline].estimate


def _board(ground: Ground, forecasts: Sequence[Forecasts], step: Callable[[], None]) -> Board:
    rows = []
    for one in forecasts:
        rows.append(_row(ground, one))
        step()
    return Board(ground, (*rows, *_others(ground)))


def _row(ground: Ground, forecasts: Forecasts) -> Row:
    try:
        if ground.pair is None:
            pool = pools.of_router(ground, forecasts)
            return Row(forecasts.name, forecasts.role, pool.figures, pool.curve, None, forecasts)
        pair = pairs.of_router(ground, forecasts.swept)
    except ValueError as error:
        raise ConfigError(f"the router {forecasts.name!r} cannot be measured: {error}") from error
    return Row(forecasts.name, forecasts.role, pair.figures, pair.curve, pair, forecasts)


def _others(ground: Ground) -> list[Row]:
    """What stands in every table: single members, chance, the random mix, and the oracle."""
    import numpy as np

    members = ground.outcomes.members
    if ground.pair is None:
        singles = [pools.of_single(ground, n) for n in range(len(members))]
        rows = [Row(name, "single", of.figures, of.curve) for name, of in zip(members, singles, strict=True)]
        rows.append(Row(CHANCE, "chance", pools.of_chance(ground).figures))
        if ground.costs is not None:
            mix = pools.of_mix(ground)
            rows.append(Row(MIX, "chance", mix.figures, mix.curve))
        oracle = pools.of_oracle(ground)
        return [*rows, Row(ORACLE, "oracle", oracle.figures, oracle.curve)]
    from coterie.evaluation.routing.pgr import oracle_curve

    mixed = pairs.of_router(ground, np.zeros(ground.scores.shape))
    points = [(np.array([place]), np.array([of.mean()])) for place, of in ((0.0, ground.weak), (1.0, ground.strong))]
    names = (ground.pair.weak, ground.pair.strong)
    return [
        *(Row(name, "single", {}, point) for name, point in zip(names, points, strict=True)),
        Row(MIX, "chance", mixed.figures, mixed.curve, mixed),
        Row(ORACLE, "oracle", pairs.of_oracle(ground), oracle_curve(ground.weak, ground.strong)),
    ]


def _check(ground: Ground, forecasts: Sequence[Forecasts]) -> None:
    names = [one.name for one in forecasts]
    taken = {*ground.outcomes.members, MIX, CHANCE, ORACLE}
    wrong = [name for name in names if names.count(name) > 1 or name in taken]
    if wrong:
        raise ConfigError(f"a router's name is its own, unlike {wrong[0]!r}: no other router or member has it")
    for one in forecasts:
        if one.quality.shape != ground.scores.shape:
            raise ConfigError(
                f"the router {one.name!r} has forecasts of the shape {one.quality.shape!r}, "
                f"and the outcomes {ground.scores.shape!r}"
            )


def _groups(ground: Ground) -> dict[str, NDArray[np.int64]]:
    """Prompts by where they are from, the largest first; of ``mmlu/anatomy`` the part before the line counts.

    Nothing where there is one group, or are too many of them. Groups of few prompts are left out.
    """
    import numpy as np

    names = np.array([group.partition("/")[0] for group in ground.outcomes.groups])
    found, counts = np.unique(names, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = [str(found[n]) for n in order if counts[n] >= FEWEST_PROMPTS and found[n]]
    if len(found) < 2 or len(found) > MOST_GROUPS:
        return {}
    return {name: np.flatnonzero(names == name) for name in kept}


def _part(forecasts: Forecasts, rows: NDArray[np.int64]) -> Forecasts:
    expected = None if forecasts.expected_usd is None else forecasts.expected_usd[rows]
    levels = None if forecasts.levelled is None else forecasts.levelled[rows]
    return replace(forecasts, quality=forecasts.quality[rows], expected_usd=expected, levelled=levels)


def _levelled(ground: Ground, forecasts: Forecasts) -> Forecasts:
    """The forecasts with what decisions are swept over."""
    if ground.folds is None:
        return forecasts
    return replace(forecasts, levelled=folds.levelled(forecasts.quality, ground.folds))
