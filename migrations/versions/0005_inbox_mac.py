"""Entries in the inbox lie there under a MAC, and what was forged is marked as refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Refused while the inbox holds entries, which nobody can vouch for any more."""
    if _filled():
        raise CommandError(
            "the inbox holds entries of the release before: append one entry with that one first, which takes them in"
        )
    op.add_column("log_inbox", sa.Column("mac", sa.LargeBinary(), nullable=False))
    op.add_column("log_inbox", sa.Column("refused", sa.Text(), nullable=True))
    op.create_index("ix_log_inbox_request_id", "log_inbox", ["request_id"])


def _filled() -> bool:
    return op.get_bind().execute(sa.text("SELECT 1 FROM log_inbox LIMIT 1")).first() is not None


def downgrade() -> None:
    """Drop the columns. Refused while the inbox holds entries, also those that were refused: they are evidence."""
    if _filled():
        raise CommandError(
            "the inbox holds entries: run  guard audit settle  first, and keep elsewhere and delete what it refused"
        )
    op.drop_index("ix_log_inbox_request_id", "log_inbox")
    op.drop_column("log_inbox", "refused")
    op.drop_column("log_inbox", "mac")
