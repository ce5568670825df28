"""Calibration: the setting of a decision that gives a wanted share, cost or quality on traffic of one's own.

The setting is chosen on one half of the requests and checked on the other, which had no part in choosing it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from coterie.decisions import Budget, CheapestAbove, Threshold, Utility
from coterie.errors import ConfigError
from coterie.evaluation.significance import Bootstrap, Estimate, estimate
from coterie.prospects import Prospects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Tunable = Threshold | CheapestAbove | Utility | Budget

SETTING: Mapping[type[Tunable], str] = {
    Threshold: "at",
    CheapestAbove: "quality",
    Utility: "per_usd",
    Budget: "usd",
}
"""What of each decision is calibrated."""

MOST_VALUES = 201
"""Settings that are tried: quantiles of those at which some request changes hands."""

FEWEST = 20
"""Requests on each side, below which nothing is fitted."""

SHARE_TOLERANCE = 0.05
"""How far from the wanted share of calls, on either side, a share is still the wanted one."""

ROUNDING = 1e-9
"""Of a figure: what summing in another order may change of it."""


@dataclass(frozen=True)
class Aim:
    """What is wanted over many requests: one of these."""

    share: tuple[str, float] | None = None
    """Of calls, to one member."""
    mean_usd: float | None = None
    """For a request, with the most quality that this buys."""
    quality: float | None = None
    """Mean score, for the least money; needs known scores."""
    drop: float | None = None
    """As `quality`: so much less, relatively, than the best single member's (Hybrid LLM, 2404.14618, section 4.5)."""

    def __post_init__(self) -> None:
        given = [name for name in ("share", "mean_usd", "quality", "drop") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(f"calibrate for one aim (a share, a mean cost, a quality, a drop), not for {given!r}")
        if self.share is not None and not 0.0 <= self.share[1] <= 1.0:
            raise ConfigError(f"a share lies between 0 and 1, not at {self.share[1]!r}")
        if self.mean_usd is not None and not 0.0 <= self.mean_usd < np.inf:
            raise ConfigError(f"a mean cost is 0 USD or more, not {self.mean_usd!r}")
        if self.quality is not None and not np.isfinite(self.quality):
            raise ConfigError(f"a mean score is a number, not {self.quality!r}")
        if self.drop is not None and not 0.0 <= self.drop < 1.0:
            raise ConfigError(
                f"a drop is a share of the best member's mean score, 0 or more and below 1: {self.drop!r}"
            )


@dataclass(frozen=True, eq=False)
class Traffic:
    """Requests as a router sees them, with what is known of how they turned out."""

    prompts: tuple[str, ...]
    prospects: tuple[Prospects, ...]
    """One a request, all of one router over one pool."""
    scores: Floats
    """(requests, members), in the order of the prospects; NaN where nobody knows."""
    costs_usd: Floats
    """(requests, members): as recorded, else as expected; NaN where nobody knows."""

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(prospect.member for prospect in self.prospects[0].members)

    def rows(self, at: Sequence[int]) -> Traffic:
        return Traffic(
            tuple(self.prompts[n] for n in at),
            tuple(self.prospects[n] for n in at),
            self.scores[list(at)],
            self.costs_usd[list(at)],
        )


@dataclass(frozen=True)
class Achieved:
    """What a setting does to requests."""

    shares: Mapping[str, Estimate]
    """Of calls, by member."""
    mean_usd: Estimate
    """Without the requests whose cost is unknown, which it counts."""
    quality: Estimate
    """Mean score, without the requests whose score is unknown."""
    best: str
    """The single member with the highest mean score on the requests on which every score is known; "" for none."""
    best_quality: float
    """That mean score; NaN for none."""
    drop: Estimate
    """How much less than `best_quality`, relatively, on the same requests: paired, below 0 where it is more."""


@dataclass(frozen=True)
class Calibrated:
    """A decision with the setting that was fitted, and what it does."""

    decision: Tunable
    setting: str
    value: float
    fitted: Achieved
    """On the requests it was chosen on."""
    checked: Achieved
    """On the requests set aside."""
    wanted: float
    """The aim in numbers, on the requests set aside: a share, USD, a score."""
    figure: Estimate
    """Of the requests set aside, what the aim is about: a share, USD, a score, a relative drop."""
    held: bool | None
    """True where the whole interval of `figure` is as wanted, False where none of it is, ``None`` where that cannot be
    told: the interval reaches across, or there is none."""

    @property
    def word(self) -> str:
        """What became of the aim on the requests set aside."""
        return _WORDS[self.held]


_WORDS: Mapping[bool | None, str] = {True: "held", False: "missed", None: "cannot tell"}


def calibrate(
    traffic: Traffic,
    decision: Tunable,
    aim: Aim,
    *,
    bootstrap: Bootstrap = Bootstrap(resamples=2_000),  # noqa: B008
    watch: Callable[[str, int, int], None] = lambda *_: None,
) -> Calibrated:
    """The decision with the setting that meets the aim best on half of the requests, and what it does on the others.

    A request's side depends on its prompt alone, so repeated prompts are on one side. The setting has as few digits as
    leave every request with whom it had. Raises `ConfigError` for too little traffic, for a router that knows nothing
    of any member, for an aim that needs scores or costs nobody knows, and for one that no setting reaches.
    """
    if not any(given.known for given in traffic.prospects):
        raise ConfigError(
            "the router expects nothing of any member on any of these requests, so no setting changes anything: "
            "`coterie route` shows what it says"
        )
    learned, aside = _halves(traffic.prompts)
    if min(len(learned), len(aside)) < FEWEST:
        raise ConfigError(
            f"{len(traffic.prompts)} requests are too few to calibrate on: {FEWEST} different ones must be on each side"
        )
    fit, check = traffic.rows(learned), traffic.rows(aside)
    _check_known(fit, aim)
    wanted = _wanted(fit, aim)
    setting = SETTING[type(decision)]
    value = _short(fit, decision, _chosen(fit, decision, aim, wanted, watch))
    made = _with(decision, value)
    fitted, checked = (achieved(side, made, bootstrap) for side in (fit, check))
    figure = _figure(checked, aim)
    return Calibrated(made, setting, value, fitted, checked, _wanted(check, aim), figure, _held(figure, aim))


def achieved(traffic: Traffic, decision: Tunable, bootstrap: Bootstrap = Bootstrap()) -> Achieved:  # noqa: B008
    """What a decision does to requests, with intervals over requests."""
    chosen = _choices(traffic, decision)
    at = (np.arange(len(chosen)), chosen)
    best, best_quality = _best_single(traffic)
    return Achieved(
        {
            name: estimate(list((chosen == n).astype(float)), bootstrap=bootstrap)
            for n, name in enumerate(traffic.members)
        },
        estimate([None if np.isnan(cost) else float(cost) for cost in traffic.costs_usd[at]], bootstrap=bootstrap),
        estimate([None if np.isnan(score) else float(score) for score in traffic.scores[at]], bootstrap=bootstrap),
        best,
        best_quality,
        _drop(traffic, traffic.scores[at], best, bootstrap),
    )


# ---- choosing ---------------------------------------------------------------------------------


def _chosen(
    traffic: Traffic, decision: Tunable, aim: Aim, wanted: float, watch: Callable[[str, int, int], None]
) -> float:
    values = _values(decision, traffic)
    tried: list[tuple[float, float, float, float]] = []
    """Value, share or NaN, mean cost (NaN where a part of it is unknown), quality."""
    for done, value in enumerate(values, 1):
        chosen = _choices(traffic, _with(decision, float(value)))
        at = (np.arange(len(chosen)), chosen)
        share = float((chosen == traffic.members.index(aim.share[0])).mean()) if aim.share else np.nan
        tried.append((float(value), share, float(traffic.costs_usd[at].mean()), _quality(traffic, chosen)))
        watch("settings", done, len(values))
    rows = np.array(tried)
    if aim.share is not None:
        return _closest(rows, rows[:, 1], wanted)
    if aim.mean_usd is not None:
        return _best_within(rows, wanted)
    return _cheapest_with(rows, wanted)


def _with(decision: Tunable, value: float) -> Tunable:
    changed: Mapping[str, Any] = {SETTING[type(decision)]: value}
    return replace(decision, **changed)


def _short(traffic: Traffic, decision: Tunable, value: float) -> float:
    """The value in as few digits as leave every request with whom it has: of more, nothing was learned."""
    chosen = _choices(traffic, _with(decision, value))
    for digits in range(3, 17):
        short = float(f"{value:.{digits}g}")
        if np.array_equal(_choices(traffic, _with(decision, short)), chosen):
            return short
    return value


def _closest(rows: Floats, shares: Floats, wanted: float) -> float:
    return float(rows[np.abs(shares - wanted).argmin(), 0])


def _best_within(rows: Floats, usd: float) -> float:
    """The setting with the most quality, known or else expected, that costs at most `usd`; of equals the cheaper."""
    within = rows[rows[:, 2] <= usd * (1.0 + ROUNDING)]
    if not len(within):
        least = np.nanmin(rows[:, 2]) if not np.isnan(rows[:, 2]).all() else np.nan
        raise ConfigError(
            f"no setting costs at most {usd:.3g} USD a request: "
            + ("the cost of what would be chosen is unknown" if np.isnan(least) else f"the least is {least:.3g} USD")
        )
    order = np.lexsort((within[:, 2], -within[:, 3]))
    return float(within[order[0], 0])


def _cheapest_with(rows: Floats, quality: float) -> float:
    enough = rows[rows[:, 3] >= quality - ROUNDING * abs(quality)]
    if not len(enough):
        raise ConfigError(f"no setting reaches a mean score of {quality:.4g}: the most is {np.nanmax(rows[:, 3]):.4g}")
    if np.isnan(enough[:, 2]).any():
        raise ConfigError("what settings cost is unknown, so none can be called the cheapest: give the members prices")
    return float(enough[enough[:, 2].argmin(), 0])


def _check_known(traffic: Traffic, aim: Aim) -> None:
    """Raises `ConfigError` for an aim that this traffic has nothing to say of."""
    if aim.share is not None and aim.share[0] not in traffic.members:
        raise ConfigError(f"{aim.share[0]!r} is not among the members {list(traffic.members)!r}")
    if aim.quality is None and aim.drop is None:
        return
    best, quality = _best_single(traffic)
    if not best:
        raise ConfigError("a wanted quality needs outcomes in which the score of every member is known")
    if aim.drop is not None and quality <= 0.0:
        raise ConfigError(
            f"a drop is a share of the best member's mean score, and that of {best!r} is {quality:.4g}: "
            "name the mean score that is wanted (--quality)"
        )


def _wanted(traffic: Traffic, aim: Aim) -> float:
    """The aim in numbers; for a drop the score that it leaves of the best single member's on this traffic."""
    if aim.share is not None:
        return aim.share[1]
    if aim.mean_usd is not None:
        return aim.mean_usd
    if aim.quality is not None:
        return aim.quality
    assert aim.drop is not None  # noqa: S101 - `Aim` has looked
    return (1.0 - aim.drop) * _best_single(traffic)[1]


def _best_single(traffic: Traffic) -> tuple[str, float]:
    """The member with the highest mean score where every score is known, and that mean; "" and NaN where none is."""
    complete = traffic.scores[_complete(traffic)]
    if not len(complete):
        return "", np.nan
    means = complete.mean(axis=0)
    return traffic.members[int(means.argmax())], float(means.max())


def _complete(traffic: Traffic) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = np.logical_not(np.isnan(traffic.scores).any(axis=1))
    return known


def _drop(traffic: Traffic, scores: Floats, best: str, bootstrap: Bootstrap) -> Estimate:
    """How much less the scores are on average than the best single member's; no value where its mean is 0 or less."""
    if not best:
        return estimate([], bootstrap=bootstrap)
    known = _complete(traffic)
    single = traffic.scores[:, traffic.members.index(best)]
    pairs = [(float(a), float(b)) for a, b in zip(scores[known], single[known], strict=True)]
    return estimate(pairs, _relative_loss, bootstrap)


def _relative_loss(samples: Floats) -> Floats:
    ours, best = samples[..., 0].mean(axis=1), samples[..., 1].mean(axis=1)
    loss: Floats = np.where(best > 0.0, 1.0 - ours / best, np.nan)
    return loss


# ---- settings to try --------------------------------------------------------------------------


def _values(decision: Tunable, traffic: Traffic) -> Floats:
    """Settings at which requests change hands, and one beyond each end; quantiles where there are many."""
    quality = np.array([[_number(p.quality) for p in given.members] for given in traffic.prospects])
    costs = np.array([[_number(p.cost_usd) for p in given.members] for given in traffic.prospects])
    match decision:
        case Threshold():
            found = _preferences(traffic.prospects)
            ends = [0.0, 1.0 + 1e-9]
        case CheapestAbove():
            found = quality.ravel()
            ends = [np.nanmin(quality) - 1e-9, np.nanmax(quality)]
        case Budget():
            found = costs.ravel()
            ends = [0.0, np.nanmax(costs)] if not np.isnan(costs).all() else [0.0]
        case Utility():
            gained = quality[:, :, None] - quality[:, None, :]
            paid = costs[:, :, None] - costs[:, None, :]
            with np.errstate(divide="ignore", invalid="ignore"):
                found = np.where((gained > 0) & (paid > 0), gained / paid, np.nan).ravel()
            ends = [0.0]
    found = found[np.isfinite(found)]
    if len(found) > MOST_VALUES:
        found = np.quantile(found, np.linspace(0, 1, MOST_VALUES))
    values: Floats = np.unique(np.concatenate([found, _just_above(found), ends]))
    return values


def _just_above(values: Floats) -> Floats:
    """One beyond the highest: rules that say "at least" change hands beyond a value, not at it."""
    return np.array([values.max(initial=0.0) * (1.0 + 1e-9)])


def _preferences(prospects: Sequence[Prospects]) -> Floats:
    found: list[float] = []
    for given in prospects:
        known = [prospect.quality for prospect in given.known if prospect.quality is not None]
        found += [given.scale.preference(a, b) for n, a in enumerate(known) for m, b in enumerate(known) if n != m]
    return np.array(found)


# ---- rows -------------------------------------------------------------------------------------


def _choices(traffic: Traffic, decision: Tunable) -> NDArray[np.int64]:
    places = {name: n for n, name in enumerate(traffic.members)}
    rng = random.Random(0)
    chosen = [places[decision.choose(given, rng).order[0]] for given in traffic.prospects]
    return np.array(chosen, dtype=np.int64)


def _quality(traffic: Traffic, chosen: NDArray[np.int64]) -> float:
    """Mean score of the chosen ones; where no score is known, what the router expects of them."""
    at = (np.arange(len(chosen)), chosen)
    if not np.isnan(traffic.scores).all():
        return _mean(traffic.scores[at])
    expected = [_number(given.members[n].quality) for given, n in zip(traffic.prospects, chosen, strict=True)]
    return _mean(np.array(expected))


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _halves(prompts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Requests to choose on, and to check on."""
    sides: tuple[list[int], list[int]] = ([], [])
    for n, prompt in enumerate(prompts):
        digest = hashlib.blake2b(" ".join(prompt.split()).encode("utf-8", "surrogatepass"), digest_size=1).digest()
        sides[digest[0] & 1].append(n)
    return sides


def _figure(checked: Achieved, aim: Aim) -> Estimate:
    """What the aim is about."""
    if aim.share is not None:
        return checked.shares[aim.share[0]]
    if aim.mean_usd is not None:
        return checked.mean_usd
    return checked.quality if aim.quality is not None else checked.drop


def _held(figure: Estimate, aim: Aim) -> bool | None:
    """Whether all of the interval lies where the aim wants it, or none of it."""
    if figure.low is None or figure.high is None:
        return None
    low, high = _range(aim)
    slack = ROUNDING * max(abs(figure.low), abs(figure.high))
    if low - slack <= figure.low and figure.high <= high + slack:
        return True
    return False if figure.high < low - slack or figure.low > high + slack else None


def _range(aim: Aim) -> tuple[float, float]:
    """Where the aim wants the figure."""
    if aim.share is not None:
        return aim.share[1] - SHARE_TOLERANCE, aim.share[1] + SHARE_TOLERANCE
    if aim.quality is not None:
        return aim.quality, np.inf
    most = aim.mean_usd if aim.mean_usd is not None else aim.drop
    assert most is not None  # noqa: S101 - `Aim` has looked
    return -np.inf, most
