"""A quick look over a stretch of the record: a yes or a no, and no diagnosis.

`python -m guard.audit.sweep` is one of the processes that `guard.audit.quick` starts; it reads its task as JSON from stdin.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, select

from guard.audit import merkle
from guard.audit.erased import Erased
from guard.audit.leaf import TIME
from guard.audit.pruned import Pruned
from guard.digest import DIGEST_SIZE, sha256
from guard.store.engine import open_engine, snapshot
from guard.store.tables import LogBody, LogEntry, LogTile

SKEW = 60  # seconds: entries are sealed before they are numbered, and clocks of several machines differ
_AT_ONCE = 500
_BODIES_AT_ONCE = 20  # a body may be megabytes
_REPORT_EVERY = 4096


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sound stretch comes to: the roots of its full tiles (hex), the hashes of a last part, and its times."""

    tiles: list[str]
    edge: str
    bodies: int
    first_at: str
    last_at: str


def sweep(
    connection: Connection,
    start: int,
    end: int,
    *,
    size: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Swept | None:
    """Look at the entries from `start` (a multiple of 256) to `end`; None where anything is not as it should be.

    `size` is that of the record (default: `end`): what later entries say of erasures is not looked at, so not believed.
    """
    size = end if size is None else size
    columns, inside = LogEntry.__table__.columns, (LogEntry.seq >= start, LogEntry.seq < end)
    options = {"yield_per": _AT_ONCE}
    content = (LogBody.seq, LogBody.role, LogBody.ciphertext, LogBody.wrapped_key, LogBody.lookup, LogBody.erased_at)
    there = (LogBody.seq >= start, LogBody.seq < end)
    sealed = select(*content).where(*there).order_by(LogBody.seq, LogBody.role)
    with (
        connection.execute(
            select(*columns).where(*inside).order_by(LogEntry.seq), execution_options=options
        ) as entries,
        connection.execute(sealed, execution_options={"yield_per": _BODIES_AT_ONCE}) as bodies,
    ):
        rows, sealed_rows = (chain.from_iterable(result.partitions()) for result in (entries, bodies))
        named, pruned = Erased.read(connection, before=size), Pruned.read(connection, before=size)
        return _swept(connection, start, end, rows, sealed_rows, named, pruned, progress)


def _swept(
    connection: Connection,
    start: int,
    end: int,
    entries: Iterable[Any],
    bodies: Iterator[Any],
    named: Erased,
    pruned: Pruned,
    progress: Callable[[int], None] | None,
) -> Swept | None:
    tiles: list[str] = []
    edge: list[bytes] = []
    count, at_last, at_first, expected = 0, "", "~", start
    body = next(bodies, None)
    for row in entries:
        seq, leaf = row[0], row[8]
        if seq != expected:
            until = min(seq, pruned.minimum) if type(seq) is int else expected
            if not _skipped(connection, expected, until, pruned, edge, tiles):
                return None
            expected = max(until, expected)
        if seq != expected or type(leaf) is not bytes:
            return None
        if seq < pruned.minimum and not pruned.keeps(seq):  # still there: not finished, which the careful reader says
            return None
        expected += 1
        hashed = merkle.leaf_hash(leaf)
        fields = _fields(leaf)
        if hashed != row[7] or fields is None or fields.get("v") != 1 or not _repeats(row, fields):
            return None
        at = fields["at"]
        if at < at_last:
            if not in_time(at, at_last):
                return None
        else:
            at_last = at
        at_first = min(at_first, at)
        promised = fields.get("bodies")
        left = dict(promised) if type(promised) is dict else {}
        while body is not None and body[0] == seq:
            _, role, ciphertext, wrapped, lookup, erased = body
            facts = left.pop(role, None)
            if type(facts) is not dict:
                return None
            if ciphertext is wrapped is lookup is None:
                fits = named.allows(seq, role, erased)
            else:
                fits = erased is None and named.at(seq, role) is None and _sealed(facts, ciphertext, wrapped, lookup)
            if not fits:
                return None
            count += 1
            body = next(bodies, None)
        if left or (body is not None and (type(body[0]) is not int or body[0] < seq)):
            return None
        edge.append(hashed)
        if len(edge) == merkle.TILE_WIDTH:
            if lowest_tile(connection, seq // merkle.TILE_WIDTH) != b"".join(edge):
                return None
            tiles.append(merkle.perfect_root(edge).hex())
            edge.clear()
        if progress is not None and expected % _REPORT_EVERY == 0:
            progress(expected - start)
    until = min(end, pruned.minimum)
    if expected < until and _skipped(connection, expected, until, pruned, edge, tiles):
        expected = until
    if expected != end or body is not None:
        return None
    if edge and lowest_tile(connection, end // merkle.TILE_WIDTH) != b"".join(edge):
        return None
    return Swept(tiles, b"".join(edge).hex(), count, at_first, at_last)


def _skipped(
    connection: Connection, first: int, beyond: int, pruned: Pruned, edge: list[bytes], tiles: list[str]
) -> bool:
    """Take the hashes of entries that are gone from the tiles: every root above vouches for them."""
    if pruned.keeps_any(first, max(first, beyond)):
        return False
    while first < beyond:
        index = first // merkle.TILE_WIDTH
        until = min(beyond, (index + 1) * merkle.TILE_WIDTH)
        stored = lowest_tile(connection, index)
        hashes = merkle.split(stored) if type(stored) is bytes else []
        edge += hashes[first % merkle.TILE_WIDTH : until - index * merkle.TILE_WIDTH]
        if len(edge) != until - index * merkle.TILE_WIDTH or len(edge[-1]) != DIGEST_SIZE:
            return False
        if len(edge) == merkle.TILE_WIDTH:
            tiles.append(merkle.perfect_root(edge).hex())
            edge.clear()
        first = until
    return True


def _fields(leaf: bytes) -> dict[str, Any] | None:
    try:
        fields = from_json(leaf)
    except ValueError:  # lone surrogates among others: rare, and for the careful reader
        return None
    return fields if type(fields) is dict else None


def _repeats(row: Sequence[Any], fields: Mapping[str, Any]) -> bool:
    """Whether the columns say what the leaf says, in the same types (only a text equals a text, only a null a null)."""
    _, entry_id, kind, at, request, state, action, _, _, subject = row
    get = fields.get
    if not (type(entry_id) is type(kind) is type(at) is str and TIME.fullmatch(at)):
        return False
    if not (entry_id == get("id") and kind == get("kind") and at == get("at")):
        return False
    if request != get("request_id") or subject != get("subject"):
        return False
    decision, said = get("decision"), get("state")
    done = decision.get("action") if type(decision) is dict else None
    if state != (said if type(said) is str else None) or action != (done if type(done) is str else None):
        return False
    return all(it is None or type(it) is str for it in (request, subject, state, action))


def in_time(at: str, newest: str) -> bool:
    """Whether an entry's time lies no further back than clocks and waiting explain."""
    try:
        return (datetime.fromisoformat(newest) - datetime.fromisoformat(at)).total_seconds() <= SKEW
    except (ValueError, TypeError):
        return False


def _sealed(facts: Mapping[str, Any], ciphertext: object, wrapped: object, lookup: object) -> bool:
    if type(ciphertext) is not bytes or type(wrapped) is not bytes or type(lookup) is not bytes:
        return False
    same = sha256(ciphertext).hex() == facts.get("ct_sha256")
    return same and sha256(wrapped + lookup).hex() == facts.get("row_sha256")


def lowest_tile(connection: Connection, index: int) -> object:
    """A tile of leaf hashes as it is stored."""
    query = select(LogTile.hashes).where(LogTile.level == 0, LogTile.idx == index)
    return connection.execute(query).scalar_one_or_none()


def _main() -> None:
    task = json.loads(sys.stdin.read())

    def say(value: object) -> None:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    engine = open_engine(task["url"], create=False)
    with snapshot(engine, task["view"]) as connection:
        found = sweep(connection, task["start"], task["end"], size=task["size"], progress=say)
    say(asdict(found) if found else None)


if __name__ == "__main__":
    _main()
