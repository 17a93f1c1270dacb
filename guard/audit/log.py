"""The writer of the record: seals content, appends entries to the Merkle log and signs the new state, in one transaction.

Callers seal in parallel and commit in groups. On PostgreSQL, several processes append to one log: whoever holds its head
writes entries; who finds it taken leaves sealed entries in the inbox, where they are durable, and the next holder takes in
the inboxes of all. So nobody ever retries, and the log is dense. SQLite lets one process write at a time anyway.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, NoteSigner
from guard.audit.draft import Draft, Ready, prepare, timestamp, utcnow
from guard.audit.group import Group
from guard.audit.tree import read_tiles, receipt, stored_receipt
from guard.audit.vault import Sealed, Vault
from guard.errors import AlreadyRecorded, ProofError, RecordError
from guard.keys import KeyRing
from guard.store.bulk import insert_rows
from guard.store.engine import reading, writing
from guard.store.tables import LogBody, LogCheckpoint, LogEntry, LogHead, LogInbox, LogInboxBody, LogOnce, LogTile
from guard.types import Receipt

ORIGIN = "genguard"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_MOST = 2000  # entries of the inbox that one transaction takes in
_BROKEN = "the record does not fit together ({}); nothing was written: run  guard audit verify  before anything else"


@dataclass(frozen=True)
class Appended:
    """An entry as it was recorded; its receipt is made when it is first asked for."""

    seq: int
    id: str
    occurred_at: str
    prove: Callable[[], Receipt] = field(repr=False, compare=False)

    @cached_property
    def receipt(self) -> Receipt:
        """The proof that the entry is under a signed checkpoint."""
        return self.prove()


class Log:
    """Appends to the one log of a database. Safe to share between threads, and between processes by the database's lock."""

    def __init__(
        self,
        engine: Engine,
        keys: KeyRing,
        *,
        origin: str = ORIGIN,
        clock: Callable[[], datetime] = utcnow,
        spacing: int = merkle.TILE_WIDTH,
        vault: Vault | None = None,
    ) -> None:
        """`spacing` is how many entries may lie between two checkpoints that are kept; the newest is always kept."""
        self.engine = engine
        self._spacing = spacing
        self.origin = origin
        self.vault = vault or Vault(keys)
        self._signer = NoteSigner(origin, keys.signing_key("log"))
        self._clock = clock
        self._times = threading.Lock()
        self._last_at: str | None = None  # the newest time that this process used or found
        self._turn = (
            threading.RLock()
        )  # one transaction of this process at a time: threads queue here, not at the database
        self._group: Group[list[Ready], list[Appended]] = Group(self._commit)

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
        now = self._clock()
        ready = [prepare(draft, self.vault, now, self._time(timestamp(now))) for draft in drafts]
        try:
            if within is None:
                return self._group.submit(ready)
            with self._turn, writing(self.engine) as connection:
                appended = self._sequence(connection, self._locked(connection), ready)
                within(connection, appended)
        except AlreadyRecorded:
            self.settle()  # the other entry may still lie in the inbox, of a process that died
            raise
        return appended

    # --- sealing, without any lock of the database ---

    def _time(self, clock: str) -> str:
        """The clock, or the newest time known where the clock went back."""
        with self._times:
            if self._last_at is None:
                with reading(self.engine) as connection:
                    self._last_at = _last(connection)[1]
            self._last_at = max(self._last_at, clock)
            return self._last_at

    # --- committing ---

    def _commit(self, batch: Sequence[list[Ready]]) -> Sequence[list[Appended] | BaseException]:
        try:
            with self._turn:
                appended = iter(self._store(list(chain.from_iterable(batch))))
        except AlreadyRecorded as error:
            # Somebody's request was recorded before. Alone, each caller learns whether it was theirs.
            return [error] if len(batch) == 1 else list(chain.from_iterable(self._commit([one]) for one in batch))
        except RecordError as error:
            return [error] * len(batch)
        return [[next(appended) for _ in one] for one in batch]

    def _store(self, ready: Sequence[Ready]) -> list[Appended]:
        with writing(self.engine) as connection:
            head = self._locked(connection, wait=False)
            if head is not None:
                return self._sequence(connection, head, ready)
            _deposit(connection, ready)
        try:
            return self._collect(ready)
        except RecordError as error:
            raise RecordError(f"{error}; yet the entry is durable: ask again with the same request id") from error

    def settle(self) -> None:
        """Take in what other processes left in the inbox, perhaps before they died."""
        with self._turn, writing(self.engine) as connection:
            self._sequence(connection, self._locked(connection), [])

    def _collect(self, ready: Sequence[Ready]) -> list[Appended]:
        """Deposited entries once they are in the log, whoever takes them in: this process or the one that holds the head."""
        waiting = {item.id: item for item in ready}
        found: dict[str, Appended] = {}
        while waiting:
            with writing(self.engine) as connection:
                self._sequence(connection, self._locked(connection), [])
            columns = (LogEntry.seq, LogEntry.id, LogEntry.occurred_at, LogEntry.leaf_hash)
            with reading(self.engine) as connection:
                rows = connection.execute(select(*columns).where(LogEntry.id.in_(waiting))).all()
            for seq, entry_id, at, hashed in rows:
                if hashed != waiting.pop(entry_id).row[6]:
                    raise RecordError(_BROKEN.format(f"entry {seq} was changed in the inbox"))
                found[entry_id] = Appended(seq, entry_id, at, self._prover(seq))
        return [found[item.id] for item in ready]

    def _prover(self, seq: int) -> Callable[[], Receipt]:
        def prove() -> Receipt:
            with reading(self.engine) as connection:
                made = stored_receipt(connection, seq)
            if made is None:
                raise RecordError(_BROKEN.format(f"entry {seq} is gone"))
            return made

        return prove

    def _locked(self, connection: Connection, *, wait: bool = True) -> merkle.CompactRange | None:
        """The state of the log, locked until the transaction ends (SQLite locks the whole file instead).

        None: another process has it, and `wait` is false.
        """
        query = select(LogHead.origin, LogHead.size, LogHead.peaks)
        rows = connection.execute(query.with_for_update(skip_locked=not wait)).all()
        if not rows and not connection.execute(query).first():
            _create_head(connection, self.origin)
            rows = connection.execute(query.with_for_update()).all()
        if not rows and not wait:
            return None
        if len(rows) != 1 or rows[0].origin != self.origin:
            raise RecordError(f"this database holds another log than {self.origin!r}: use its own database or origin")
        try:
            return merkle.CompactRange(rows[0].size, rows[0].peaks)
        except (ProofError, TypeError) as error:
            raise RecordError(_BROKEN.format("its head is malformed")) from error

    def _sequence(
        self, connection: Connection, head: merkle.CompactRange | None, ready: Sequence[Ready]
    ) -> list[Appended]:
        """Number entries, those of the inbox first, grow the tree, sign it, and move the head; the entries of `ready`."""
        if head is None:
            raise RecordError(_BROKEN.format("the head is locked"))  # not reached: who waits for the lock gets it
        deposited = _withdraw(connection)
        items = [*deposited, *ready]
        if not items:
            return []
        self._require_sound(connection, head)
        before = head.size
        tiles = read_tiles(connection, merkle.edge_tiles(before))
        nodes = merkle.TileNodes(lambda level, index: tiles[level, index])
        _require_same_tree(head, tiles, nodes)
        hashes = [item.row[6] for item in items]
        for hashed in hashes:
            head.append(hashed)
        changed = merkle.grow(before, tiles, hashes)
        replaced = [tile for tile in changed if tile in tiles]
        tiles.update(changed)  # whole nodes never change, so those that were computed above stay right
        checkpoint = Checkpoint(self.origin, head.size, head.root())
        if merkle.tree_root(head.size, nodes) != checkpoint.root:  # two ways to one root must agree before it is signed
            raise RecordError(_BROKEN.format("tiles and head differ"))
        note = self._signer.sign(checkpoint.text)

        _claim_once(connection, ready)
        insert_rows(connection, LogEntry, [(before + index, *item.row) for index, item in enumerate(items)])
        bodies = [(before + index, *row, None) for index, item in enumerate(items) for row in _body_rows(item)]
        insert_rows(connection, LogBody, bodies)
        _store_tiles(connection, changed, replaced)
        _store_checkpoint(connection, before, checkpoint, note, self._spacing)
        _move_head(connection, self.origin, head, before)

        def appended(index: int, item: Ready) -> Appended:
            seq = before + index
            return Appended(seq, item.id, item.row[2], lambda: receipt(seq, item.row[6], note, checkpoint, nodes))

        return [appended(len(deposited) + index, item) for index, item in enumerate(ready)]

    def _require_sound(self, connection: Connection, head: merkle.CompactRange) -> None:
        """Refuse to build on a log whose entries are not numbered 0 to size - 1; learn the time of the last."""
        seq, at = _last(connection)
        if seq + 1 != head.size:
            raise RecordError(_BROKEN.format("entries are missing or too many"))
        with self._times:
            self._last_at = max(self._last_at or "", at)


