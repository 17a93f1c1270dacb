"""The queue no longer repeats the reason of a ruling: it may quote the content, and must go where the content goes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the column. Nothing is lost: the reason lies sealed with the entry of the ruling."""
    op.drop_column("review_case", "rationale")


def downgrade() -> None:
    """Have the column again, empty; `guard review rebuild` of the release before fills it."""
    op.add_column("review_case", sa.Column("rationale", sa.Text(), nullable=True))
