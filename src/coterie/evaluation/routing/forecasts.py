"""What a router expected on the prompts that it is measured on, and what expecting it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from coterie.prospects import Scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Role = Literal["router", "baseline"]


@dataclass(frozen=True)
class Timing:
    """What decisions took, one query at a time, without the encoder."""

    p50_s: float
    p99_s: float
    queries: int
    """How many were timed."""
    fit_s: float | None = None
    """What all fits took together; ``None`` where it was fitted elsewhere."""


@dataclass(frozen=True, eq=False)
class Forecasts:
    """A router's expectations, made without the outcomes of these prompts."""

    name: str
    quality: Array
    """(prompts, members), on `scale`; NaN where the router does not know the member."""
    scale: Scale = Scale.SCORE
    role: Role = "router"
    expected_usd: Array | None = None
    """(prompts, members): what it expected calls to cost; ``None`` where the mean over these prompts is to stand in."""
    usd_per_query: float = 0.0
    """What asking the router itself costs."""
    reads_vectors: bool = False
    """True where an encoder works before it."""
    timing: Timing | None = None
    note: str = ""
    """Where it is from, where that is not plain."""
    levelled: Array | None = None
    """`quality` as `folds.levelled` makes it, where each fold was forecast by a router of its own."""

    @property
    def swept(self) -> Array:
        """What decisions are swept over."""
        return self.quality if self.levelled is None else self.levelled
