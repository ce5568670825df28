"""The hyper-parameters of LinUCB."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """What a lesson weighs. Raises `ValueError` for what cannot be."""

    ridge: float = 12.94
    """λ: how many like queries it takes to believe half of what they say. The default of MetaLLM's code."""
    discount: float = 1.0
    """γ in (0, 1]: by how much a member's earlier lessons fade with each new one of its own; below 1 where members
    change."""
    price_weight: float = 0.0
    """p: what the dearest member's price is worth in reward: reward = score - p * price / highest price. Above 0, a
    member whose price is unknown has no quality."""

    def __post_init__(self) -> None:
        if not self.ridge > 0:
            raise ValueError(f"ridge must be greater than 0, not {self.ridge!r}")
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount lies above 0 and at 1 at most, not at {self.discount!r}")
        if not self.price_weight >= 0:
            raise ValueError(f"price_weight is 0 or more, not {self.price_weight!r}")
