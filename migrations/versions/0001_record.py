"""The record and the review queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")

# Only the first generation and the first continuation of a request are recorded.
ONCE = sa.text("kind in ('generation', 'continuation')")
UNDECIDED = sa.text("state != 'decided'")

SQLITE_TRIGGER = """
CREATE TRIGGER log_entry_no_{verb} BEFORE {verb} ON log_entry
BEGIN SELECT RAISE(ABORT, 'log_entry is append-only'); END
"""
POSTGRESQL_FUNCTION = """
CREATE FUNCTION log_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'log_entry is append-only'; END $$
"""
POSTGRESQL_ROWS = """
CREATE TRIGGER log_entry_no_change BEFORE UPDATE OR DELETE ON log_entry
FOR EACH ROW EXECUTE FUNCTION log_entry_append_only()
"""
POSTGRESQL_TRUNCATE = """
CREATE TRIGGER log_entry_no_truncate BEFORE TRUNCATE ON log_entry
FOR EACH STATEMENT EXECUTE FUNCTION log_entry_append_only()
"""


def upgrade() -> None:
    """Make the tables and the triggers that keep entries from being changed."""
    _make_log()
    _make_review()
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(SQLITE_TRIGGER.format(verb=verb))
    else:
        for statement in (POSTGRESQL_FUNCTION, POSTGRESQL_ROWS, POSTGRESQL_TRUNCATE):
            op.execute(statement)


def _make_log() -> None:
    op.create_table(
        "log_head",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("origin", name="pk_log_head"),
        sqlite_strict=True,
    )
    op.create_table(
        "log_entry",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_log_entry"),
        sa.UniqueConstraint("id", name="uq_log_entry_id"),
        sqlite_strict=True,
    )
    op.create_index(
        "uq_log_entry_once",
        "log_entry",
        ["request_id", "kind"],
        unique=True,
        sqlite_where=ONCE,
        postgresql_where=ONCE,
    )
    op.create_index("ix_log_entry_request_id", "log_entry", ["request_id"])
    op.create_index("ix_log_entry_occurred_at", "log_entry", ["occurred_at"])
    op.create_index("ix_log_entry_kind_seq", "log_entry", ["kind", "seq"])
    op.create_index("ix_log_entry_state_seq", "log_entry", ["state", "seq"])
    op.create_table(
        "log_body",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=True),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("lookup", sa.LargeBinary(), nullable=True),
        sa.Column("erased_at", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", "role", name="pk_log_body"),
        sa.ForeignKeyConstraint(["seq"], ["log_entry.seq"], name="fk_log_body_seq"),
        sqlite_strict=True,
    )
    op.create_index("ix_log_body_lookup", "log_body", ["lookup"])
    op.create_table(
        "log_tile",
        sa.Column("level", SMALL, nullable=False),
        sa.Column("idx", BIG, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "idx", name="pk_log_tile"),
        sqlite_strict=True,
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("size", BIG, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_log_checkpoint"),
        sqlite_strict=True,
    )


def _make_review() -> None:
    op.create_table(
        "review_case",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.Text(), nullable=False),
        sa.Column("deadline", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Text(), nullable=True),
        sa.Column("ruling", sa.Text(), nullable=True),
        sa.Column("rationale", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.Text(), nullable=True),
        sa.Column("ruling_seq", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_review_case"),
        sa.ForeignKeyConstraint(["seq"], ["log_entry.seq"], name="fk_review_case_seq"),
        sa.UniqueConstraint("seq", name="uq_review_case_seq"),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_review_case_open",
        "review_case",
        ["severity", "deadline", "id"],
        sqlite_where=UNDECIDED,
        postgresql_where=UNDECIDED,
    )
    op.create_index("ix_review_case_request_id", "review_case", ["request_id"])


def downgrade() -> None:
    """Drop everything. What was recorded is lost."""
    for table in ("review_case", "log_checkpoint", "log_tile", "log_body", "log_entry", "log_head"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION log_entry_append_only()")
