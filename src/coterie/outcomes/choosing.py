"""What outcomes must hold for a router to learn whom to choose."""

from __future__ import annotations

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons, Outcomes


def to_choose_by(lessons: Lessons, kind: str) -> Outcomes:
    """The outcomes. Raises `ConfigError` where there are none, of one member only, or all known scores are the same."""
    import numpy as np

    outcomes = lessons.outcomes
    if outcomes is None or not len(outcomes):
        raise ConfigError(f"a router of the kind {kind!r} learns from outcomes, and there are none")
    if len(outcomes.members) < 2:
        raise ConfigError(f"a router chooses among members, and {list(outcomes.members)!r} are not several")
    known = outcomes.scores[~np.isnan(outcomes.scores)]
    if not known.size:
        raise ConfigError("there is nothing to learn from: no score is known")
    if known.min() == known.max():
        raise ConfigError(f"there is nothing to learn from: all {known.size} known scores are {float(known[0])!r}")
    return outcomes
