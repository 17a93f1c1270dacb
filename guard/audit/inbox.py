"""The inbox: sealed entries that are durable and wait for a number (PostgreSQL only).

Whoever may INSERT there must not get a word into the record, so an entry lies there under a MAC that only the processes
with the key folder can make. What was not left by one of them, or was changed since, is never numbered: it stays where it
is, marked as refused, and the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, select

from guard.audit import merkle
from guard.audit.draft import Ready
from guard.audit.leaf import parse_leaf
from guard.audit.rows import body_rows, claim_once, store_names
from guard.audit.tree import repeated
from guard.audit.vault import Sealed, row_digest
from guard.digest import DIGEST_SIZE, mac, same, sha256, subkey
from guard.keys import KeyRing
from guard.store.bulk import insert_rows
from guard.store.tables import LogEntry, LogInbox, LogInboxBody, LogOnce

MOST = 2000  # entries that one transaction takes in
MOST_BYTES = 32 << 20  # of their leaves and contents, about
PATIENCE = 20  # seconds: a deposit that is stopped for longer is rolled back by the server
FORGED = "it was not left by a process of this log, or was changed in the inbox"
REPLAYED = "it is in the record already"
_LISTED = 100

# Built once: building a statement costs as much as running it. Content of an entry is counted in the database, where its
# length is known without reading it.
_CONTENT = select(func.sum(func.octet_length(LogInboxBody.ciphertext))).where(LogInboxBody.id == LogInbox.id)
_SIZE = func.octet_length(LogInbox.leaf) + func.coalesce(_CONTENT.scalar_subquery(), 0)
_OLDEST = (
    select(LogInbox.id, _SIZE.label("size")).where(LogInbox.refused.is_(None)).order_by(LogInbox.id).limit(MOST)
).subquery()
_SUMMED = select(
    _OLDEST.c.id, (func.sum(_OLDEST.c.size).over(order_by=_OLDEST.c.id) - _OLDEST.c.size).label("before")
).subquery()
_TAKE = (
    delete(LogInbox)
    .where(LogInbox.id.in_(select(_SUMMED.c.id).where(_SUMMED.c.before < MOST_BYTES)))
    .returning(*LogInbox.__table__.columns, exists().where(LogEntry.id == LogInbox.id))
)
_TAKE_BODIES = (
    delete(LogInboxBody)
    .where(LogInboxBody.id.in_(bindparam("ids", expanding=True)))
    .returning(*LogInboxBody.__table__.columns)
)
_WAITING = select(LogInbox.id).where(LogInbox.refused.is_(None)).limit(1)
_WAITING_FOR = _WAITING.where(LogInbox.request_id == bindparam("request_id"))
# A process that is stopped in the middle would else leave an entry that is much older than those numbered meanwhile.
_OPEN = 0x67656E68  # any number will do, as long as every genguard process uses the same
_BEGIN = select(
    func.pg_advisory_xact_lock_shared(_OPEN),
    func.set_config("statement_timeout", bindparam("patience"), True),
    func.set_config("idle_in_transaction_session_timeout", bindparam("patience"), True),
    select(LogEntry.occurred_at).order_by(LogEntry.seq.desc()).limit(1).scalar_subquery(),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What one transaction took out: sound entries, oldest first; leaf hashes of what it refused; whether more may wait."""

    entries: Sequence[Ready] = ()
    refused: Sequence[bytes] = ()
    more: bool = False

    @property
    def newest(self) -> str:
        """The time of the newest entry; nothing where there is none."""
        return str(self.entries[-1].row[2]) if self.entries else ""


