"""What an evaluation of blending records: one row for each question that one way of answering was given.

After the evaluation of "Efficient Blending" (chapters 5 and 6). Rows hold what was measured, never what was made of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal["single", "baseline", "oracle", "selection", "blend"]
"""A member alone; a rule that looks at nobody's worth, such as drawing one; the best in hindsight; one of several,
chosen whole; an answer composed of several. Tables hold them in this order."""

KINDS: tuple[Kind, ...] = get_args(Kind)

FULL_RANKING = "full_ranking"
"""The policy that all others are held against."""

Place = tuple[str, str, int]
"""Where a question stands: data set, conversation, turn."""


@dataclass(frozen=True)
class Variant:
    """One way of answering, as it was set. Rows of one variant are averaged, rows of different ones compared."""

    method: str
    """Its name; what it is called without its policy, its N and its K."""
    kind: Kind
    n: int = 1
    """N, the members of the pool: as configured, whoever a policy leaves out or fails."""
    top_k: int | None = None
    """K, how many of the best are fused; ``None`` where nobody chooses."""
    judge: str = ""
    rule: str = ""
    policy: str = ""
    """The kind of the ranking-reduction policy, or a name that the header's `policies` explain."""
    temperature: float | None = None


@dataclass(frozen=True)
class Row:
    """One question, answered or not by one variant under one seed. ``None`` is what nobody measured."""

    dataset: str
    conversation: str
    turn: int
    """From 1."""
    method: str
    kind: Kind
    n: int = 1
    top_k: int | None = None
    judge: str = ""
    rule: str = ""
    policy: str = ""
    temperature: float | None = None
    seed: int = 0
    """Rows that differ in it alone are averaged, question by question."""
    text: str = ""
    author: str = ""
    how: str = ""
    """``fused``, ``ranked``...: how the answer came about, fallbacks included."""
    failed: str = ""
    """Why there is no answer; empty where there is one."""
    quality: Mapping[str, float | None] = field(default_factory=dict, hash=False)
    """By metric, on the metric's own scale."""
    time_s: float | None = None
    """Critical path of the recorded latencies: members side by side, stages one after another."""
    generate_s: float | None = None
    rank_s: float | None = None
    """Reviews or a ranker's forwards, whichever ranked."""
    fuse_s: float | None = None
    wall_s: float | None = None
    """What a clock on the wall showed."""
    ranked: bool = False
    """r of 3.1.4: true where this turn was ranked."""
    asked: int | None = None
    """Members that were to write on this turn; N where no policy said less."""
    reviews_each: int | None = None
    """k: review calls that each of them was to get where the turn is ranked; 0 where no member reviews."""
    generations: int | None = None
    reviews: int | None = None
    fusions: int | None = None
    """Calls as they were counted, those that failed included."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    memory_bytes: int | None = None
    similarity: float | None = None
    """How alike the candidates were, 0 to 1."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {self.kind!r}")
        for name, least in (("turn", 1), ("n", 1), ("top_k", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is at least {least}, not {value!r}")
        for name in MEASURED:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is a number from 0 on, or null where it is unknown, not {value!r}")
        for metric, value in self.quality.items():
            if value is not None and not math.isfinite(value):
                raise ValueError(f"quality {metric!r} is a number, or null where there is none, not {value!r}")
        if self.failed and any(value is not None for value in self.quality.values()):
            raise ValueError(f"what failed ({self.failed!r}) has no quality, but {dict(self.quality)!r} is given")

    @property
    def place(self) -> Place:
        return (self.dataset, self.conversation, self.turn)

    @property
    def variant(self) -> Variant:
        return Variant(self.method, self.kind, self.n, self.top_k, self.judge, self.rule, self.policy, self.temperature)

    @property
    def key(self) -> tuple[Place, Variant, int]:
        """The same for rows of which only one can stand."""
        return (self.place, self.variant, self.seed)


MEASURED = (
    "time_s",
    "generate_s",
    "rank_s",
    "fuse_s",
    "wall_s",
    "asked",
    "reviews_each",
    "generations",
    "reviews",
    "fusions",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "memory_bytes",
    "similarity",
)
"""Fields of a row that are never below 0."""


@dataclass(frozen=True)
class Question:
    """What was asked, once for all who answered it."""

    dataset: str
    conversation: str
    turn: int
    text: str
    gold: tuple[str, ...] = ()
    """Reference answers; empty where there is none."""
    domain: str = ""

    @property
    def place(self) -> Place:
        return (self.dataset, self.conversation, self.turn)
