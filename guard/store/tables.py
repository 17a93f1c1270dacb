"""The tables, as SQLAlchemy 2 typed models.

`log_entry` is append-only and holds commitments, never content; `log_body` holds the sealed content and is the only table
that may be erased. Hashed bytes live in BLOB/bytea columns and are never parsed by the database.

On PostgreSQL, entries and bodies are partitioned by ranges of `seq`, so that what is pruned can be dropped as a whole. There
a reference to an entry cannot be a foreign key (dropping would have to look through everything that refers), and an id is
unique within a partition only; the verifier looks for both.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BigKey = BigInteger().with_variant(Integer, "sqlite")
_PARTITIONED = {"sqlite_strict": True, "postgresql_partition_by": "RANGE (seq)"}


def _of_an_entry() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["seq"], ["log_entry.seq"]).ddl_if(dialect="sqlite")


class Base(DeclarativeBase):
    """The root of all tables. Times are ISO 8601 text in UTC with microseconds: equal to what is signed, and sortable."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    __table_args__: Any = ({"sqlite_strict": True},)


class LogHead(Base):
    """One row a log: how many entries there are, and the compact range (RFC 9162) from which it grows."""

    __tablename__ = "log_head"

    origin: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigKey)
    peaks: Mapped[bytes] = mapped_column(LargeBinary)


class Leaf:
    """What the log and the inbox hold of an entry, after its keys. All but `leaf` and its hash repeat fields of the leaf."""

    kind: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str | None] = mapped_column(Text)
    action: Mapped[str | None] = mapped_column(Text)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary)
    leaf: Mapped[bytes] = mapped_column(LargeBinary)
    subject: Mapped[str | None] = mapped_column(Text)


class LogEntry(Leaf, Base):
    """One leaf, numbered; it is searched by the columns that repeat it."""

    __tablename__ = "log_entry"
    __table_args__ = (
        UniqueConstraint("id").ddl_if(dialect="sqlite"),
        Index("ix_log_entry_request_id", "request_id"),
        Index("ix_log_entry_occurred_at", "occurred_at"),
        Index("ix_log_entry_kind_seq", "kind", "seq"),
        Index("ix_log_entry_state_seq", "state", "seq"),
        Index(
            "ix_log_entry_subject_seq",
            "subject",
            "seq",
            sqlite_where=text("subject IS NOT NULL"),
            postgresql_where=text("subject IS NOT NULL"),
        ),
        _PARTITIONED,
    )

    seq: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(Text)


class LogOnce(Base):
    """One request id, one generation and at most one continuation; claimed when an entry becomes durable."""

    __tablename__ = "log_once"

    request_id: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text)


class LogName(Base):
    """What an entry is found by besides its number: the id of a mark (`mark:…`), the label of a credential (`manifest:…`).

    It repeats what leaves say, and is made again from them.
    """

    __tablename__ = "log_name"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)


class LogInbox(Leaf, Base):
    """Sealed entries that are durable and have no number yet. Empty on SQLite, where whoever writes has the whole log.

    `mac` is of whoever left the entry; `refused` says why it will never be numbered.
    """

    __tablename__ = "log_inbox"
    __table_args__ = (Index("ix_log_inbox_request_id", "request_id"), {"sqlite_strict": True})

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    mac: Mapped[bytes] = mapped_column(LargeBinary, sort_order=1)
    refused: Mapped[str | None] = mapped_column(Text, sort_order=2)


class LogInboxBody(Base):
    """The sealed content of the entries in the inbox."""

    __tablename__ = "log_inbox_body"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)
    lookup: Mapped[bytes] = mapped_column(LargeBinary)


class LogBody(Base):
    """Sealed content of an entry by `role`, such as output or fingerprint. Erasing empties the row and destroys its key."""

    __tablename__ = "log_body"
    __table_args__ = (_of_an_entry(), Index("ix_log_body_lookup", "lookup"), _PARTITIONED)

    seq: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)
    wrapped_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    lookup: Mapped[bytes | None] = mapped_column(LargeBinary)
    erased_at: Mapped[str | None] = mapped_column(Text)


class LogTile(Base):
    """Tree hashes in the C2SP tlog-tiles shape: up to 256 hashes of height 8·level, partial tiles included."""

    __tablename__ = "log_tile"

    level: Mapped[int] = mapped_column(SmallInteger().with_variant(Integer, "sqlite"), primary_key=True)
    idx: Mapped[int] = mapped_column(BigKey, primary_key=True)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)


class LogCheckpoint(Base):
    """A signed tree head (C2SP tlog-checkpoint in a signed note)."""

    __tablename__ = "log_checkpoint"

    size: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    note: Mapped[str] = mapped_column(Text)


class LogCosignature(Base):
    """What a witness signed under a checkpoint, a line of C2SP tlog-cosignature; or a time stamp in such a line."""

    __tablename__ = "log_cosignature"

    size: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    witness: Mapped[str] = mapped_column(Text, primary_key=True)
    line: Mapped[str] = mapped_column(Text)


class ReviewCase(Base):
    """The review queue, a view of the record: every change here is an entry as well, so it can be rebuilt from there."""

    __tablename__ = "review_case"
    __table_args__ = (
        _of_an_entry(),
        Index(
            "ix_review_case_open",
            "severity",
            "deadline",
            "id",
            sqlite_where=text("state != 'decided'"),
            postgresql_where=text("state != 'decided'"),
        ),
        {"sqlite_strict": True},
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    seq: Mapped[int] = mapped_column(BigKey, unique=True)
    request_id: Mapped[str] = mapped_column(Text, index=True)
    stage: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    severity: Mapped[int] = mapped_column(Integer)
    opened_at: Mapped[str] = mapped_column(Text)
    deadline: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    assignee: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[str | None] = mapped_column(Text)
    ruling: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[str | None] = mapped_column(Text)
    ruling_seq: Mapped[int | None] = mapped_column(BigKey)
