"""Families of decisions, swept exactly: every place where a choice changes, from the cheapest decision to the dearest.

A router says what it expects; a family of decisions (a threshold, a price of quality) makes choices of it. As the
parameter moves, prompts change hands one after another; those that change at one value change together, so a tie is
never broken. A sweep is these changes with what they cost and gain, so that the curve of any sample of the prompts is a
product and a running sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Places = NDArray[np.int64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sweep:
    """The decisions of a family in a row: what the first one scores and costs, and every change after it."""

    score: Array
    """(prompts,): of the choices under the first decision. Members that cannot be told apart count by their mean."""
    cost: Array
    """(prompts,), in USD or in calls."""
    prompt: Places
    """(changes,): whose choice changes, in the order of the parameter."""
    gain: Array
    """(changes,): what the change adds to the prompt's score."""
    price: Array
    """(changes,): what it adds to the prompt's cost."""
    ends: Places
    """(steps,): how many changes are made by the end of each step; those of one step are made at one value."""
    values: Array
    """(steps,): the parameter at which the step is made."""

    def __len__(self) -> int:
        return len(self.score)

    @property
    def changes(self) -> int:
        return len(self.prompt)

    def curve(self) -> tuple[Array, Array]:
        """Mean cost and mean score of every decision, (steps + 1,) each."""
        import numpy as np

        cost, score = self.curves(np.ones((1, len(self))))
        return cost[0], score[0]

    def curves(self, weights: Array) -> tuple[Array, Array]:
        """The curve of each sample, [samples, steps + 1]; `weights` [samples, prompts]: how often it has a prompt."""
        total = weights.sum(axis=1, keepdims=True)
        drawn = weights[:, self.prompt]
        return (
            self._summed(weights @ self.cost, drawn * self.price) / total,
            self._summed(weights @ self.score, drawn * self.gain) / total,
        )

    def thinned(self, most: int) -> Sweep:
        """The same family, seen at no more than `most` of its steps, the last one among them."""
        import numpy as np

        if len(self.ends) <= most:
            return self
        wanted = np.linspace(0, self.changes, most + 1)[1:]
        kept = np.unique(np.searchsorted(self.ends, np.ceil(wanted - 1e-9)))
        return replace(self, ends=self.ends[kept], values=self.values[kept])

    def _summed(self, first: Array, changes: Array) -> Array:
        import numpy as np

        run = np.cumsum(changes, axis=1)[:, self.ends - 1] if self.changes else changes
        whole: Array = np.concatenate([np.zeros((len(first), 1)), run], axis=1) + first[:, None]
        return whole


# ---- families -----------------------------------------------------------------------------------


def by_preference(preference: Array, weak: Array, strong: Array) -> Sweep:
    """The strong member where `preference` is at least a threshold, which falls; cost is the share of its calls.

    All three (prompts,). From no call of the strong member to all. RouteLLM's and Hybrid LLM's family.
    Raises `ValueError` where a preference is unknown.
    """
    import numpy as np

    if np.isnan(preference).any():
        raise ValueError(f"the preference is unknown for {int(np.isnan(preference).sum())} prompts")
    order = np.argsort(-preference, kind="stable")
    ends, values = _steps(preference[order])
    ones, zeros = np.ones(len(order)), np.zeros(len(order))
    return Sweep(weak, zeros, order, (strong - weak)[order], ones, ends, values)


def by_utility(quality: Array, expected_usd: Array, scores: Array, costs: Array, *, whole: bool = False) -> Sweep:
    """The member with the highest `quality - price * expected_usd`, while the price of quality falls to 0.

    All (prompts, members); an unknown quality (NaN) is never chosen. From the cheapest member to the one of highest
    quality, the cheaper one of equals. `whole`: the price goes on below 0, to the dearest member. RouterBench's
    willingness to pay is 1 / price (2403.12031). Raises `ValueError` for a prompt of whose members none is known.
    """
    import numpy as np

    known = _known(quality, expected_usd)
    rows = np.arange(len(quality))
    usd = np.where(known, expected_usd, np.inf)
    chosen = _best_of(known & (usd == usd.min(axis=1, keepdims=True)), quality)
    least = -np.inf if whole else 0.0
    score, cost = _mean_of(chosen, scores), _mean_of(chosen, costs)
    found: list[tuple[Places, Array, Array, Array]] = []
    last = np.full(len(quality), np.inf)
    now = score, cost
    while len(rows):
        q, c = _of(chosen[rows], quality[rows]), _of(chosen[rows], expected_usd[rows])
        dearer = known[rows] & (expected_usd[rows] > c[:, None])
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = np.where(dearer, (quality[rows] - q[:, None]) / (expected_usd[rows] - c[:, None]), -np.inf)
        price = slope.max(axis=1)
        going = price > least
        rows, slope, price = rows[going], slope[going], price[going]
        reached = slope == price[:, None]
        far = np.where(reached, expected_usd[rows], -np.inf)
        chosen[rows] = _best_of(reached & (far == far.max(axis=1, keepdims=True)), quality[rows])
        last[rows] = np.minimum(last[rows], price)
        then = _mean_of(chosen, scores), _mean_of(chosen, costs)
        found.append((rows, last[rows].copy(), (then[0] - now[0])[rows], (then[1] - now[1])[rows]))
        now = then
    return _sweep(score, cost, found, falling=True)


