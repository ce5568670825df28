"""One member alone, as a method: what every blend is measured against."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.protocols import Run
from coterie.types import Request, Result


@dataclass(frozen=True)
class Alone:
    """The member's answer."""

    member: str

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.member,)

    async def __call__(self, request: Request, run: Run) -> Result:
        [candidate] = await run.generate([self.member], request)
        return Result(candidate, "only")