# --- the transaction -----------------------------------------------------------------------------------------------


def _create_head(connection: Connection, origin: str) -> None:
    # Two first writers: the second waits at the unique key until the first has committed, and then finds its row.
    with contextlib.suppress(IntegrityError), connection.begin_nested():
        connection.execute(insert(LogHead), [{"origin": origin, "size": 0, "peaks": b""}])


def _last(connection: Connection) -> tuple[int, str]:
    """The number and the time of the last entry; -1 and nothing where there is none."""
    query = select(LogEntry.seq, LogEntry.occurred_at).order_by(LogEntry.seq.desc()).limit(1)
    last = connection.execute(query).one_or_none()
    if last and not (isinstance(last.occurred_at, str) and _TIME.fullmatch(last.occurred_at)):
        raise RecordError(_BROKEN.format("the last entry's time is malformed"))
    return (last.seq, last.occurred_at) if last else (-1, "")


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


def _claim_once(connection: Connection, ready: Sequence[Ready]) -> None:
    # In order, so that two transactions that meet here wait for each other in one direction only.
    claims = sorted({(*item.once, item.id) for item in ready if item.once})
    insert_rows(connection, LogOnce, claims)


def _body_rows(item: Ready) -> list[tuple[Any, ...]]:
    return [(role, body.ciphertext, body.wrapped_key, body.lookup) for role, body in item.bodies]


