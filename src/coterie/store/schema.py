"""The tables. Each group stands alone: a later one comes with a migration of its own, and touches no other."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from coterie.store.plain import MAX_NAME_CHARS

REVISION = "0004"
"""The last migration: what this version reads and writes."""

REVISION_TABLE = "coterie_revision"

METADATA = MetaData()

# SQLite numbers rows by itself only for a column of exactly the type INTEGER, and gives the number of a deleted row
# again unless told not to: a turn that was forgotten must not be taken for the one that came after it.
ROW_ID = BigInteger().with_variant(Integer, "sqlite")

RECORD = Table(
    "coterie_record",
    METADATA,
    Column("space", String(MAX_NAME_CHARS), primary_key=True),
    Column("key", String(MAX_NAME_CHARS), primary_key=True),
    Column("value", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("written_at", Double, nullable=False),
)

CONVERSATION = Table(
    "coterie_conversation",
    METADATA,
    Column("id", ROW_ID, primary_key=True),
    Column("scope", String(MAX_NAME_CHARS), nullable=False),
    Column("name", String(MAX_NAME_CHARS), nullable=False),
    Column("given", Boolean, nullable=False),  # the client gave the name, so only the name finds it
    Column("began_at", Double, nullable=False),
    Column("touched_at", Double, nullable=False),
    UniqueConstraint("scope", "name", name="coterie_conversation_name"),
    Index("coterie_conversation_touched_at", "touched_at"),
    sqlite_autoincrement=True,
)

TURN = Table(
    "coterie_turn",
    METADATA,
    Column("id", ROW_ID, primary_key=True),
    Column("conversation_id", ROW_ID, ForeignKey(CONVERSATION.c.id, ondelete="CASCADE"), nullable=False),
    Column("parent_id", ROW_ID, ForeignKey("coterie_turn.id", ondelete="CASCADE")),
    Column("number", Integer, nullable=False),
    Column("run", String(MAX_NAME_CHARS), nullable=False),
    Column("exact_key", String(64), nullable=False),
    Column("words_key", String(64)),
    Column("state", Text, nullable=False),
    Column("question", Text),
    Column("answer", Text),
    Column("answered_at", Double, nullable=False),
    UniqueConstraint("run", name="coterie_turn_run"),
    Index("coterie_turn_conversation_id", "conversation_id"),
    Index("coterie_turn_parent_id", "parent_id"),
    Index("coterie_turn_exact_key", "exact_key"),
    Index("coterie_turn_words_key", "words_key"),
    sqlite_autoincrement=True,
)

JOURNAL = Table(
    "coterie_journal",
    METADATA,
    Column("id", ROW_ID, primary_key=True),
    Column("space", String(MAX_NAME_CHARS), nullable=False),
    Column("last", BigInteger, nullable=False),  # the number that was given last: its row is the lock on the next one
    UniqueConstraint("space", name="coterie_journal_space"),
)

ENTRY = Table(
    "coterie_entry",
    METADATA,
    Column("journal_id", ROW_ID, ForeignKey(JOURNAL.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Text, nullable=False),
    Column("written_at", Double, nullable=False),
)

RUN = Table(
    "coterie_run",
    METADATA,
    Column("id", String(MAX_NAME_CHARS), primary_key=True),
    Column("scope", String(MAX_NAME_CHARS), nullable=False),
    Column("made_at", Double, nullable=False),
    Column("trace", Text, nullable=False),
    Index("coterie_run_made_at", "made_at"),
)
