"""An inbox for writers that share a PostgreSQL log, and the claim of a request id in a table of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ONCE = "kind in ('generation', 'continuation')"


def upgrade() -> None:
    """Move the uniqueness of a request id from the entries, which cannot hold it for entries that are still to come."""
    op.create_table(
        "log_once",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "kind", name="pk_log_once"),
        sqlite_strict=True,
    )
    op.execute(
        f"INSERT INTO log_once SELECT request_id, kind, id FROM log_entry WHERE {ONCE} AND request_id IS NOT NULL"
    )
    op.drop_index("uq_log_entry_once", "log_entry")
    op.create_table(
        "log_inbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_inbox"),
        sqlite_strict=True,
    )
    op.create_table(
        "log_inbox_body",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("lookup", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "role", name="pk_log_inbox_body"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Refused while the inbox holds entries: they are durable, and would be lost."""
    if op.get_bind().execute(sa.text("SELECT count(*) FROM log_inbox")).scalar_one():
        raise CommandError("the inbox holds entries: append one entry with this release first, which takes them in")
    op.drop_table("log_inbox_body")
    op.drop_table("log_inbox")
    op.create_index(
        "uq_log_entry_once",
        "log_entry",
        ["request_id", "kind"],
        unique=True,
        sqlite_where=sa.text(ONCE),
        postgresql_where=sa.text(ONCE),
    )
    op.drop_table("log_once")
