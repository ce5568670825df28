"""What k nearest neighbours go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from coterie.errors import ConfigError

Weighting = Literal["even", "similarity"]
"""Every neighbour alike, or each by its cosine, one below 0 not at all."""


@dataclass(frozen=True)
class KnnRules:
    """What the router goes by."""

    k: int = 40
    """Neighbours; 40 by cosine is the baseline of Eagle's paper (2409.15518)."""
    weighting: Weighting = "even"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be at least 1, not {self.k!r}")
        if self.weighting not in get_args(Weighting):
            raise ConfigError(f"weighting is 'even' or by 'similarity', not {self.weighting!r}")
