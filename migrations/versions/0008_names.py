"""Entries are found by the ids of marks and the labels of credentials: what a file still says when its bytes are others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table. No entry so far has such names."""
    op.create_table(
        "log_name",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "id", name="pk_log_name"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Drop the table. Nothing is lost: the entries say the same."""
    op.drop_table("log_name")
