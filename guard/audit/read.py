"""Reading the record: search by index, single entries, sealed bodies and receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Engine, Select, func, or_, select

from guard.audit import merkle
from guard.audit.leaf import parse_leaf
from guard.audit.names import names_of
from guard.audit.pruned import Pruned
from guard.audit.tree import VERIFY, newest_note, parse_checkpoint, repeated, stored_receipt
from guard.audit.vault import Vault
from guard.errors import ConfigError, EvidenceError
from guard.store.engine import reading
from guard.store.tables import LogBody, LogEntry, LogName
from guard.types import Content, Receipt

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as stored. `fields` is the parsed leaf, empty where it cannot be parsed; `leaf` are the signed bytes."""

    seq: int
    id: str
    kind: str
    at: str
    request_id: str | None
    state: str | None
    action: str | None
    leaf_hash: bytes
    leaf: bytes = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False)
    subject: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What it is found by besides its number (see `guard.audit.names`)."""
        return names_of(self.fields)

    @property
    def intact(self) -> bool:
        """Whether the columns repeat the leaf and the leaf has its hash. Says nothing about the tree: see `verify`."""
        columns = (self.id, self.kind, self.at, self.request_id, self.state, self.action, self.subject)
        return repeated(self.fields) == columns and merkle.leaf_hash(self.leaf) == self.leaf_hash


class Reader:
    """Reads the record; with a vault, sealed content too."""

    def __init__(self, engine: Engine, vault: Vault | None = None) -> None:
        self.engine = engine
        self._vault = vault

    def entry(self, seq: int) -> Entry | None:
        """One entry by its number."""
        return self._first(_entries().where(LogEntry.seq == seq))

    def generation(self, request_id: str) -> Entry | None:
        """The entry that recorded what became of a request."""
        return self._first(_entries().where(LogEntry.request_id == request_id, LogEntry.kind == "generation"))

    def continuation(self, request_id: str) -> Entry | None:
        """The entry that recorded the generation after a held prompt was approved."""
        return self._first(_entries().where(LogEntry.request_id == request_id, LogEntry.kind == "continuation"))

    def history(self, request_id: str) -> list[Entry]:
        """All entries about a request, oldest first."""
        return self._all(_entries().where(LogEntry.request_id == request_id).order_by(LogEntry.seq))

    def latest(
        self,
        limit: int = 50,
        *,
        before: int | None = None,
        kind: str | None = None,
        request_id: str | None = None,
        state: str | None = None,
        action: str | None = None,
        since: str | None = None,
        until: str | None = None,
        text: str | None = None,
        subject: str | None = None,
    ) -> list[Entry]:
        """Entries, newest first; `before` is the seq to page on from, `since` (inclusive) and `until` are times as recorded.

        `text` is an entry's number or id, or a request id: what people paste into a search box. `subject` is a data
        subject as the record calls it (`Vault.pseudonym`).
        """
        wanted = {"kind": kind, "request_id": request_id, "state": state, "action": action, "subject": subject}
        query = _entries().filter_by(**{name: value for name, value in wanted.items() if value is not None})
        if before is not None:
            query = query.where(LogEntry.seq < before)
        if text is not None:
            number = LogEntry.seq == int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
            same = [LogEntry.id == text, LogEntry.request_id == text]
            query = query.where(or_(*same, *([] if number is None else [number])))
        if since is not None:
            query = query.where(LogEntry.occurred_at >= since)
        if until is not None:
            query = query.where(LogEntry.occurred_at < until)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(LogEntry.seq.desc()).limit(limit)).all()
        return [_entry(row) for row in rows]

    def tally(
        self, *, since: str | None = None, until: str | None = None
    ) -> dict[tuple[str, str | None, str | None], int]:
        """How many entries there are by (kind, state, action)."""
        key = (LogEntry.kind, LogEntry.state, LogEntry.action)
        query = select(*key, func.count()).group_by(*key)
        if since is not None:
            query = query.where(LogEntry.occurred_at >= since)
        if until is not None:
            query = query.where(LogEntry.occurred_at < until)
        with reading(self.engine) as connection:
            return {(kind, state, action): count for kind, state, action, count in connection.execute(query)}

    def find(self, content: Content, limit: int = 50) -> list[Entry]:
        """Entries whose bodies hold exactly this content, newest first, without decrypting anything."""
        wanted, found = self._require_vault().lookups(content), set[int]()
        with reading(self.engine) as connection:
            while some := list(islice(wanted, _AT_ONCE)):
                found.update(connection.execute(select(LogBody.seq).where(LogBody.lookup.in_(some))).scalars())
        newest = sorted(found, reverse=True)[:limit]
        return self._all(_entries().where(LogEntry.seq.in_(newest)).order_by(LogEntry.seq.desc()))

    def named(self, name: str) -> list[Entry]:
        """Entries that say themselves that they have this name (see `guard.audit.names`), oldest first."""
        query = _entries().join(LogName, LogName.id == LogEntry.id).where(LogName.name == name).order_by(LogEntry.seq)
        return [entry for entry in self._all(query) if name in entry.names]

    def body(self, seq: int, role: str) -> Content | None:
        """The content of an entry; None where it has no such body or it was erased."""
        vault = self._require_vault()
        entry = self.entry(seq)
        query = select(LogBody.ciphertext, LogBody.wrapped_key).where(LogBody.seq == seq, LogBody.role == role)
        with reading(self.engine) as connection:
            row = connection.execute(query).one_or_none()
        if entry is None or row is None or row.ciphertext is None or row.wrapped_key is None:
            return None
        bodies = entry.fields.get("bodies")
        facts = bodies.get(role) if isinstance(bodies, dict) else None
        if (
            not isinstance(facts, dict)
            or not isinstance(row.ciphertext, bytes)
            or not isinstance(row.wrapped_key, bytes)
        ):
            raise EvidenceError(f"entry {seq} does not say how its {role} was sealed: {VERIFY}")
        return vault.open(facts, row.ciphertext, row.wrapped_key, entry_id=entry.id, role=role)

    def checkpoint(self) -> str | None:
        """The newest signed checkpoint; None while the record is empty."""
        with reading(self.engine) as connection:
            return newest_note(connection)

    def size(self) -> int:
        """How many entries the newest checkpoint covers."""
        note = self.checkpoint()
        return parse_checkpoint(note).size if note else 0

    def pruned(self) -> Pruned:
        """Below which number entries were removed, by which entry."""
        with reading(self.engine) as connection:
            return Pruned.read(connection)

    def receipt(self, seq: int) -> Receipt | None:
        """The proof that an entry is under the newest checkpoint."""
        with reading(self.engine) as connection:
            return stored_receipt(connection, seq)

    def _require_vault(self) -> Vault:
        if self._vault is None:
            raise ConfigError("reading content needs the key folder: give Reader a Vault")
        return self._vault

    def _first(self, query: Select[Any]) -> Entry | None:
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        return _entry(row) if row is not None else None

    def _all(self, query: Select[Any]) -> list[Entry]:
        with reading(self.engine) as connection:
            return [_entry(row) for row in connection.execute(query)]


def _entries() -> Select[Any]:
    return select(*LogEntry.__table__.columns)


def _entry(row: Any) -> Entry:
    return Entry(
        row.seq,
        row.id,
        row.kind,
        row.occurred_at,
        row.request_id,
        row.state,
        row.action,
        row.leaf_hash,
        row.leaf,
        parse_leaf(row.leaf) or {},
        row.subject,
    )
