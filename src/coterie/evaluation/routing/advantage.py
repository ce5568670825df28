"""Hybrid LLM's measures of a pair (2404.14618, section 4): what goes to the small member, and what that loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.evaluation.routing.curves import at
from coterie.evaluation.routing.sweeps import by_preference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.evaluation.routing.sweeps import Sweep

    Array = NDArray[np.float64]

ADVANTAGES = (0.1, 0.2, 0.4)
"""The cost advantages of the paper's table 1."""

MOST_DROP = 0.01
"""The quality that may be lost where a threshold is chosen (section 4.5)."""

SAMPLES = 500
"""Prompts that a threshold is chosen on (section 4.5)."""


@dataclass(frozen=True)
class Advantage:
    """What one threshold does."""

    threshold: float
    """The large member answers where the preference for it is at least this."""
    advantage: float
    """The share of prompts that go to the small member: "cost advantage"."""
    drop: float
    """The share of quality lost against sending everything to the large member; below 0 where it is won."""


def drops(share: Array, quality: Array) -> Array:
    """The quality lost at each of `ADVANTAGES`, [curves, 3], as a share of the large member's.

    Curves [curves, points] of a sweep of preferences.
    """
    import numpy as np

    large = quality[:, -1]
    return np.stack([drop_of(at(share, quality, 1 - advantage), large) for advantage in ADVANTAGES], axis=1)


def drop_of(quality: Array, large: Array) -> Array:
    """(large - quality) / |large|: scores may be below 0, as BARTScore's are. NaN where the large member's is 0."""
    import numpy as np

    size = np.abs(large)
    lost: Array = np.divide(large - quality, size, out=np.full(np.shape(quality - size), np.nan), where=size > 0)
    return lost


def chosen_threshold(preference: Array, weak: Array, strong: Array, most_drop: float = MOST_DROP) -> Advantage:
    """The threshold of most cost advantage among those that lose at most `most_drop`, over every threshold there is.

    All (prompts,). Choose on some prompts, and apply it with `applied` to others: on these ones it flatters. Where
    every other threshold loses too much, it is the one that sends all prompts to the large member.
    """
    import numpy as np

    sweep = by_preference(preference, weak, strong)
    share, quality = sweep.curve()
    lost = drop_of(quality, np.full(len(quality), quality[-1]))
    within = np.flatnonzero((lost <= most_drop) | (np.arange(len(lost)) == len(lost) - 1))
    first = int(within[0])
    threshold = float(sweep.values[first - 1]) if first else float(np.nextafter(preference.max(), np.inf))
    return Advantage(threshold, float(1 - share[first]), float(lost[first]))


def applied(threshold: float, preference: Array, weak: Array, strong: Array) -> Advantage:
    """What a threshold does on prompts, (prompts,)."""
    import numpy as np

    large = preference >= threshold
    lost = drop_of(np.where(large, strong, weak).mean(), strong.mean())
    return Advantage(threshold, float(1 - large.mean()), float(lost))


def gap_difference(sweep: Sweep, weak: Array, strong: Array, advantage: float) -> float:
    """Mean gap (small less large) of the prompts sent to the small member less that of the others; random gives 0.

    At a cost advantage strictly between 0 and 1 (the paper's validation figure). Ties count in part.
    """
    if not 0 < advantage < 1:
        raise ValueError(f"a cost advantage that leaves prompts on both sides lies between 0 and 1, not {advantage!r}")
    share, quality = sweep.curve()
    gained = float(at(share[None], quality[None], 1 - advantage)[0] - weak.mean())
    whole = float((strong - weak).mean())
    return gained / (1 - advantage) - (whole - gained) / advantage
