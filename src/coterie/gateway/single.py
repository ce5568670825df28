"""One member under its own name: the method behind a pass-through."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.errors import NoAnswer
from coterie.protocols import Run
from coterie.types import Failure, Request, Result


@dataclass(frozen=True)
class Single:
    """What one member answers. Costs: one call."""

    member: str

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.member,)

    async def __call__(self, request: Request, run: Run) -> Result:
        """Raises `NoAnswer`."""
        outcome = await run.reply(self.member, request)
        if isinstance(outcome, Failure):
            raise NoAnswer(f"{self.member} did not answer ({outcome.error})", [outcome])
        return Result(outcome, "only")
