"""What is planned for one turn of a conversation, and what is kept from turn to turn and between conversations.

The nouns of ranking reduction: frozen records that hold plain data alone, so that a store can keep them
(`to_plain`, `read`). Policies decide with them; nothing here decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeVar

from coterie.errors import ConfigError
from coterie.types import Json, Ranking, no_extra


@dataclass(frozen=True)
class Plan:
    """Who writes on a turn, whether they are ranked, and how many of the best are fused."""

    members: tuple[str, ...]
    """In pool order where they are ranked, since that order breaks ties; otherwise in the order to fuse them in."""
    ranks: bool
    """The thesis' r (3.1.4)."""
    top_k: int
    """How many are fused: never more than write."""

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= len(self.members):
            raise ValueError(f"top_k must lie between 1 and the {len(self.members)} who write, not at {self.top_k!r}")
        if self.ranks and len(self.members) < 2:
            raise ValueError(f"{self.members!r} is nothing to rank: a ranking takes two members")

    @classmethod
    def ranked(cls, members: Sequence[str], top_k: int) -> Plan:
        """All of `members` write and are ranked; one alone writes, and there is nothing to rank."""
        return cls(tuple(members), len(members) > 1, min(top_k, len(members)))

    @classmethod
    def unranked(cls, members: Sequence[str]) -> Plan:
        """All of `members` write, nobody ranks them, and all are fused in this order."""
        return cls(tuple(members), False, len(members))


@dataclass(frozen=True)
class Tally:
    """Cumulative scores: the sum of what judges gave each member, over the turns on which there was a ranking."""

    sums: Mapping[str, float] = field(default_factory=no_extra)
    heard: Mapping[str, int] = field(default_factory=no_extra)
    """Turns on which a judge spoke of the member."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.sums.values())):
            raise ValueError(f"cumulative scores must be finite, not {dict(self.sums)!r}")
        if unsummed := sorted(set(self.heard) - set(self.sums)):
            raise ValueError(f"{', '.join(map(repr, unsummed))} was heard and has no sum")

    def plus(self, members: Sequence[str], scores: Mapping[str, float | None]) -> Tally:
        """The tally after one more ranking of `members`.

        Who got no score on this turn (it failed, or every ballot passed it over) is given the mean of the
        scores that were: silence neither helps nor harms. Where nobody got one, nothing changes.
        """
        given = {member: score for member in members if (score := scores.get(member)) is not None}
        if not given:
            return self
        mean = math.fsum(given.values()) / len(given)
        sums = {member: self.sums.get(member, 0.0) + given.get(member, mean) for member in members}
        heard = {member: self.heard.get(member, 0) + 1 for member in given}
        return Tally({**self.sums, **sums}, {**self.heard, **heard})


@dataclass(frozen=True)
class Conversation:
    """One conversation as far as it has come, under one policy and one pool."""

    pool: tuple[str, ...]
    """The committee of N members, in its order, which breaks every tie."""
    top_k: int
    """The thesis' K: how many are fused."""
    turns: int | None = None
    """The thesis' q, where it is known (evaluation); ``None`` while people talk."""
    number: int = 1
    """Which conversation this is since the policy was set up."""
    turn: int = 1
    """The number of the turn that comes next."""
    survivors: tuple[str, ...] = ()
    """Who was not eliminated, in pool order; the whole pool where left out."""
    tally: Tally = Tally()
    last: tuple[str, ...] = ()
    """The members by the last ranking that said anything, best first; empty before there was one."""

    def __post_init__(self) -> None:
        if not self.pool or len(set(self.pool)) < len(self.pool):
            raise ValueError(f"a pool has at least one member, and each once, unlike {self.pool!r}")
        for name, value in (("top_k", self.top_k), ("turns", self.turns), ("number", self.number), ("turn", self.turn)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value!r}")
        standing = set(self.survivors or self.pool)
        if strangers := sorted((standing | set(self.last)) - set(self.pool)):
            raise ValueError(f"{', '.join(map(repr, strangers))} is not in the pool {self.pool!r}")
        object.__setattr__(self, "survivors", tuple(member for member in self.pool if member in standing))

    @property
    def shortlist(self) -> tuple[str, ...]:
        """The K best survivors by the last ranking, best first; fewer where it named fewer."""
        return tuple(member for member in self.last if member in self.survivors)[: self.top_k]

    def after(self, plan: Plan, ranking: Ranking | None) -> Conversation:
        """The conversation after a turn that went by `plan`; `ranking` orders members, by name.

        A ranking that gave nobody a score counts as none: what was known before still stands. Raises
        `ConfigError` for a ranking of anything but the plan's members.
        """
        following = replace(self, turn=self.turn + 1)
        if ranking is None:
            return following
        if strangers := sorted(set(ranking.order) - set(plan.members)):
            raise ConfigError(
                f"the ranking orders {', '.join(map(repr, strangers))}, and {plan.members!r} were to write: "
                "a policy takes a ranking of members, which `policies.by_author` makes of one of candidates"
            )
        if all(score is None for score in ranking.scores.values()):
            return following
        return replace(following, tally=self.tally.plus(plan.members, ranking.scores), last=ranking.order)


@dataclass(frozen=True)
class History:
    """What a policy knows across conversations."""

    begun: int = 0
    """Conversations so far."""
    evaluation: int = 0
    """The number of the conversation whose tally is kept here; 0 for none."""
    tally: Tally = Tally()

    def after(self, conversation: Conversation) -> History:
        """The history after one more turn of `conversation`: its tally, if it is the one that counts.

        The tally is replaced and not added to, so that the same turn told twice counts once.
        """
        return replace(self, tally=conversation.tally) if conversation.number == self.evaluation else self


Record = TypeVar("Record", Conversation, History)


def to_plain(record: Conversation | History) -> dict[str, Json]:
    """A record as JSON values that `read` takes."""
    plain: dict[str, Json] = _adapter(type(record).__name__).dump_python(record, mode="json")
    return plain


def read(kind: type[Record], data: Json) -> Record:
    """The record of that kind that `to_plain` made `data` of. Raises `ConfigError` for anything else."""
    from pydantic import ValidationError

    try:
        record: Record = _adapter(kind.__name__).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "record"
        raise ConfigError(f"no {kind.__name__} can be read from {data!r:.200}: {where}: {first['msg']}") from None
    return record


@cache
def _adapter(kind: str) -> Any:
    """What makes plain data of records of one kind, and records of plain data."""
    from pydantic import TypeAdapter

    return TypeAdapter({"Conversation": Conversation, "History": History}[kind])
