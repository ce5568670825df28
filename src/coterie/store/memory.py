"""The store of a committee that was given none: it lives as long as the committee, in this process."""

from __future__ import annotations

import itertools
import json
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from coterie.errors import ConfigError
from coterie.store.keys import beginnings, keys, repeated
from coterie.store.memory_journals import MemoryJournals
from coterie.store.memory_runs import MemoryRuns
from coterie.store.plain import MAX_STATE_BYTES, MAX_VALUE_BYTES, checked, dumps
from coterie.types import Json, Message, Record, Transcript, Turn

MOST_TURNS = 10_000
"""Turns that are kept; the oldest go first."""

MOST_STATE_BYTES = 64 << 20
"""What their states may take together, as JSON."""

MOST_RECORDS = 10_000
"""Records that are kept; those go first that nobody has written for longest."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class _Kept:
    """A turn, and all that it is found by."""

    id: int
    conversation: str
    number: int
    run: str
    state: str
    parent: int | None
    scope: str
    given: bool
    """True where the client named the conversation: then nothing but the name finds it."""
    exact: str
    words: str | None

    @property
    def turn(self) -> Turn:
        return Turn(self.id, self.conversation, self.number, self.run, json.loads(self.state), self.parent)

    def found_by(self) -> Iterator[Key]:
        yield ("run", self.run)
        yield self.named
        if not self.given:
            yield ("exact", self.scope, self.exact)
        if not self.given and self.words is not None:
            yield ("words", self.scope, self.words)

    @property
    def named(self) -> Key:
        return ("name", self.scope, self.conversation)


@dataclass
class MemoryConversations:
    """`protocols.Conversations`, found by the same keys as in a database. No text is kept."""

    most_turns: int = MOST_TURNS
    most_state_bytes: int = MOST_STATE_BYTES
    _turns: OrderedDict[int, _Kept] = field(default_factory=OrderedDict)
    _places: dict[Key, dict[int, None]] = field(default_factory=dict)
    """Ids of turns by what finds them, oldest first."""
    _state_bytes: int = 0
    _ids: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    async def last(self, transcript: Transcript) -> Turn | None:
        _check(transcript)
        find = self._of_messages if transcript.conversation is None else self._of_name
        found = find(transcript)
        return None if found is None else found.turn

    async def remember(
        self, transcript: Transcript, answer: Message, run: str, state: Mapping[str, Json], after: Turn | None = None
    ) -> Turn | None:
        _check(transcript)
        checked(run, "a run's id")
        if after is not None and transcript.conversation not in (None, after.conversation):
            raise ConfigError(f"{transcript.conversation!r} cannot go on from a turn of {after.conversation!r}")
        plain = dumps(dict(state), f"the state of the turn that {run!r} answered", MAX_STATE_BYTES)
        if again := next(self._newest(("run", run)), None):
            return again.turn
        parent = self._parent(after, transcript.scope)
        if after is not None and parent is None:
            return None
        kept = self._made(transcript, answer, run, plain, parent)
        self._turns[kept.id] = kept
        self._state_bytes += len(kept.state)
        for key in kept.found_by():
            self._places.setdefault(key, {})[kept.id] = None
        while len(self._turns) > self.most_turns or self._state_bytes > self.most_state_bytes:
            self._drop(next(iter(self._turns)))
        return kept.turn

    async def forget(self, conversation: str, scope: str = "") -> bool:
        _check(Transcript((), conversation, scope))
        gone = [*self._places.get(("name", scope, conversation), ())]
        for id_ in gone:
            self._drop(id_)
        return bool(gone)

    # ---- finding ----

    def _of_name(self, transcript: Transcript) -> _Kept | None:
        """The turn with these messages, words or beginning, else the newest of that name."""
        assert transcript.conversation is not None  # noqa: S101 - who asks has looked
        named = [*self._newest(("name", transcript.scope, transcript.conversation))]
        sent = repeated(transcript.messages)
        found = keys(sent, transcript.scope)
        exact = next((kept for kept in named if kept.exact == found.exact), None)
        alike = next((kept for kept in named if found.words and kept.words == found.words), None)
        if whole := exact or alike:
            return whole
        begun = [keys(part, transcript.scope).exact for part in beginnings(sent)]
        shorter = (next((kept for kept in named if kept.exact == key), None) for key in begun)
        return next((kept for kept in shorter if kept), named[0] if named else None)

    def _of_messages(self, transcript: Transcript) -> _Kept | None:
        """As `SqlConversations` finds it."""
        sent, scope = repeated(transcript.messages), transcript.scope
        if not sent:
            return None
        found = keys(sent, scope)
        if exact := next(self._newest(("exact", scope, found.exact)), None):
            return exact
        alike = [*self._newest(("words", scope, found.words))] if found.words else []
        if len({kept.conversation for kept in alike}) == 1:
            return alike[0]
        begun = (("exact", scope, keys(part, scope).exact) for part in beginnings(sent))
        return next((kept for key in begun if (kept := next(self._newest(key), None))), None)

    def _newest(self, key: Key) -> Iterator[_Kept]:
        """What that key finds, newest first."""
        return (self._turns[id_] for id_ in reversed(self._places.get(key, {})))

    # ---- writing ----

    def _parent(self, after: Turn | None, scope: str) -> _Kept | None:
        parent = self._turns.get(after.id) if after else None
        return parent if parent and after and parent.named == ("name", scope, after.conversation) else None

    def _made(self, transcript: Transcript, answer: Message, run: str, state: str, parent: _Kept | None) -> _Kept:
        found = keys((*transcript.messages, answer), transcript.scope)
        name = parent.conversation if parent else transcript.conversation or uuid.uuid4().hex
        return _Kept(
            self._ids(),
            name,
            parent.number + 1 if parent else 1,
            run,
            state,
            parent.id if parent else None,
            transcript.scope,
            parent.given if parent else transcript.conversation is not None,
            found.exact,
            found.words,
        )

    def _drop(self, id_: int) -> None:
        kept = self._turns.pop(id_)
        self._state_bytes -= len(kept.state)
        for key in kept.found_by():
            places = self._places[key]
            del places[id_]
            if not places:
                del self._places[key]


@dataclass
class MemoryRecords:
    """`protocols.Records`."""

    most: int = MOST_RECORDS
    _records: OrderedDict[tuple[str, str], tuple[str, int]] = field(default_factory=OrderedDict)
    """Value as JSON, and version."""

    async def get(self, space: str, key: str) -> Record | None:
        kept = self._records.get(_at(space, key))
        return None if kept is None else Record(space, key, json.loads(kept[0]), kept[1])

    async def update(self, space: str, key: str, change: Callable[[Json], Json]) -> Record:
        at = _at(space, key)
        value, version = self._records.get(at, ("null", 0))
        text = dumps(change(json.loads(value)), f"the record {space!r} {key!r}", MAX_VALUE_BYTES)
        self._records[at] = (text, version + 1)
        self._records.move_to_end(at)
        while len(self._records) > self.most:
            self._records.popitem(last=False)
        return Record(space, key, json.loads(text), version + 1)

    async def discard(self, space: str, key: str) -> bool:
        return self._records.pop(_at(space, key), None) is not None


@dataclass(frozen=True)
class MemoryStore:
    """`protocols.Store`."""

    conversations: MemoryConversations = field(default_factory=MemoryConversations)
    records: MemoryRecords = field(default_factory=MemoryRecords)
    journals: MemoryJournals = field(default_factory=MemoryJournals)
    runs: MemoryRuns = field(default_factory=MemoryRuns)


def _at(space: str, key: str) -> tuple[str, str]:
    return checked(space, "a record's space"), checked(key, "a record's key")


def _check(transcript: Transcript) -> None:
    checked(transcript.scope, "a conversation's scope", blank=True)
    if transcript.conversation is not None:
        checked(transcript.conversation, "a conversation's id")
