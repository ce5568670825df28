"""Where a request stands in its conversation: what a policy decided on earlier turns, and learns from this one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from coterie.errors import ConfigError, StoreError
from coterie.policies import by_author
from coterie.protocols import Policy, Store
from coterie.turns import Conversation, History, Plan, read, to_plain
from coterie.types import Candidate, Json, Message, Ranking, Transcript, Turn

SPACE = "policy"
"""Whose the records are that outlive a conversation."""


class Thread(Protocol):
    """What a run knows of the turns before it. Each function raises `StoreError` where what is kept is out of reach."""

    async def plan(self, policy: Policy, members: Sequence[str], top_k: int, rng: random.Random) -> Planned:
        """What the policy plans for this turn."""
        ...

    async def remember(self, planned: Planned, run: str, answer: Message, ranking: Ranking | None) -> None:
        """Afterwards the next turn of the conversation, and the next conversation, know of this one."""
        ...

    async def give_up(self, planned: Planned) -> None:
        """Afterwards a conversation that was to begin with this turn has not begun, for nobody answered it."""
        ...


@dataclass(frozen=True)
class Begun:
    """What beginning a conversation changed for those after it, as plain data."""

    before: Json
    after: Json


@dataclass(frozen=True)
class Planned:
    """A plan, and the conversation it was made for."""

    policy: Policy
    conversation: Conversation
    plan: Plan
    after: Turn | None = None
    """The turn that this one follows."""
    begun: Begun | None = None
    """``None`` where the conversation goes on."""


@dataclass(frozen=True)
class Alone:
    """A turn of which nothing earlier is known, and which leaves nothing."""

    async def plan(self, policy: Policy, members: Sequence[str], top_k: int, rng: random.Random) -> Planned:
        _, conversation = policy.begin(History(), members, top_k)
        return Planned(policy, conversation, policy.plan(conversation, rng))

    async def remember(self, planned: Planned, run: str, answer: Message, ranking: Ranking | None) -> None:
        """Nothing is remembered."""

    async def give_up(self, planned: Planned) -> None:
        """Nothing had begun."""


@dataclass(frozen=True)
class Lost(Alone):
    """A turn whose conversation is kept where nobody can look now."""

    why: str

    async def plan(self, *_: object) -> Planned:
        raise StoreError(self.why)


@dataclass(frozen=True)
class KeptThread:
    """A thread of a conversation that a store keeps."""

    store: Store
    transcript: Transcript
    judge: str = ""
    """Who gives the scores that a policy sums up, as text: those of another one are no part of the same sum."""
    rule: str = ""
    """By what the scores are made. A ranking by another rule counts by its places."""
    turns: int | None = None
    """How many turns the conversation will have, where that is known."""

    async def plan(self, policy: Policy, members: Sequence[str], top_k: int, rng: random.Random) -> Planned:
        key = self._key(policy, members, top_k)
        last = await self.store.conversations.last(self.transcript)
        conversation, begun = _kept(last, key), None
        if conversation is None:
            conversation, begun = await self._begun(policy, members, top_k)
        return Planned(policy, conversation, policy.plan(conversation, rng), last, begun)

    async def _begun(self, policy: Policy, members: Sequence[str], top_k: int) -> tuple[Conversation, Begun]:
        made: list[tuple[Conversation, Begun]] = []

        def change(value: Json) -> Json:
            history, conversation = policy.begin(_history(value), members, top_k, self.turns)
            made[:] = [(conversation, Begun(value, to_plain(history)))]
            return made[0][1].after

        await self.store.records.update(SPACE, self._history_key(policy, members, top_k), change)
        return made[0]

    async def remember(self, planned: Planned, run: str, answer: Message, ranking: Ranking | None) -> None:
        policy, before = planned.policy, planned.conversation
        after = policy.after(before, planned.plan, None if ranking is None else self._on_scale(ranking))
        found = planned.after.state if planned.after else {}
        state = {**found, self._key(policy, before.pool, before.top_k): to_plain(after)}
        await self.store.conversations.remember(self.transcript, answer, run, state, planned.after)
        if after.tally != before.tally:
            await self._told(self._history_key(policy, before.pool, before.top_k), after)

    async def _told(self, key: str, conversation: Conversation) -> None:
        """The history knows of the conversation, where it is one that counts."""
        record = await self.store.records.get(SPACE, key)
        if record is not None and _history(record.value).evaluation == conversation.number:
            await self.store.records.update(SPACE, key, lambda value: to_plain(_history(value).after(conversation)))

    async def give_up(self, planned: Planned) -> None:
        if (begun := planned.begun) is None:
            return
        key = self._history_key(planned.policy, planned.conversation.pool, planned.conversation.top_k)
        # Where another conversation has begun meanwhile, the numbers stay: they are its own by now.
        await self.store.records.update(SPACE, key, lambda value: begun.before if value == begun.after else value)

    def _on_scale(self, ranking: Ranking) -> Ranking:
        """`ranking` with scores that may be added to the others, which the method's own rule gave."""
        return ranking if ranking.rule == self.rule else replace(ranking, scores=_by_place(ranking))

    def _key(self, policy: Policy, members: Sequence[str], top_k: int) -> str:
        """Of what a conversation's sums are: whoever changes any of it begins anew."""
        return _digest(self.judge, self.rule, repr(policy), *members, str(top_k))

    def _history_key(self, policy: Policy, members: Sequence[str], top_k: int) -> str:
        return _digest(self.transcript.scope, self._key(policy, members, top_k))


