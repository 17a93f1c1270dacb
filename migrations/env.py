"""Alembic's entry point: runs the revisions on the connection that guard.store.engine hands over."""

from __future__ import annotations

from alembic import context

from guard.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
