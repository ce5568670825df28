"""PickLLM's hyper-parameters, and the reward that they make of an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PickRules:
    """How PickLLM rewards and learns (2412.12170). The paper's values were not to be had: these defaults are ours.

    The reward is known from a review alone, as R = w_a a - w_c c * w_l log10(l) * t: accuracy a, USD c, latency l
    in seconds, as a product of cost and latency. So it stands under `product`; mind that an answer within a second
    turns its price into a bonus there. `sum` is the natural other reading, w_a a - w_c c - w_l log10(l) t.
    """

    rule: Literal["reward_inaction", "q_learning"] = "reward_inaction"
    """`reward_inaction` (L_R-I) learns probabilities, to be drawn from by the decision `sample`, and comes to rest at
    one member. `q_learning` (stateless) learns expected rewards, for the decision `explore`, and never rests."""
    step: float = 0.1
    """b or α in (0, 1): how far one lesson moves what was learned."""
    stop: float = 0.99
    """Of reward inaction: nothing more is learned once a member's probability is above it; 1 never stops. That there is
    such a rule is known of the paper, its value is from memory."""
    initial: float = 0.0
    """Of Q-learning: what a member that was never tried is expected to earn."""
    reward: Literal["product", "sum"] = "product"
    accuracy_weight: float = 1.0
    cost_weight: float = 0.0
    """For one USD. Above 0, nothing is learned from answers whose cost is unknown."""
    latency_weight: float = 1.0
    """For each tenfold of a second."""
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.step < 1:
            raise ValueError(f"step lies between 0 and 1, not at {self.step!r}")
        if not 0 < self.stop <= 1:
            raise ValueError(f"stop is a probability above 0, not {self.stop!r}")
        if not self.accuracy_weight > 0:
            raise ValueError(f"accuracy_weight must be greater than 0, not {self.accuracy_weight!r}")
        for name in ("cost_weight", "latency_weight", "time_scale"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)!r}")

    def rewarded(self, accuracy: float, cost_usd: float | None, latency_s: float | None) -> float | None:
        """R of one answer; ``None`` where something that it depends on is unknown."""
        tenfolds = None if latency_s is None or latency_s <= 0 else math.log10(latency_s)
        slow = self.latency_weight * self.time_scale
        if self.reward == "product":
            losses = [_loss(self.cost_weight * slow, cost_usd, tenfolds)]
        else:
            losses = [_loss(self.cost_weight, cost_usd), _loss(slow, tenfolds)]
        return None if None in losses else self.accuracy_weight * accuracy - sum(loss or 0.0 for loss in losses)


def _loss(weight: float, *factors: float | None) -> float | None:
    """The product; 0 at no weight, whatever is unknown."""
    if not weight:
        return 0.0
    known = [factor for factor in factors if factor is not None]
    return None if len(known) < len(factors) else math.prod(known, start=weight)
