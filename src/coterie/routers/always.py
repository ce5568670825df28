"""Always the same member: the baseline that needs no router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coterie.errors import ConfigError
from coterie.prospects import Prospect, Prospects, Scale
from coterie.protocols import Run
from coterie.types import Request


@dataclass(frozen=True)
class Always:
    """Expects 1 of one member and 0 of every other. Costs: no time."""

    member: str

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:  # noqa: ARG002
        """Raises `ConfigError` where the member is not in the pool."""
        if self.member not in members:
            raise ConfigError(f"always {self.member!r} cannot choose among {list(members)!r}, where it is not")
        told = tuple(Prospect(member, float(member == self.member)) for member in members)
        return Prospects("always", Scale.SCORE, told, f"always {self.member}")
