"""Blending: members take turns by weight, whatever is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coterie.prospects import Prospect, Prospects, Scale
from coterie.protocols import Run
from coterie.routers.weights import Weights
from coterie.types import Request


@dataclass(frozen=True)
class Blending:
    """Gives each member its weight, for the decision `sample` to draw by: n ~ P(n), anew for each turn (2401.02994).

    The history goes to the chosen member as it is, so that each goes on from what the others have said. Costs: no time.
    It knows nothing: what makes it good is what the members are for each other.
    """

    weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    """By member; all alike where left out, as in the paper. A member without one is drawn after all others."""

    def __post_init__(self) -> None:
        _ = Weights(self.weights)

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:  # noqa: ARG002
        """Probabilities, which are 1 together."""
        shares = Weights(self.weights).shares(members)
        told = tuple(Prospect(member, share) for member, share in zip(members, shares, strict=True))
        return Prospects("blending", Scale.SCORE, told, "fixed weights")