def _deposit(connection: Connection, ready: Sequence[Ready]) -> None:
    _claim_once(connection, ready)
    insert_rows(connection, LogInbox, [item.row for item in ready])
    insert_rows(connection, LogInboxBody, [(item.id, *row) for item in ready for row in _body_rows(item)])


def _withdraw(connection: Connection) -> list[Ready]:
    """Take entries out of the inbox, oldest first (PostgreSQL only; its readers see them until this commits)."""
    if connection.dialect.name != "postgresql":
        return []
    oldest = select(LogInbox.id).order_by(LogInbox.id).limit(_MOST)
    taken = connection.execute(delete(LogInbox).where(LogInbox.id.in_(oldest)).returning(*LogInbox.__table__.columns))
    rows = sorted(tuple(row) for row in taken)
    if not rows:
        return []
    columns = LogInboxBody.__table__.columns
    found = delete(LogInboxBody).where(LogInboxBody.id.in_([row[0] for row in rows])).returning(*columns)
    bodies: dict[str, list[tuple[str, Sealed]]] = {}
    for body in connection.execute(found):
        sealed = Sealed({}, body.ciphertext, body.wrapped_key, body.lookup)
        bodies.setdefault(body.id, []).append((body.role, sealed))
    return [Ready(row, tuple(bodies.get(row[0], ()))) for row in rows]


def _store_tiles(
    connection: Connection, changed: Mapping[merkle.TileId, bytes], replaced: Sequence[merkle.TileId]
) -> None:
    if replaced:
        connection.execute(delete(LogTile).where(tuple_(LogTile.level, LogTile.idx).in_(replaced)))
    rows = [{"level": level, "idx": index, "hashes": hashes} for (level, index), hashes in changed.items()]
    connection.execute(insert(LogTile), rows)


def _store_checkpoint(connection: Connection, before: int, checkpoint: Checkpoint, note: str, spacing: int) -> None:
    """Keep the newest checkpoint and some on the way to it; one for each transaction would prove no more."""
    if before // spacing == checkpoint.size // spacing:
        connection.execute(delete(LogCheckpoint).where(LogCheckpoint.size == before))
    connection.execute(insert(LogCheckpoint), [{"size": checkpoint.size, "root": checkpoint.root, "note": note}])


def _move_head(connection: Connection, origin: str, head: merkle.CompactRange, before: int) -> None:
    moved = connection.execute(
        update(LogHead)
        .where(LogHead.origin == origin, LogHead.size == before)
        .values(size=head.size, peaks=b"".join(head.peaks))
    )
    if moved.rowcount != 1:  # fencing: whoever moved the head meanwhile holds the log, not we
        raise RecordError(_BROKEN.format("the head moved under the writer's lock"))
