"""What Eagle goes by (2409.15518)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from coterie.errors import ConfigError

Standing = Literal["average", "final"]
"""A member's global rating: the mean over its battles, or what it is after the last one."""


@dataclass(frozen=True)
class EagleRules:
    """Eagle's hyper-parameters; the defaults are the paper's."""

    p: float = 0.5
    """What the global rating weighs; the local one weighs the rest."""
    neighbours: int = 20
    """N: the local rating is fought out over so many of the nearest prompts that were learned of."""
    k: float = 32.0
    """The most that one battle can move a rating, in Elo points."""
    ratings: Standing = "average"
    """`average` as the paper says; `final` follows members whose quality drifts."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise ConfigError(f"p lies between 0 (local) and 1 (global), not at {self.p!r}")
        if self.neighbours < 0:
            raise ConfigError(f"neighbours is a number of prompts, not {self.neighbours!r}")
        if not 0.0 < self.k <= 1000.0:
            raise ConfigError(f"k lies above 0 and at 1000 Elo points at most, not at {self.k!r}")
        if self.ratings not in get_args(Standing):
            raise ConfigError(f"ratings are 'average' or 'final', not {self.ratings!r}")
