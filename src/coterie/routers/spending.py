"""What members are expected to spend on a request, from what their answers have cost: FORC's cost model.

A call costs (input tokens + the member's mean output tokens) at its price (2308.06077, section 3.2; its released code
has one price for both). Where a price or the mean is unknown, the recorded mean cost of its answers stands in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Outcomes
from coterie.prospects import Prospect
from coterie.types import Json, Price

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BYTES_A_TOKEN = 3
"""Of a prompt, for a guess of its tokens: the one that a run makes of a request."""


@dataclass(frozen=True)
class Spending:
    """Means by member; who is not in them is unknown."""

    output_tokens: Mapping[str, float] = field(default_factory=dict)
    """Of an answer."""
    cost_usd: Mapping[str, float] = field(default_factory=dict)
    """USD for an answer, as it was recorded."""

    @classmethod
    def of(cls, outcomes: Outcomes) -> Spending:
        """The means of what is known."""
        return cls(_means(outcomes.members, outcomes.output_tokens), _means(outcomes.members, outcomes.costs_usd))

    def tells(self, member: str, price: Price | None) -> bool:
        """True where a cost follows from the price: the mean of its answers is known, or it is free."""
        return price is not None and (member in self.output_tokens or _is_free(price))

    def expected_usd(self, text: str, member: str, price: Price | None) -> float | None:
        """USD for the member's answer to `text`; ``None`` where nothing tells it, which is not free."""
        if price is None or not self.tells(member, price):
            return self.cost_usd.get(member)
        if _is_free(price):
            return 0.0
        return (guess_tokens(text) * price.input_usd + self.output_tokens[member] * price.output_usd) / 1e6

    def on(self, prospect: Prospect, price: Price | None) -> Prospect:
        """The prospect with what is expected to be spent; a cost that the price tells is left to the run."""
        member = prospect.member
        return replace(
            prospect,
            cost_usd=None if self.tells(member, price) else self.cost_usd.get(member),
            output_tokens=self.output_tokens.get(member),
        )

    def table(self, texts: Sequence[str], members: Sequence[str], prices: Mapping[str, Price]) -> NDArray[np.float64]:
        """`expected_usd` of every text and member, (texts, members); NaN where it is unknown."""
        import numpy as np

        rows = [[self.expected_usd(text, member, prices.get(member)) for member in members] for text in texts]
        return np.array(rows, dtype=np.float64).reshape(len(texts), len(members))

    def to_json(self) -> dict[str, Json]:
        """As an artifact keeps it."""
        return {"output_tokens": dict(self.output_tokens), "cost_usd": dict(self.cost_usd)}

    @classmethod
    def from_json(cls, kept: Json) -> Spending:
        """What `to_json` gave. Raises `ConfigError`."""
        found = kept if isinstance(kept, Mapping) else {}
        means = {}
        for name in ("output_tokens", "cost_usd"):
            of = found.get(name)
            if not isinstance(of, Mapping) or not all(_is_amount(value) for value in of.values()):
                raise ConfigError(f"{name} are amounts by member, not {of!r:.80}")
            means[name] = {str(member): float(value) for member, value in of.items()}
        return cls(**means)


def guess_tokens(text: str) -> int:
    """Tokens that a prompt probably is."""
    return len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN + 1


def _is_free(price: Price) -> bool:
    return price.cost_usd(None, None) is not None


def _means(members: Sequence[str], table: NDArray[np.float64]) -> dict[str, float]:
    import numpy as np

    known = ~np.isnan(table)
    counts = known.sum(axis=0)
    sums = np.where(known, table, 0.0).sum(axis=0)
    return {name: float(sums[n] / counts[n]) for n, name in enumerate(members) if counts[n]}


def _is_amount(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
