"""Whether a way of answering is better than the best single member, when the best is known from the same data alone.

Who looks best of several on some data was also the luckiest, so its figure is too good (the winner's curse), and
whoever is compared with it looks worse than they are. Here nobody is picked. What is estimated is

    gain = ours - max over members of their true means = min over members of (ours - theirs),

by an interval that holds whichever member is truly the best:

- Its low end is the least of the low ends of our paired differences from each member. To lie above 0, we must be
  clearly better than every single member, so also than the truly best one, and no correction for their number is
  needed (intersection-union test: Berger 1982).
- Its high end is the least of their high ends, widened until all of them hold at once: in each bootstrap draw the
  member whose difference errs most, in units of its standard error, is picked anew, and the upper quantile of these
  picks says how wide (single-step max-T: Westfall and Young 1993). To lie below 0, some member must be clearly better
  than we are, even though it was looked for among several.

Drawn are conversations, whole. The gain's value itself is our mean less the highest of theirs: with the curse in it,
against us.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from coterie.evaluation.conversations import Scores, by_conversation, together
from coterie.evaluation.filling import EVERYWHERE
from coterie.evaluation.significance import STANDARD, Bootstrap, Difference, Estimate, difference, estimate

if TYPE_CHECKING:
    from coterie.evaluation.significance import Array

Verdict = Literal["yes", "no", "cannot tell"]


@dataclass(frozen=True)
class AgainstBest:
    """A way of answering against the best of the members by themselves."""

    best: str
    """The member with the highest mean; empty where there is none to compare with."""
    gain: Estimate
    """Ours less the truly best member's. `n` and `missing` count conversations."""
    each: Mapping[str, Difference] = field(hash=False)
    """Ours less each member's, each with an interval of its own, uncorrected."""
    left_out: tuple[str, ...] = ()
    """Members with too few scores to be compared."""

    @property
    def verdict(self) -> Verdict:
        """Whether ours is better: ``no`` where some member is better; ``cannot tell`` where the interval holds 0."""
        low, high = self.gain.low, self.gain.high
        if low is None or high is None or low <= 0 <= high:
            return "cannot tell"
        return "yes" if low > 0 else "no"


def against_best(
    ours: Scores, members: Mapping[str, Scores], conversations: Sequence[Hashable], bootstrap: Bootstrap = STANDARD
) -> AgainstBest:
    """Our scores, more being better, against those of the members by themselves, all of them turn by turn.

    Compared are means over conversations, of the turns on which we and all members have a score. A member that has
    none on more than a twentieth of the turns where we have one is left out: it would take those turns from all.
    Raises `ValueError` where the lengths differ.
    """
    answered = [place for place, score in enumerate(ours) if _known(score)]
    together([ours, *members.values()])  # of one length
    there = {name: of for name, of in members.items() if _covers(of, answered)}
    left_out = tuple(name for name in members if name not in there)
    if not there:
        return AgainstBest("", Estimate(None, None, None, 0), {}, left_out)
    whole = together([ours, *there.values()])
    mine, *others = ([*by_conversation(of, conversations).values()] for of in whole)
    each = {name: difference(mine, of, bootstrap=bootstrap) for name, of in zip(there, others, strict=True)}
    return AgainstBest(
        _best(each), _gain(mine, others, [of.estimate for of in each.values()], bootstrap), each, left_out
    )


def _best(each: Mapping[str, Difference]) -> str:
    """The member against which we gain least; the first of several."""
    known = {name: of.estimate.value for name, of in each.items() if of.estimate.value is not None}
    return min(known, key=lambda name: known[name]) if known else ""


def _gain(
    mine: Sequence[float | None],
    others: Sequence[Sequence[float | None]],
    each: Sequence[Estimate],
    bootstrap: Bootstrap,
) -> Estimate:
    """The least of the differences `each`, between ends that hold for the truly least."""
    values, lows = [of.value for of in each], [of.low for of in each]
    n, missing = each[0].n, each[0].missing
    if None in values:
        return Estimate(None, None, None, n, missing)
    value = min(value for value in values if value is not None)
    if None in lows:
        return Estimate(value, None, None, n, missing)
    low = min(low for low in lows if low is not None)
    return Estimate(value, low, max(value, _high(mine, others, bootstrap)), n, missing)


def _high(mine: Sequence[float | None], others: Sequence[Sequence[float | None]], bootstrap: Bootstrap) -> float:
    """The least of the high ends of all differences, widened until they hold at once."""
    import numpy as np

    rows = [
        [a - b for b in row if b is not None]
        for a, *row in zip(mine, *others, strict=True)
        if a is not None and None not in row
    ]
    gains = np.array(rows, dtype=np.float64)
    means, errors = gains.mean(axis=0), gains.std(axis=0, ddof=1) / math.sqrt(len(gains))
    vary = errors > 0

    def worst(samples: Array) -> Array:
        """Of each sample the largest error of a member's mean, in standard errors."""
        off = (samples.mean(axis=1) - means)[:, vary] / errors[vary]
        largest: Array = off.max(axis=1, initial=0.0 if not vary.all() else -np.inf)
        return largest

    width = estimate(rows, worst, bootstrap).high if vary.any() else 0.0
    return float((means + (width or 0.0) * errors).min())


def _covers(scores: Scores, answered: Sequence[int]) -> bool:
    known = sum(_known(scores[place]) for place in answered)
    return bool(known) and known >= EVERYWHERE * len(answered)


def _known(score: float | None) -> bool:
    return score is not None and not math.isnan(score)
