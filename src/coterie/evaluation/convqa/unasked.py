"""Members that are not asked: whatever was recorded of them is all there is."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.errors import MemberError
from coterie.protocols import Emit, House, MemberSpec
from coterie.types import Card, Completion, FailureKind, Request, Scores, Usage


@dataclass(frozen=True)
class Unasked:
    """`member` as far as it is known without asking it."""

    member: MemberSpec

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def card(self) -> Card:
        return self.member.card

    @property
    def timeout_s(self) -> float:
        return self.member.timeout_s

    @property
    def retries(self) -> int:
        return 0

    async def open(self, house: House) -> _Silent:  # noqa: ARG002
        return _Silent(self.card)


class _Silent:
    """An open member that has nothing to say beyond what was recorded."""

    def __init__(self, card: Card) -> None:
        self.card = card

    async def generate(self, request: Request, emit: Emit | None) -> Completion:  # noqa: ARG002
        raise MemberError("not recorded, and nobody is asked", FailureKind.UNRECORDED, usage=Usage())

    async def score(self, request: Request, texts: tuple[str, ...]) -> Scores:  # noqa: ARG002
        raise MemberError("not recorded, and nobody is asked", FailureKind.UNRECORDED, usage=Usage())
