"""The writer of the record: seals content, appends entries to the Merkle log and signs the new state, in one transaction."""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, NoteSigner
from guard.audit.vault import Sealed, Vault, place
from guard.digest import JSON, canonical
from guard.errors import CallerError, ProofError, RecordError
from guard.keys import KeyRing
from guard.store.engine import writing
from guard.store.tables import LogBody, LogCheckpoint, LogEntry, LogHead, LogTile
from guard.types import Content, Receipt

VERSION = 1
ORIGIN = "genguard"
MAX_LEAF = 0xFFFF  # tlog-tiles stores the length of an entry in 16 bits
_RESERVED = frozenset({"v", "id", "kind", "at", "clock", "request_id", "bodies"})
_WORD = re.compile(r"[a-z][a-z_]{0,31}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_BROKEN = "the record does not fit together ({}); nothing was written: run  guard audit verify  before anything else"


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to be recorded. `bodies` are the contents by role: prompt, output, release."""

    kind: str
    request_id: str | None
    fields: Mapping[str, JSON]
    bodies: Mapping[str, Content] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry as it was recorded."""

    seq: int
    id: str
    occurred_at: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class _Ready:
    """A draft with its id and sealed bodies, made before the log is locked."""

    id: str
    draft: Draft
    sealed: Mapping[str, Sealed]


def utcnow() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """The record's form of a time: UTC, microseconds, always equally long and so sortable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Log:
    """Appends to the one log of a database. Safe to share between threads, and between processes by the database's lock."""

    def __init__(
        self, engine: Engine, keys: KeyRing, *, origin: str = ORIGIN, clock: Callable[[], datetime] = utcnow
    ) -> None:
        self.engine = engine
        self.origin = origin
        self.vault = Vault(keys)
        self._signer = NoteSigner(origin, keys.signing_key("log"))
        self._clock = clock
        self._lock = threading.RLock()  # threads queue here, more fairly than at the database

    @property
    def vkey(self) -> str:
        """The key by which anybody checks this log's checkpoints."""
        return self._signer.vkey

    def now(self) -> str:
        """The time by the log's clock, in the record's form."""
        return timestamp(self._clock())

    def append(
        self,
        drafts: Sequence[Draft],
        *,
        within: Callable[[Connection, Sequence[Appended]], None] | None = None,
    ) -> list[Appended]:
        """Record entries and return when they are durable. What `within` writes commits with them, or nothing does.

        Raises RecordError when they could not be recorded, and AlreadyRecorded when the request was, by another caller.
        """
        if not drafts:
            return []
        ready = [self._prepare(draft) for draft in drafts]
        with self._lock, writing(self.engine) as connection:
            appended = self._append(connection, ready)
            if within is not None:
                within(connection, appended)
        return appended

    def _prepare(self, draft: Draft) -> _Ready:
        _require_valid(draft)
        entry_id = _new_id(self._clock())
        sealed = {role: self.vault.seal(body, context=place(entry_id, role)) for role, body in draft.bodies.items()}
        return _Ready(entry_id, draft, sealed)

    def _append(self, connection: Connection, ready: Sequence[_Ready]) -> list[Appended]:
        head = _lock_head(connection, self.origin)
        last = _require_dense(connection, head.size)
        tiles = read_tiles(connection, merkle.edge_tiles(head.size))
        nodes = merkle.TileNodes(lambda level, index: tiles[level, index])
        _require_same_tree(head, tiles, nodes)

        now = self._clock()
        rows = [_row(head.size + index, item, now, last) for index, item in enumerate(ready)]
        for row in rows:
            head.append(row["leaf_hash"])
        size = head.size
        changed = merkle.grow(size - len(rows), tiles, [row["leaf_hash"] for row in rows])
        replaced = [tile for tile in changed if tile in tiles]
        tiles.update(changed)  # whole nodes never change, so those that were computed above stay right
        checkpoint = Checkpoint(self.origin, size, head.root())
        if merkle.tree_root(size, nodes) != checkpoint.root:  # two ways to one root must agree before it is signed
            raise RecordError(_BROKEN.format("tiles and head differ"))
        note = self._signer.sign(checkpoint.text)

        _insert(connection, rows, ready)
        _store_tiles(connection, changed, replaced)
        _move_head(connection, self.origin, head, len(rows))
        connection.execute(insert(LogCheckpoint), [{"size": size, "root": checkpoint.root, "note": note}])
        return [
            Appended(
                row["seq"],
                row["id"],
                row["occurred_at"],
                receipt(row["seq"], row["leaf_hash"], note, checkpoint, nodes),
            )
            for row in rows
        ]


def receipt(seq: int, hashed: bytes, note: str, checkpoint: Checkpoint, nodes: merkle.ReadNode) -> Receipt:
    """The proof that a leaf is under a signed checkpoint."""
    proof = merkle.inclusion_proof(seq, checkpoint.size, nodes)
    hexes = tuple(item.hex() for item in proof)
    return Receipt(seq, checkpoint.size, checkpoint.root.hex(), hashed.hex(), hexes, note)


def read_tiles(connection: Connection, wanted: Sequence[merkle.TileId]) -> dict[merkle.TileId, bytes]:
    """Some tiles by one query."""
    query = select(LogTile.level, LogTile.idx, LogTile.hashes).where(tuple_(LogTile.level, LogTile.idx).in_(wanted))
    return {(row.level, row.idx): row.hashes for row in connection.execute(query)} if wanted else {}


# --- the draft -----------------------------------------------------------------------------------------------------


def _require_valid(draft: Draft) -> None:
    taken = _RESERVED & set(draft.fields)
    if taken:
        raise CallerError(f"an entry's field cannot be called {min(taken)!r}: the record uses that name itself")
    if not all(_WORD.fullmatch(word) for word in (draft.kind, *draft.bodies)):
        raise CallerError("an entry's kind and the roles of its bodies must be lower-case words")
    if draft.request_id is not None:
        check_request_id(draft.request_id)


def check_request_id(request_id: str) -> None:
    """Raises CallerError for an id that the record does not take."""
    if not (0 < len(request_id) <= 200 and request_id.isprintable()):
        raise CallerError("a request id must have 1 to 200 printable characters")


def _row(seq: int, item: _Ready, now: datetime, last: str) -> dict[str, Any]:
    clock = timestamp(now)
    fields = item.draft.fields
    leaf: dict[str, JSON] = {
        **fields,
        "v": VERSION,
        "id": item.id,
        "kind": item.draft.kind,
        "at": max(clock, last),
        "request_id": item.draft.request_id,
        "bodies": {role: sealed.facts for role, sealed in item.sealed.items()},
    }
    if clock < last:  # a clock that went back cannot reorder the record, nor can what it said be hidden
        leaf["clock"] = clock
    try:
        data = canonical(leaf)
    except (TypeError, ValueError) as error:
        raise CallerError(f"an entry's fields must be plain JSON without NaN: {type(error).__name__}") from None
    if len(data) > MAX_LEAF:
        raise RecordError(f"an entry of {len(data)} bytes is too long (at most {MAX_LEAF}): record fewer details")
    return {
        "seq": seq,
        "id": item.id,
        "kind": item.draft.kind,
        "occurred_at": leaf["at"],
        "request_id": item.draft.request_id,
        "state": state_of(fields),
        "action": action_of(fields),
        "leaf_hash": merkle.leaf_hash(data),
        "leaf": data,
    }


def state_of(fields: Mapping[str, Any]) -> str | None:
    """The column that repeats `state`."""
    state = fields.get("state")
    return state if isinstance(state, str) else None


def action_of(fields: Mapping[str, Any]) -> str | None:
    """The column that repeats `decision.action`."""
    decision = fields.get("decision")
    action = decision.get("action") if isinstance(decision, Mapping) else None
    return action if isinstance(action, str) else None


def _new_id(now: datetime) -> str:
    """A UUID of version 7: random, but growing with time, so that the index on it grows at one end."""
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    value = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


# --- the transaction -----------------------------------------------------------------------------------------------


def _lock_head(connection: Connection, origin: str) -> merkle.CompactRange:
    """The state of the log, locked until the transaction ends (SQLite locks the whole file instead)."""
    query = select(LogHead.origin, LogHead.size, LogHead.peaks).with_for_update()
    rows = connection.execute(query).all()
    if not rows:
        _create_head(connection, origin)
        rows = connection.execute(query).all()
    if len(rows) != 1 or rows[0].origin != origin:
        raise RecordError(f"this database holds another log than {origin!r}: use its own database or origin")
    try:
        return merkle.CompactRange(rows[0].size, rows[0].peaks)
    except (ProofError, TypeError) as error:
        raise RecordError(_BROKEN.format("its head is malformed")) from error


def _create_head(connection: Connection, origin: str) -> None:
    # Two first writers: the second waits at the unique key until the first has committed, and then finds its row.
    with contextlib.suppress(IntegrityError), connection.begin_nested():
        connection.execute(insert(LogHead), [{"origin": origin, "size": 0, "peaks": b""}])


def _require_dense(connection: Connection, size: int) -> str:
    """The time of the last entry; refuses to build on a log whose entries are not numbered 0 to size - 1."""
    last = connection.execute(
        select(LogEntry.seq, LogEntry.occurred_at).order_by(LogEntry.seq.desc()).limit(1)
    ).one_or_none()
    if (last.seq + 1 if last else 0) != size:
        raise RecordError(_BROKEN.format("entries are missing or too many"))
    if last and not (isinstance(last.occurred_at, str) and _TIME.fullmatch(last.occurred_at)):
        raise RecordError(_BROKEN.format("the last entry's time is malformed"))
    return last.occurred_at if last else ""


def _require_same_tree(head: merkle.CompactRange, tiles: Mapping[merkle.TileId, bytes], nodes: merkle.ReadNode) -> None:
    try:
        same = merkle.stored_peaks(head.size, nodes) == head.peaks
        exact = all(len(tiles[level, index]) == _tile_bytes(head.size, level) for level, index in tiles)
    except (KeyError, TypeError, ProofError) as error:
        raise RecordError(_BROKEN.format("tiles are missing")) from error
    if not (same and exact):
        raise RecordError(_BROKEN.format("tiles and head differ"))


def _tile_bytes(size: int, level: int) -> int:
    return 32 * ((size >> (merkle.TILE_HEIGHT * level)) % merkle.TILE_WIDTH)


def _insert(connection: Connection, rows: Sequence[dict[str, Any]], ready: Sequence[_Ready]) -> None:
    connection.execute(insert(LogEntry), list(rows))
    bodies = [
        {
            "seq": row["seq"],
            "role": role,
            "ciphertext": sealed.ciphertext,
            "wrapped_key": sealed.wrapped_key,
            "lookup": sealed.lookup,
        }
        for row, item in zip(rows, ready, strict=True)
        for role, sealed in item.sealed.items()
    ]
    if bodies:
        connection.execute(insert(LogBody), bodies)


def _store_tiles(
    connection: Connection, changed: Mapping[merkle.TileId, bytes], replaced: Sequence[merkle.TileId]
) -> None:
    if replaced:
        connection.execute(delete(LogTile).where(tuple_(LogTile.level, LogTile.idx).in_(replaced)))
    rows = [{"level": level, "idx": index, "hashes": hashes} for (level, index), hashes in changed.items()]
    connection.execute(insert(LogTile), rows)


def _move_head(connection: Connection, origin: str, head: merkle.CompactRange, count: int) -> None:
    moved = connection.execute(
        update(LogHead)
        .where(LogHead.origin == origin, LogHead.size == head.size - count)
        .values(size=head.size, peaks=b"".join(head.peaks))
    )
    if moved.rowcount != 1:  # fencing: whoever moved the head meanwhile holds the log, not we
        raise RecordError(_BROKEN.format("the head moved under the writer's lock"))
