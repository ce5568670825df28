"""Runs: traces, kept for those who asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "coterie_run",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("scope", sa.String(200), nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("trace", sa.Text, nullable=False),
    )
    op.create_index("coterie_run_made_at", "coterie_run", ["made_at"])
