"""Alembic's entry: it is only ever run inside a transaction that `store.migrate` has opened."""

from __future__ import annotations

from alembic import context

from byoi_console.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
