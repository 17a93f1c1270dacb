"""Entries by the data subject whom they concern, so that a person's content can be found and erased."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

AT_ONCE = 1000  # leaves, of up to 64 kB, in memory
KNOWN = sa.text("subject IS NOT NULL")
ENTRY = sa.table("log_entry", sa.column("seq", sa.BigInteger), sa.column("leaf", sa.LargeBinary), sa.column("subject"))
SQLITE_TRIGGER = """
CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON log_entry
BEGIN SELECT RAISE(ABORT, 'log_entry is append-only'); END
"""


def upgrade() -> None:
    """Add the column, filled from the entries themselves where a release that knows it wrote them."""
    op.add_column("log_entry", sa.Column("subject", sa.Text(), nullable=True))
    op.add_column("log_inbox", sa.Column("subject", sa.Text(), nullable=True))
    _fill()
    op.create_index(
        "ix_log_entry_subject_seq", "log_entry", ["subject", "seq"], sqlite_where=KNOWN, postgresql_where=KNOWN
    )


def _fill() -> None:
    bind = op.get_bind()
    lite = bind.dialect.name == "sqlite"
    op.execute("DROP TRIGGER log_entry_no_update" if lite else "ALTER TABLE log_entry DISABLE TRIGGER USER")
    change = sa.update(ENTRY).where(ENTRY.c.seq == sa.bindparam("at")).values(subject=sa.bindparam("to"))
    query = sa.select(ENTRY.c.seq, ENTRY.c.leaf).order_by(ENTRY.c.seq).limit(AT_ONCE)
    last = -1
    while rows := bind.execute(query.where(ENTRY.c.seq > last)).all():
        last = rows[-1].seq
        found = ((seq, _subject(leaf)) for seq, leaf in rows if b'"subject"' in leaf)
        if named := [{"at": seq, "to": subject} for seq, subject in found if isinstance(subject, str)]:
            bind.execute(change, named)
    op.execute(SQLITE_TRIGGER if lite else "ALTER TABLE log_entry ENABLE TRIGGER USER")


def _subject(leaf: bytes) -> object:
    try:
        fields = json.loads(leaf)
    except ValueError:
        return None
    return fields.get("subject") if isinstance(fields, dict) else None


def downgrade() -> None:
    """Drop the column, which the entries repeat. Refused once content was erased, and while the inbox holds entries."""
    bind = op.get_bind()
    if bind.execute(sa.text("SELECT count(*) FROM log_body WHERE erased_at IS NOT NULL")).scalar_one():
        raise CommandError("content was erased: older releases would take that for tampering, so stay at this revision")
    if bind.execute(sa.text("SELECT count(*) FROM log_inbox")).scalar_one():
        raise CommandError("the inbox holds entries: append one entry with this release first, which takes them in")
    op.drop_index("ix_log_entry_subject_seq", "log_entry")
    op.drop_column("log_entry", "subject")
    op.drop_column("log_inbox", "subject")