@dataclass(frozen=True)
class PlannedThread(Alone):
    """A thread of which only the plan is known, as a trace knows it."""

    planned: Plan
    number: int = 1
    turn: int = 1
    survivors: tuple[str, ...] = ()

    async def plan(self, policy: Policy, members: Sequence[str], top_k: int, rng: random.Random) -> Planned:
        """The plan that was made then, with at most `top_k` of the members that there are now."""
        first = await super().plan(policy, members, top_k, rng)
        writing = [member for member in self.planned.members if member in members]
        if not writing:
            return first
        plan = Plan.ranked(writing, top_k) if self.planned.ranks else Plan.unranked(writing[:top_k])
        standing = tuple(member for member in self.survivors if member in members)
        conversation = replace(first.conversation, number=self.number, turn=self.turn, survivors=standing)
        return replace(first, conversation=conversation, plan=plan)


def ranking_of_members(ranking: Ranking | None, candidates: Sequence[Candidate], plan: Plan) -> Ranking | None:
    """The ranking of this turn by authors; ``None`` where there is none, or it is not of those who were to write."""
    if ranking is None:
        return None
    known = {candidate.id for candidate in candidates}
    if not known.issuperset(ranking.order):
        return None
    of_members = by_author(ranking, candidates)
    return of_members if set(of_members.order) <= set(plan.members) else None


def _kept(last: Turn | None, key: str) -> Conversation | None:
    """The conversation as the last turn left it; ``None`` where that one was led otherwise."""
    if last is None or key not in last.state:
        return None
    try:
        return read(Conversation, last.state[key])
    except ConfigError:  # written by a version that kept something else
        return None


def _history(value: Json) -> History:
    try:
        return History() if value is None else read(History, value)
    except ConfigError:  # written by a version that kept something else
        return History()


def _by_place(ranking: Ranking) -> Mapping[str, float | None]:
    """1 for the first, 0 for the last, the same for those who share a place; silence stays silence."""
    heard = [name for name in ranking.order if ranking.scores[name] is not None]
    points = {name: 1.0 - place / max(1, len(heard) - 1) for place, name in enumerate(heard)}
    for group in ranking.ties:
        tied = [name for name in group if name in points]
        points.update(dict.fromkeys(tied, sum(points[name] for name in tied) / max(1, len(tied))))
    return {name: points.get(name) for name in ranking.order}


def _digest(*words: str) -> str:
    return hashlib.sha256(repr(words).encode("utf-8", "backslashreplace")).hexdigest()