def by_threshold(
    quality: Array,
    expected_usd: Array,
    scores: Array,
    costs: Array,
    otherwise: Literal["dearest", "best", "cheapest"] = "dearest",
) -> Sweep:
    """The cheapest member whose quality is above a threshold, which rises; where none is, `otherwise`.

    Arrays as in `by_utility`. FORC's thresholding (2308.06077); the members' order breaks ties in cost, as it does in
    the decision `cheapest_above`.
    """
    import numpy as np

    known = _known(quality, expected_usd)
    rows = np.arange(len(quality))
    usd = np.where(known, expected_usd, np.inf)
    place = np.argmin(usd, axis=1)
    score, cost = scores[rows, place], costs[rows, place]
    found: list[tuple[Places, Array, Array, Array]] = []
    here = rows
    while len(here):
        above = known[here] & (quality[here] > quality[here, place[here]][:, None])
        next_usd = np.where(above, usd[here], np.inf)
        there = np.isfinite(next_usd).any(axis=1)
        here, to = here[there], np.argmin(next_usd[there], axis=1)
        found.append(_moved(here, place[here], to, quality, scores, costs))
        place[here] = to
    if otherwise != "best":
        end = np.argmin(usd, axis=1) if otherwise == "cheapest" else np.argmax(np.where(known, usd, -np.inf), axis=1)
        moving = rows[end != place]
        found.append(_moved(moving, place[moving], end[moving], quality, scores, costs))
    return _sweep(score, cost, found, falling=False)


def _moved(
    rows: Places, old: Places, new: Places, quality: Array, scores: Array, costs: Array
) -> tuple[Places, Array, Array, Array]:
    """Who changes, at which threshold, and what that gains and costs."""
    gain = scores[rows, new] - scores[rows, old]
    return rows, quality[rows, old], gain, costs[rows, new] - costs[rows, old]


def _known(quality: Array, expected_usd: Array) -> Mask:
    """Which qualities are known. Raises `ValueError` where of a prompt none is, or a cost is not."""
    import numpy as np

    known: Mask = ~np.isnan(quality)
    if not known.any(axis=1).all():
        raise ValueError(f"of {int((~known.any(axis=1)).sum())} prompts no member's quality is known")
    if np.isnan(expected_usd[known]).any():
        raise ValueError("a decision that weighs cost needs the expected cost of every member that may be chosen")
    return known


def _best_of(mask: Mask, quality: Array) -> Mask:
    """Of the members in `mask` those of the highest quality."""
    import numpy as np

    seen = np.where(mask, quality, -np.inf)
    best: Mask = mask & (seen == seen.max(axis=1, keepdims=True))
    return best


def _of(chosen: Mask, values: Array) -> Array:
    """The value of the chosen members, which is the same for all of them."""
    import numpy as np

    found: Array = np.take_along_axis(values, np.argmax(chosen, axis=1)[:, None], axis=1)[:, 0]
    return found


def _mean_of(chosen: Mask, values: Array) -> Array:
    """The mean over the chosen members."""
    import numpy as np

    mean: Array = np.where(chosen, values, 0.0).sum(axis=1) / chosen.sum(axis=1)
    return mean


def _sweep(score: Array, cost: Array, found: list[tuple[Places, Array, Array, Array]], *, falling: bool) -> Sweep:
    import numpy as np

    prompt, values, gain, price = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-values if falling else values, kind="stable")
    ends, steps = _steps(values[order])
    return Sweep(score, cost, prompt[order], gain[order], price[order], ends, steps)


def _steps(values: Array) -> tuple[Places, Array]:
    """Where runs of equal values end, and their values."""
    import numpy as np

    last = np.append(values[1:] != values[:-1], True)[: len(values)]
    ends = np.flatnonzero(last)
    return ends + 1, values[ends]
