"""What the parts of the routers' benchmark tell: rows of times, with what each is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from turns import Took

Reads = Literal["vectors", "texts", "nothing", ""]
What = Literal["decision", "feedback", "journal"]


@dataclass(frozen=True)
class Row:
    """One operation of one router."""

    what: What
    router: str
    took: Took
    stored: int = 0
    """Comparisons that it goes by; 0 where its time does not depend on their number."""
    reads: Reads = ""
    """What a decision needs: a vector has to be made first."""
    beside: Mapping[str, Took] = field(default_factory=dict)
    """Limits and peers, measured in turns with it."""
    most_ms: float | None = None
    """The target of its median."""
    least_per_second: float | None = None
    """The target of its rate."""

    @property
    def held(self) -> bool | None:
        """``None`` without a target."""
        if self.most_ms is not None:
            return self.took.p50_ms <= self.most_ms
        return None if self.least_per_second is None else self.took.per_second >= self.least_per_second


@dataclass(frozen=True)
class Indexed:
    """How well an index of so many vectors finds the nearest."""

    size: int
    built_s: float
    """Since it had the size before."""
    threads: int
    """That stored the last of them."""
    recall: float
    """Share of the 20 nearest, by an exact scan, that a search finds."""
    queries: int


@dataclass(frozen=True)
class Elos:
    """How far similarity-weighted ranking is from the same fit by another method."""

    battles: int
    queries: int
    off: float
    """The largest difference of any member's Elo from the peer's, run on to a gradient of 1e-9."""
    stopped: float
    """The same of the peer where it stops by default."""


@dataclass
class Report:
    """What was measured so far."""

    rows: list[Row] = field(default_factory=list)
    indexes: list[Indexed] = field(default_factory=list)
    elos: list[Elos] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    """Lines for the reader of the page."""
    timed_s: dict[str, float] = field(default_factory=dict)
    """How long each part of the benchmark took."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    sizes: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    """Stored comparisons."""
    ranked: tuple[int, ...] = (1_000, 65_000, 100_000, 1_000_000)
    """Battles of similarity-weighted ranking."""
    blocks: int = 5
    calls: int = 200
    """In a block."""
    slow: int = 10
    """In a block, of what takes tens of milliseconds."""
    added: int = 50
    """Lessons in a block of feedback to a router that keeps each."""
    queries: int = 500
    """With which recall is measured."""
    prompt_tokens: int = 100


QUICK = Plan(
    sizes=(1_000, 8_000), ranked=(1_000, 5_000), blocks=2, calls=20, slow=2, added=5, queries=50, prompt_tokens=20
)
