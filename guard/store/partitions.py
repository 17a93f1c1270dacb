"""Partitions of entries and bodies on PostgreSQL: made ahead, dropped as a whole, and what they cannot promise looked for.

SQLite has none; everything here does nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import Connection, Engine, bindparam, text

from guard.errors import RecordError
from guard.store.engine import writing

WIDTH = 256**3  # entries; see migration 0007
TABLES = ("log_entry", "log_body")
ENDLESS = 1 << 62
_BOUNDS = re.compile(r"FOR VALUES FROM \('(\d+)'\) TO \('(\d+)'\)")

_PARTITIONS = text("""
SELECT c.oid::regclass::text, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:parent)
""")
_OWNER = text("SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('log_entry')")
_SPAN = text("SELECT min(id), max(id) FROM log_entry WHERE seq >= :first AND seq < :beyond")
_SHARED = text("""
SELECT x.seq, y.seq FROM log_entry x JOIN log_entry y USING (id)
WHERE id BETWEEN :start AND :end AND x.seq >= :a AND x.seq < :b AND y.seq >= :c AND y.seq < :d LIMIT 20
""")


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """A table that holds the entries from `first` to before `beyond`."""

    first: int
    beyond: int
    name: str


def partitions(connection: Connection, parent: str = "log_entry") -> list[Partition]:
    """In order; those with bounds that this module does not make are left out."""
    if connection.dialect.name != "postgresql":
        return []
    rows = [(name, _BOUNDS.fullmatch(bound)) for name, bound in connection.execute(_PARTITIONS, {"parent": parent})]
    return sorted(Partition(int(found[1]), int(found[2]), name) for name, found in rows if found)


def make_room(engine: Engine) -> int:
    """Make partitions ahead of the log where they are needed; the size from which on this must be called again.

    A function of the database does it with the rights of the tables' owner, so that a writer needs none to make tables. It has
    a transaction of its own: room that a rolled back append had made would be gone, and be taken for there.
    """
    if engine.dialect.name != "postgresql":
        return ENDLESS
    with writing(engine) as connection:
        room: int = connection.execute(text("SELECT log_make_room()")).scalar_one()
    return room - WIDTH


def require_owner(connection: Connection) -> None:
    """Raise RecordError where the database's user may not drop partitions, nor delete rows."""
    if connection.dialect.name == "postgresql" and not connection.execute(_OWNER).scalar_one():
        raise RecordError(
            "entries are pruned by the owner of the tables, not by the service: give the owner's URL with --store"
        )


def hold_still(connection: Connection) -> None:
    """Keep partitions from being dropped while this transaction lasts; the first statement of a long read.

    Dropping a table shows in older snapshots as well. Taken before the snapshot, the lock makes both of one moment.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS SHARE MODE"))


def droppable(connection: Connection, minimum: int, kept: Sequence[str]) -> int:
    """Up to where whole partitions lie below `minimum` and hold more than entries of the `kept` kinds; 0 for nowhere."""
    beyond = max((it.beyond for it in partitions(connection) if it.beyond <= minimum), default=0)
    if not beyond:
        return 0
    more = text("SELECT EXISTS (SELECT FROM log_entry WHERE seq < :beyond AND kind NOT IN :kept)")
    values = {"beyond": beyond, "kept": list(kept)}
    return beyond if connection.execute(more.bindparams(bindparam("kept", expanding=True)), values).scalar_one() else 0


def drop_below(connection: Connection, beyond: int, kept: Sequence[str]) -> None:
    """Drop the partitions below `beyond`, the end of one, and put one in their place that holds what is `kept`.

    Waits a short while only for those who read the record, since everybody else waits behind it.
    """
    below = {table: [it for it in partitions(connection, table) if it.beyond <= beyond] for table in TABLES}
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    for table in TABLES:
        inside = "seq IN (SELECT seq FROM log_entry WHERE seq < :beyond AND kind IN :kept)"
        query = text(f"CREATE TEMP TABLE kept_{table} ON COMMIT DROP AS SELECT * FROM {table} WHERE {inside}")  # noqa: S608
        connection.execute(query.bindparams(bindparam("kept", expanding=True)), {"beyond": beyond, "kept": list(kept)})
    for parts in below.values():
        for part in parts:
            connection.execute(text(f"DROP TABLE {part.name}"))
    connection.execute(text("SELECT log_partition(0, :beyond)"), {"beyond": beyond})
    for table in TABLES:
        connection.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))  # noqa: S608


def repeated_ids(connection: Connection) -> list[tuple[int, int]]:
    """Entries of two partitions with one id: what an index cannot refuse, since it must hold the column of the partitions.

    Ids begin with their time, so two partitions share at most a short stretch of them, and only there is compared.
    """
    found: list[tuple[int, int]] = []
    spans = []
    for part in partitions(connection):
        low, high = connection.execute(_SPAN, {"first": part.first, "beyond": part.beyond}).one()
        spans += [(part, low, high)] if low is not None else []
    for (one, low, high), (two, least, most) in combinations(spans, 2):
        values = {"a": one.first, "b": one.beyond, "c": two.first, "d": two.beyond}
        if (start := max(low, least)) <= (end := min(high, most)):
            rows = connection.execute(_SHARED, {**values, "start": start, "end": end})
            found += [(first, second) for first, second in rows]
    return found
