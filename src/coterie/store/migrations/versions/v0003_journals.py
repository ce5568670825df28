"""Journals: entries that are only ever added."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "coterie_journal",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("space", sa.String(200), nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("space", name="coterie_journal_space"),
    )
    op.create_table(
        "coterie_entry",
        sa.Column("journal_id", ROW_ID, sa.ForeignKey("coterie_journal.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("written_at", sa.Double, nullable=False),
    )
