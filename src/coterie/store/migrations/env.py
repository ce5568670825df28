"""What Alembic runs: every missing step, on the connection and in the transaction that `upgrade` hands over."""

from __future__ import annotations

from alembic import context

from coterie.store.schema import METADATA, REVISION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=REVISION_TABLE,
)
context.run_migrations()