@dataclass(frozen=True, slots=True)
class Status:
    """What lies in the inbox: how many entries wait, and some of those refused, each with the reason.

    `lost` are entries whose request was claimed when they became durable, and that are nowhere now.
    """

    waiting: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    lost: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether nobody has meddled with it."""
        return not self.refused and not self.lost


class Inbox:
    """Leaves entries and takes them out again. The MAC's key lies in the key folder, which all writers of a log share."""

    def __init__(self, keys: KeyRing, origin: str) -> None:
        self._key = subkey(keys.secret("inbox"), f"inbox of {origin}")

    def begin(self, connection: Connection) -> str:
        """Open a deposit, which the server rolls back if we are stopped in the middle; the time of the newest entry.

        Until the transaction ends, nobody can `close` the inbox.
        """
        return connection.execute(_BEGIN, {"patience": f"{PATIENCE}s"}).one()[-1] or ""

    def close(self, connection: Connection) -> None:
        """Let those finish who leave entries, and nobody begin, until this transaction ends."""
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_OPEN)))

    def deposit(self, connection: Connection, ready: Sequence[Ready]) -> None:
        """Leave entries."""
        claim_once(connection, ready)
        store_names(connection, ready)
        insert_rows(connection, LogInbox, [(*item.row, self._mac(item.row), None) for item in ready])
        insert_rows(connection, LogInboxBody, [(item.id, *row) for item in ready for row in body_rows(item)])

    def withdraw(self, connection: Connection) -> Taken:
        """Take out the oldest entries, under the lock of the log's head; readers see them there until this commits."""
        if connection.dialect.name != "postgresql":
            return Taken()
        found = connection.execute(_TAKE).all()
        if not found:
            return Taken()
        bodies: dict[str, dict[str, tuple[bytes, bytes, bytes]]] = {}
        for body in connection.execute(_TAKE_BODIES, {"ids": [row.id for row in found]}):
            bodies.setdefault(body.id, {})[body.role] = (body.ciphertext, body.wrapped_key, body.lookup)
        entries, refused = [], []
        for *row, code, _, replayed in found:
            opened = self._opened(tuple(row), code, bodies.get(row[0], {}))
            if opened is None or replayed:
                refused.append((*row, code, REPLAYED if replayed else FORGED))
            else:
                entries.append(Ready(tuple(row), opened))
        insert_rows(connection, LogInbox, refused)
        back = [(row[0], role, *body) for row in refused for role, body in bodies.get(row[0], {}).items()]
        insert_rows(connection, LogInboxBody, back)
        size = sum(len(row.leaf) for row in found)
        size += sum(len(sealed[0]) for each in bodies.values() for sealed in each.values())
        # By time, and not by id: a clock that went back makes ids that sort before those of older entries.
        entries.sort(key=lambda item: (item.row[2], item.id))
        hashes = [merkle.leaf_hash(row[7]) for row in refused]
        return Taken(entries, hashes, len(found) >= MOST or size >= MOST_BYTES)

    def _mac(self, row: Sequence[Any]) -> bytes:
        """Over all columns but the leaf, for which its hash stands, as digests in the leaf stand for the contents."""
        return mac(self._key, _framed((*row[:7], row[8])))

    def _opened(
        self, row: tuple[Any, ...], code: bytes, bodies: Mapping[str, tuple[bytes, bytes, bytes]]
    ) -> tuple[tuple[str, Sealed], ...] | None:
        """The contents of an entry that is as it was left; None for any other. Contents that it does not name are dropped."""
        leaf_hash, leaf = row[6], row[7]
        fields = parse_leaf(leaf) if same(code, self._mac(row)) and merkle.leaf_hash(leaf) == leaf_hash else None
        if fields is None or repeated(fields) != (*row[:6], row[8]):
            return None
        opened = []
        for role, facts in fields["bodies"].items():
            ciphertext, wrapped, lookup = bodies.get(role, (b"", b"", b""))
            digests = sha256(ciphertext).hex(), row_digest(wrapped, lookup), len(lookup)
            if digests != (facts["ct_sha256"], facts["row_sha256"], DIGEST_SIZE):
                return None
            opened.append((role, Sealed(facts, ciphertext, wrapped, lookup)))
        return tuple(opened)


def _framed(values: Iterable[str | bytes | None]) -> bytes:
    """Some values as one, so that no two lists of values look alike."""
    parts = [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values]
    return b"".join(b"-" if part is None else b"%d:%b" % (len(part), part) for part in parts)


def waits(connection: Connection, request_id: str | None = None) -> bool:
    """Whether anything waits for a number, or anything about a request."""
    query = _WAITING if request_id is None else _WAITING_FOR
    return connection.execute(query, {"request_id": request_id} if request_id else {}).first() is not None


def status(connection: Connection, *, claims: bool = False) -> Status:
    """What lies in the inbox; with `claims`, which takes as long as the record, also what was removed from it."""
    if connection.dialect.name != "postgresql":
        return Status()
    waiting = connection.execute(select(func.count()).select_from(LogInbox).where(LogInbox.refused.is_(None)))
    refused = select(LogInbox.id, LogInbox.refused).where(LogInbox.refused.is_not(None)).order_by(LogInbox.id)
    marked = {str(row.id): str(row.refused) for row in connection.execute(refused.limit(_LISTED))}
    nowhere = select(LogOnce.id).where(
        ~exists().where(LogEntry.id == LogOnce.id), ~exists().where(LogInbox.id == LogOnce.id)
    )
    lost = connection.execute(nowhere.order_by(LogOnce.id).limit(_LISTED)).scalars().all() if claims else ()
    return Status(waiting.scalar_one(), marked, tuple(lost))
