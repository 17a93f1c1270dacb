"""What an entry is found by besides its number: marks and credentials of what it released.

The names stand in the leaf, in the layers of the stamp, and are random, so they say nothing about content. The table repeats
them for look-ups; a row that no leaf bears out is believed by nobody (`Reader.named`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, select

from guard.audit.leaf import parse_leaf
from guard.store.bulk import insert_rows, stream
from guard.store.engine import writing
from guard.store.tables import LogBody, LogEntry, LogName

_LONGEST = 200
_AT_ONCE = 1000


def mark_name(mark_id: str) -> str:
    """The name of an entry whose content carries a mark; `mark_id` in hexadecimal."""
    return f"mark:{mark_id}"


def manifest_name(label: str) -> str:
    """The name of an entry whose content carries a credential of this label."""
    return f"manifest:{label}"


def names_of(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a leaf gives; none in a malformed one."""
    stamp = fields.get("stamp")
    layers = stamp.get("layers") if isinstance(stamp, Mapping) else None
    found = []
    for layer in layers if isinstance(layers, list) else ():
        detail = layer.get("detail") if isinstance(layer, Mapping) and layer.get("status") == "applied" else None
        for key, name in (("mark_id", mark_name), ("manifest_id", manifest_name)):
            value = detail.get(key) if isinstance(detail, Mapping) else None
            if isinstance(value, str) and 0 < len(value) <= _LONGEST:
                found.append(name(value))
    return tuple(dict.fromkeys(found))


def forget(connection: Connection, *where: ColumnElement[bool]) -> None:
    """Drop the names of entries whose content goes, or that go themselves."""
    connection.execute(delete(LogName).where(LogName.id.in_(select(LogEntry.id).where(*where))))


def rebuild(engine: Engine) -> int:
    """Make the table again from the entries whose content is there; how many names there are."""
    kept = exists().where(LogBody.seq == LogEntry.seq, LogBody.erased_at.is_(None))
    query = select(LogEntry.id, LogEntry.leaf).where(LogEntry.kind.in_(("generation", "continuation")), kept)
    with writing(engine) as connection:
        rows = set[tuple[str, str]]()
        with closing(stream(connection, query.order_by(LogEntry.seq), _AT_ONCE)) as found:
            for row in found:
                rows.update((name, row.id) for name in names_of(parse_leaf(row.leaf) or {}))
        connection.execute(delete(LogName))
        insert_rows(connection, LogName, sorted(rows))
    return len(rows)
