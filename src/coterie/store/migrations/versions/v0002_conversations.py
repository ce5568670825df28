"""Conversations: trees of answered turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "coterie_conversation",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("scope", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("given", sa.Boolean, nullable=False),
        sa.Column("began_at", sa.Double, nullable=False),
        sa.Column("touched_at", sa.Double, nullable=False),
        sa.UniqueConstraint("scope", "name", name="coterie_conversation_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("coterie_conversation_touched_at", "coterie_conversation", ["touched_at"])
    op.create_table(
        "coterie_turn",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("conversation_id", ROW_ID, _cascade("coterie_conversation.id"), nullable=False),
        sa.Column("parent_id", ROW_ID, _cascade("coterie_turn.id")),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run", sa.String(200), nullable=False),
        sa.Column("exact_key", sa.String(64), nullable=False),
        sa.Column("words_key", sa.String(64)),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("question", sa.Text),
        sa.Column("answer", sa.Text),
        sa.Column("answered_at", sa.Double, nullable=False),
        sa.UniqueConstraint("run", name="coterie_turn_run"),
        sqlite_autoincrement=True,
    )
    for column in ("conversation_id", "parent_id", "exact_key", "words_key"):
        op.create_index(f"coterie_turn_{column}", "coterie_turn", [column])


def _cascade(target: str) -> sa.ForeignKey:
    return sa.ForeignKey(target, ondelete="CASCADE")
