"""What a router expects of members, what is decided by it, and what is heard of the outcome afterwards.

The nouns of routing: frozen values that hold plain data alone. Nothing here asks a member, and nothing here
decides: routers make prospects, decisions make choices of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from coterie.types import Json


class Scale(StrEnum):
    """What a router's qualities are numbers of, which tells how often one member is preferred to another."""

    SCORE = "score"
    """An expected score, in [0, 1] where the outcomes it was learned from are."""
    LOGIT = "logit"
    """Log-odds: the difference of two is the log-odds that the first is preferred."""
    ELO = "elo"
    """Elo points: 400 more make the first ten times as likely to be preferred."""

    def preference(self, first: float, second: float) -> float:
        """How likely the member with quality `first` is preferred to the one with `second`, in [0, 1].

        On the scale of scores it is the difference, moved so that equal ones give 1/2: no probability, but in
        the same order as one, and exactly a router's win rate p where it says p of one and 1 - p of the other.
        """
        match self:
            case Scale.SCORE:
                return min(1.0, max(0.0, (1.0 + first - second) / 2.0))
            case Scale.LOGIT:
                return _logistic(first - second)
            case Scale.ELO:
                return _logistic((first - second) * math.log(10.0) / 400.0)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


@dataclass(frozen=True)
class Prospect:
    """What a router expects of one member, for one request."""

    member: str
    quality: float | None
    """On the router's scale, higher is better; ``None`` where the router knows nothing of the member."""
    cost_usd: float | None = None
    """USD for this request; ``None`` where it is unknown, which is not free."""
    output_tokens: float | None = None
    """How many tokens it is expected to write: what a cost is told from, with the member's price."""
    uncertainty: float | None = None
    """How far off the quality may be, in its own unit (a standard deviation, a confidence width)."""

    def __post_init__(self) -> None:
        for name in ("quality", "cost_usd", "output_tokens", "uncertainty"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} of {self.member!r} must be a number or unknown, not {value!r}")
            if value is not None and value < 0 and name != "quality":
                raise ValueError(f"{name} of {self.member!r} cannot be negative, as {value!r} is")


@dataclass(frozen=True)
class Prospects:
    """What a router expects of each member of a pool, for one request."""

    router: str
    """The router's kind."""
    scale: Scale
    members: tuple[Prospect, ...]
    """In pool order, which breaks ties."""
    basis: str = ""
    """What the qualities rest on, for whoever reads the trace."""

    @property
    def known(self) -> tuple[Prospect, ...]:
        """The members that the router knows something of."""
        return tuple(prospect for prospect in self.members if prospect.quality is not None)

    def of(self, member: str) -> Prospect:
        """What is expected of that member. Raises `KeyError`."""
        return {prospect.member: prospect for prospect in self.members}[member]


@dataclass(frozen=True)
class Choice:
    """Members in the order in which they are to be asked, and why."""

    order: tuple[str, ...]
    """The chosen one first; the others are asked where it fails, or where several are to answer."""
    reason: str
    probability: float | None = None
    """How likely the draw was, where one was made: what a learner needs to weigh it."""


@dataclass(frozen=True)
class Feedback:
    """What somebody says of an answer afterwards."""

    rating: float | None = None
    """How good it was, 0 to 1."""
    preferred: str | None = None
    """The member whose answer was better, of two; with `over`."""
    over: str | None = None
    """The member whose answer was worse."""
    tie: bool = False
    """True where `preferred` and `over` are equally good."""
    correction: str | None = None
    """What should have been answered. It is kept for whoever trains later; no router learns from it."""

    def __post_init__(self) -> None:
        if self.rating is not None and not 0.0 <= self.rating <= 1.0:
            raise ValueError(f"a rating lies between 0 and 1, not at {self.rating!r}")
        if (self.preferred is None) != (self.over is None):
            raise ValueError(f"a preference names two members, not {self.preferred!r} and {self.over!r}")
        if self.preferred is not None and self.preferred == self.over:
            raise ValueError(f"{self.preferred!r} cannot be preferred to itself")
        if self.rating is None and self.preferred is None and self.correction is None:
            raise ValueError("feedback gives a rating, a correction, or says which of two members was better")


@dataclass(frozen=True)
class Routed:
    """What is kept of a routed run, so that feedback can be learned from later. It holds no text."""

    method: str
    """The method that was asked."""
    learner: str
    """Where the learner's lessons stand, in the store."""
    chosen: tuple[str, ...]
    """Who answered: the members that the answer was made from."""
    features: Json = None
    """What the learner wants to know of the request again, such as its vector."""
    cost_usd: float | None = None
    """What the run cost."""
    latency_s: float | None = None
    output_tokens: int | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Lesson:
    """One piece of feedback together with what is kept of the run it speaks of: what a learner learns from."""

    routed: Routed
    feedback: Feedback
