"""Conversations: trees of answered turns, found again by what a client sends of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, case, delete, exists, select, update

from coterie.errors import ConfigError
from coterie.store.keys import beginnings, keys, repeated
from coterie.store.plain import MAX_STATE_BYTES, checked, dumps
from coterie.store.retention import Retention
from coterie.store.schema import CONVERSATION, TURN
from coterie.store.transactions import Transactions, insert
from coterie.types import Json, Message, Transcript, Turn

MAX_TEXT_BYTES = 256 << 10
"""A longer question or answer is not kept: half of one would be another text."""


class _Twice(Exception):
    """The run was remembered before."""


@dataclass(frozen=True)
class SqlConversations:
    """`protocols.Conversations` over tables."""

    transactions: Transactions
    retention: Retention
    keep_texts: bool
    clock: Callable[[], float]

    async def last(self, transcript: Transcript) -> Turn | None:
        _check(transcript)
        sent = repeated(transcript.messages)
        if self.retention.off or not (sent or transcript.conversation):
            return None

        def look(connection: Connection) -> Row[Any] | None:
            if transcript.conversation is not None:
                return self._of_name(connection, transcript.scope, transcript.conversation, sent)
            return self._of_messages(connection, transcript.scope, sent)

        row = await self.transactions.read(look)
        return None if row is None else _turn(row)

    async def remember(
        self, transcript: Transcript, answer: Message, run: str, state: Mapping[str, Json], after: Turn | None = None
    ) -> Turn | None:
        _check(transcript)
        if self.retention.off:
            return None
        if after is not None and transcript.conversation not in (None, after.conversation):
            raise ConfigError(f"{transcript.conversation!r} cannot go on from a turn of {after.conversation!r}")
        row = self._row(transcript, answer, run, state)

        def write(connection: Connection) -> Row[Any] | None:
            return self._append(connection, transcript, row, after)

        def look(connection: Connection) -> Row[Any] | None:
            return _only(connection, _turns().where(TURN.c.run == run))

        try:
            remembered = await self.transactions.write(write)
        except _Twice:
            remembered = await self.transactions.read(look)
        await self.retention.tidy(self.transactions)
        return None if remembered is None else _turn(remembered)

    async def forget(self, conversation: str, scope: str = "") -> bool:
        _check(Transcript((), conversation, scope))

        def write(connection: Connection) -> bool:
            return bool(connection.execute(delete(CONVERSATION).where(*_named(scope, conversation))).rowcount)

        gone = await self.transactions.write(write)
        await self.transactions.wipe()
        return gone

    # ---- finding ----

    def _kept(self) -> Select[Any]:
        return _turns().where(CONVERSATION.c.touched_at >= self.retention.cutoff())

    def _of_name(self, connection: Connection, scope: str, name: str, sent: Sequence[Message]) -> Row[Any] | None:
        """The turn with these messages, these words or the longest beginning of them, else the newest.

        Whoever gives an id goes on with that one, whatever it sends.
        """
        found = keys(sent, scope)
        begun = [keys(part, scope).exact for part in beginnings(sent)]
        nearer: list[tuple[Any, int]] = [(TURN.c.exact_key == found.exact, len(begun) + 2)]
        nearer += [(TURN.c.words_key == (found.words or ""), len(begun) + 1)]
        nearer += [(TURN.c.exact_key == key, len(begun) - place) for place, key in enumerate(begun)]
        turns = self._kept().where(*_named(scope, name))
        return _only(connection, turns.order_by(case(*nearer, else_=0).desc(), TURN.c.id.desc()).limit(1))

    def _of_messages(self, connection: Connection, scope: str, sent: Sequence[Message]) -> Row[Any] | None:
        """The newest turn with these messages; else with these words, unless two conversations have such; else with
        the longest beginning of these messages.
        """
        turns = self._kept().where(CONVERSATION.c.scope == scope, CONVERSATION.c.given.is_(False))
        newest = turns.order_by(TURN.c.id.desc()).limit(1)
        found = keys(sent, scope)
        row = _only(connection, newest.where(TURN.c.exact_key == found.exact))
        if row is not None:
            return row
        if found.words is not None:
            alike = TURN.c.words_key == found.words
            row = _only(connection, newest.where(alike))
            others = turns.where(alike, TURN.c.conversation_id != row.conversation_id) if row else None
            if others is not None and not connection.execute(select(exists(others.subquery()))).scalar_one():
                return row
        begun = [keys(part, scope).exact for part in beginnings(sent)]
        if not begun:
            return None
        longest = case({key: place for place, key in enumerate(begun)}, value=TURN.c.exact_key)
        shorter = turns.where(TURN.c.exact_key.in_(begun)).order_by(longest, TURN.c.id.desc())
        return _only(connection, shorter.limit(1))

    # ---- writing ----

    def _row(self, transcript: Transcript, answer: Message, run: str, state: Mapping[str, Json]) -> dict[str, Any]:
        made = keys((*transcript.messages, answer), transcript.scope)
        asked = next((m.text for m in reversed(transcript.messages) if m.role == "user"), None)
        return {
            "run": checked(run, "a run's id"),
            "exact_key": made.exact,
            "words_key": made.words,
            "state": dumps(dict(state), f"the state of the turn that {run!r} answered", MAX_STATE_BYTES),
            "question": self._text(asked),
            "answer": self._text(answer.text),
            "answered_at": self.clock(),
        }

    def _text(self, text: str | None) -> str | None:
        if not self.keep_texts or text is None:
            return None
        plain = json.dumps(text)
        return plain if len(plain) <= MAX_TEXT_BYTES else None

    def _append(
        self, connection: Connection, transcript: Transcript, row: dict[str, Any], after: Turn | None
    ) -> Row[Any] | None:
        if after is None:
            where = self._conversation(connection, transcript)
            place: dict[str, Any] | None = {"conversation_id": where, "number": 1}
        else:
            place = self._place_after(connection, transcript.scope, after)
        if place is None:
            return None
        new = (
            insert(self.transactions.where.kind, TURN)
            .values({**row, **place})
            .on_conflict_do_nothing(index_elements=[TURN.c.run])
        )
        if not connection.execute(new).rowcount:
            raise _Twice
        return _only(connection, _turns().where(TURN.c.run == row["run"]))

    def _conversation(self, connection: Connection, transcript: Transcript) -> int:
        """The conversation of that name, or a new one. One whose time is over is forgotten here."""
        given = transcript.conversation is not None
        name = transcript.conversation if transcript.conversation is not None else uuid.uuid4().hex
        at, now = _named(transcript.scope, name), self.clock()
        connection.execute(delete(CONVERSATION).where(*at, CONVERSATION.c.touched_at < self.retention.cutoff()))
        fresh = {"scope": transcript.scope, "name": name, "given": given, "began_at": now, "touched_at": now}
        upsert = insert(self.transactions.where.kind, CONVERSATION).values(fresh)
        connection.execute(upsert.on_conflict_do_update(index_elements=["scope", "name"], set_={"touched_at": now}))
        id_: int = connection.execute(select(CONVERSATION.c.id).where(*at)).scalar_one()
        return id_

    def _place_after(self, connection: Connection, scope: str, after: Turn) -> dict[str, Any] | None:
        """Where a turn that follows `after` stands; ``None`` once `after` was forgotten."""
        at = _named(scope, after.conversation)
        connection.execute(update(CONVERSATION).where(*at).values(touched_at=self.clock()))
        parent = _only(connection, _turns().where(*at, TURN.c.id == after.id))
        if parent is None:
            return None
        return {"conversation_id": parent.conversation_id, "parent_id": parent.id, "number": parent.number + 1}


def _turns() -> Select[Any]:
    return select(TURN, CONVERSATION.c.name).join(CONVERSATION, CONVERSATION.c.id == TURN.c.conversation_id)


def _only(connection: Connection, rows: Select[Any]) -> Row[Any] | None:
    row: Row[Any] | None = connection.execute(rows).one_or_none()
    return row


def _named(scope: str, name: str) -> tuple[Any, ...]:
    return (CONVERSATION.c.scope == scope, CONVERSATION.c.name == name)


def _check(transcript: Transcript) -> None:
    checked(transcript.scope, "a conversation's scope", blank=True)
    if transcript.conversation is not None:
        checked(transcript.conversation, "a conversation's id")


def _turn(row: Row[Any]) -> Turn:
    return Turn(
        id=row.id,
        conversation=row.name,
        number=row.number,
        run=row.run,
        state=json.loads(row.state),
        parent=row.parent_id,
        question=None if row.question is None else json.loads(row.question),
        answer=None if row.answer is None else json.loads(row.answer),
    )
