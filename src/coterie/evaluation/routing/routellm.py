"""What RouteLLM's evaluation computes, as its code has it (lm-sys/RouteLLM 0b64fda, routellm/evals), to compare with
published numbers. `pgr` computes the same measures over all thresholds.

It looks at eleven thresholds, the deciles of the router's win rates. A prompt goes to the strong member where its win
rate is at least the threshold, at the last one where it is above it. So the curve has eleven points, from all calls to
none. Two habits are kept: equal deciles are an error, as `pandas.qcut` makes them, so a router of few distinct values
has no result at all; and CPT interpolates the accuracies in the order of the calls, sorted or not, which is right only
where accuracy rises with every point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coterie.evaluation.routing.curves import area

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RESULTS = 10
"""Its ``--num-results``."""

LEVELS = (0.2, 0.5, 0.8)


def routellm_thresholds(win_rates: Array, results: int = RESULTS) -> Array:
    """The quantiles of the win rates at 0, 1/results, ..., 1, interpolated linearly, (results + 1,).

    A place that is no binary fraction is rounded up, as pandas does, so that a quantile which falls on a win rate
    falls on the same side of it. Raises `ValueError` where two of them are equal.
    """
    import numpy as np

    places = np.linspace(0, 1, results + 1)
    inexact = results * places != np.arange(results + 1)
    places[inexact] = np.nextafter(places[inexact], 1)
    thresholds: Array = np.percentile(win_rates, 100 * places)
    if len(np.unique(thresholds)) <= results:
        raise ValueError(
            f"RouteLLM's evaluation needs {results + 1} different quantiles of the win rates, and of these "
            f"{len(win_rates)} there are {len(np.unique(thresholds))}: too many win rates are equal"
        )
    return thresholds


def routellm_points(win_rates: Array, weak: Array, strong: Array, results: int = RESULTS) -> tuple[Array, Array]:
    """Strong calls and accuracy at each threshold, both in percent, sorted by calls. Raises `ValueError` for ties."""
    import numpy as np

    thresholds = routellm_thresholds(win_rates, results)
    selected = [win_rates >= threshold for threshold in thresholds[:-1]] + [win_rates > thresholds[-1]]
    calls = np.array([100 * chosen.mean() for chosen in selected])
    accuracy = np.array([100 * np.where(chosen, strong, weak).mean() for chosen in selected])
    order = np.argsort(calls, kind="stable")
    return calls[order], accuracy[order]


def routellm_auc(calls: Array, accuracy: Array) -> float:
    """The area under accuracy over the share of strong calls, accuracy in percent."""
    return float(area(calls / 100, accuracy))


def routellm_apgr(calls: Array, accuracy: Array, weak: float, strong: float) -> float:
    """(AUC - AUC of the weak member) / (AUC of the strong one - AUC of the weak one), over the same calls.

    `weak` and `strong` are accuracies in percent. NaN where they are equal.
    """
    import numpy as np

    low, high = (routellm_auc(calls, np.full(len(calls), level)) for level in (weak, strong))
    return (routellm_auc(calls, accuracy) - low) / (high - low) if high != low else float("nan")


def routellm_cpt(calls: Array, accuracy: Array, weak: float, strong: float, level: float) -> float:
    """Strong calls in percent at which `level` of the gap is recovered: `numpy.interp` on accuracies as they come."""
    import numpy as np

    return float(np.interp(level * (strong - weak) + weak, accuracy, calls))


def routellm_table(win_rates: Array, weak: Array, strong: Array) -> dict[str, float]:
    """The row that RouteLLM prints: CPT at 20, 50 and 80 %, AUC and APGR. Raises `ValueError` for ties."""
    calls, accuracy = routellm_points(win_rates, weak, strong)
    ends = 100 * float(weak.mean()), 100 * float(strong.mean())
    cpt = {f"cpt{level:.0%}".removesuffix("%"): routellm_cpt(calls, accuracy, *ends, level) for level in LEVELS}
    return {**cpt, "auc": routellm_auc(calls, accuracy), "apgr": routellm_apgr(calls, accuracy, *ends)}


def routellm_optimal(weak: Array, strong: Array, share: float) -> float:
    """Accuracy in percent with the strong member on that share of calls, each where it alone is right; scores 0 or 1.

    A budget that is no whole number of calls counts in part.
    """
    right = float((weak == 1).sum())
    gained = min(len(weak) * share, float(((weak == 0) & (strong == 1)).sum()))
    return 100 * (right + gained) / len(weak)
