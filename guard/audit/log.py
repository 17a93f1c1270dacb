"""The writer of the record: seals content, appends entries to the Merkle log and signs the new state, in one transaction.

Callers seal in parallel and commit in groups. On PostgreSQL, several processes append to one log: whoever holds its head
writes entries; who finds it taken leaves sealed entries in the inbox, where they are durable, and the next holder takes in
the inboxes of all. So nobody ever retries, and the log is dense. SQLite lets one process write at a time anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import chain

from sqlalchemy import Connection, Engine, select

from guard.audit import merkle, rows
from guard.audit.checkpoint import Checkpoint
from guard.audit.draft import Draft, Ready, prepare, timestamp, utcnow
from guard.audit.group import Group
from guard.audit.publish import Published, Publisher
from guard.audit.rotation import log_signer, log_vkeys
from guard.audit.rows import Edge
from guard.audit.tree import read_tiles, receipt, stored_receipt
from guard.audit.vault import Vault
from guard.audit.witness import open_witness
from guard.errors import AlreadyRecorded, ConfigError, ProofError, RecordError, WitnessError
from guard.keys import KeyRing
from guard.store.bulk import insert_rows
from guard.store.engine import reading, writing
from guard.store.partitions import make_room
from guard.store.tables import LogBody, LogEntry, LogInbox
from guard.types import Ack, Receipt, WitnessSpec

ORIGIN = "genguard"


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
        witness: WitnessSpec | None = None,
        vault: Vault | None = None,
    ) -> None:
        """`spacing` is how many entries may lie between two checkpoints that are kept; the newest is always kept, and so is
        each one that the `witness` signed."""
        self.engine = engine
        self._spacing = spacing
        self.origin = origin
        self.vault = vault or Vault(keys)
        self.vkeys = log_vkeys(keys, origin)
        self._signer = log_signer(keys, origin)
        self._clock = clock
        self._times = threading.Lock()
        self._last_at: str | None = None  # the newest time that this process used or found
        self._turn = (
            threading.RLock()
        )  # one transaction of this process at a time: threads queue here, not at the database
        self._full_at = -1  # the size from which on room for more entries must be made
        self._edge: Edge | None = None  # as this process left it; what is read from the database is compared with it
        self._group: Group[list[Ready], list[Appended]] = Group(self._commit)
        self._publisher = Publisher(engine, self._signer, open_witness(witness, *self.vkeys)) if witness else None

    @property
    def vkey(self) -> str:
        """The first key of this log: from it, a verifier of the whole record finds those that followed."""
        return self.vkeys[0]

    def now(self) -> str:
        """The time by the log's clock, in the record's form."""
        return timestamp(self._clock())

    def append(
        self,
        drafts: Sequence[Draft],
        *,
        within: Callable[[Connection, Sequence[Appended]], None] | None = None,
        ack: Ack = Ack.SEQUENCED,
    ) -> list[Appended]:
        """Record entries and return when they are durable. What `within` writes commits with them, or nothing does.

        With `ack` WITNESSED, return when the witness has cosigned a checkpoint over them; the receipts carry it.
        Raises RecordError when they could not be recorded, and AlreadyRecorded when the request was, by another caller.
        """
        if not drafts:
            return []
        self.compare()
        if (self._edge.size if self._edge else 0) >= self._full_at:
            self._full_at = make_room(self.engine)
        publisher = self._witness() if ack is Ack.WITNESSED else None
        appended = self._append(drafts, within)
        if publisher is None:
            return appended
        try:
            published = publisher.covering(appended[-1].seq)
        except WitnessError as error:
            raise WitnessError(f"{error}; yet the entry is durable: ask again with the same request id") from error
        return [replace(entry, prove=self._prover(entry.seq, published.note)) for entry in appended]

    def _append(
        self, drafts: Sequence[Draft], within: Callable[[Connection, Sequence[Appended]], None] | None
    ) -> list[Appended]:
        now = self._clock()
        clock = timestamp(now)
        at = self._time(clock)
        ready = [prepare(draft, self.vault, now, clock, at) for draft in drafts]
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

    # --- the witness, asked without any lock of the log ---

    def compare(self) -> None:
        """Once in the life of this process: show the witness our newest checkpoint, if there is a witness.

        Raises WitnessError, and so keeps anything from being appended, when the log is shorter than what the witness signed
        or does not extend it, and when the witness cannot be asked.
        """
        if self._publisher is not None:
            self._publisher.compare()

    def catch_up(self) -> None:
        """Have the witness, if there is one, cosign what was appended since it was last asked."""
        if self._publisher is not None:
            self._publisher.catch_up()

    def publish(self) -> Published:
        """Have the witness cosign the newest checkpoint now."""
        return self._witness().publish()

    def witnessed(self, seq: int) -> Receipt:
        """A receipt under a cosigned checkpoint; the witness is asked where none covers the entry yet."""
        return self._prover(seq, self._witness().covering(seq).note)()

    def _witness(self) -> Publisher:
        if self._publisher is None:
            raise ConfigError(
                "nobody witnesses this log: set GUARD_WITNESS to a folder elsewhere, or to a witness's URL"
            )
        return self._publisher

    # --- sealing, without any lock of the database ---

    def _time(self, clock: str) -> str:
        """The clock, or the newest time known where the clock went back."""
        with self._times:
            if self._last_at is None:
                with reading(self.engine) as connection:
                    self._last_at = rows.last(connection)[1]
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
            rows.deposit(connection, ready)
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
            before = len(waiting)
            with reading(self.engine) as connection:
                taken = connection.execute(select(*columns).where(LogEntry.id.in_(waiting))).all()
            for seq, entry_id, at, hashed in taken:
                if hashed != waiting.pop(entry_id).row[6]:
                    raise RecordError(rows.BROKEN.format(f"entry {seq} was changed in the inbox"))
                found[entry_id] = Appended(seq, entry_id, at, self._prover(seq))
            if waiting and len(waiting) == before and not self._deposited(waiting):
                raise RecordError(rows.BROKEN.format("entries vanished from the inbox"))
        return [found[item.id] for item in ready]

    def _deposited(self, ids: Collection[str]) -> bool:
        """Whether the inbox still holds any of these entries: it may have more than one transaction takes in."""
        with reading(self.engine) as connection:
            return connection.execute(select(LogInbox.id).where(LogInbox.id.in_(ids)).limit(1)).first() is not None

    def _prover(self, seq: int, note: str | None = None) -> Callable[[], Receipt]:
        def prove() -> Receipt:
            with reading(self.engine) as connection:
                made = stored_receipt(connection, seq, note)
            if made is None:
                raise RecordError(rows.BROKEN.format(f"entry {seq} is gone"))
            return made

        return prove

    def _locked(self, connection: Connection, *, wait: bool = True) -> merkle.CompactRange | None:
        """The state of the log, locked until the transaction ends (SQLite locks the whole file instead).

        None: another process has it, and `wait` is false.
        """
        heads = rows.heads(connection, wait=wait)
        if not heads and not rows.heads(connection):
            rows.create_head(connection, self.origin)
            heads = rows.heads(connection, wait=True)
        if not heads and not wait:
            return None
        if len(heads) != 1 or heads[0].origin != self.origin:
            raise RecordError(f"this database holds another log than {self.origin!r}: use its own database or origin")
        try:
            return merkle.CompactRange(heads[0].size, heads[0].peaks)
        except (ProofError, TypeError) as error:
            raise RecordError(rows.BROKEN.format("its head is malformed")) from error

    def _sequence(
        self, connection: Connection, head: merkle.CompactRange | None, ready: Sequence[Ready]
    ) -> list[Appended]:
        """Number entries, those of the inbox first, grow the tree, sign it, and move the head; the entries of `ready`."""
        if head is None:
            raise RecordError(rows.BROKEN.format("the head is locked"))  # not reached: who waits for the lock gets it
        deposited = rows.withdraw(connection)
        items = [*deposited, *ready]
        if not items:
            return []
        self._require_sound(connection, head)
        before = head.size
        edge = self._edge = Edge.of(head, read_tiles(connection, merkle.edge_tiles(before)), self._edge)
        hashes = [item.row[6] for item in items]
        changed, replaced = edge.grow(head, hashes)
        checkpoint = Checkpoint(self.origin, head.size, head.root())
        if (
            merkle.tree_root(head.size, edge.nodes) != checkpoint.root
        ):  # two ways to one root must agree before it is signed
            raise RecordError(rows.BROKEN.format("tiles and head differ"))
        note = self._signer.sign(checkpoint.text)

        rows.claim_once(connection, ready)
        insert_rows(connection, LogEntry, [(before + index, *item.row) for index, item in enumerate(items)])
        bodies = [(before + index, *row, None) for index, item in enumerate(items) for row in rows.body_rows(item)]
        insert_rows(connection, LogBody, bodies)
        rows.store_tiles(connection, changed, replaced)
        rows.store_checkpoint(connection, before, checkpoint, note, self._spacing)
        rows.move_head(connection, self.origin, head, before)

        def appended(index: int, item: Ready) -> Appended:
            seq = before + index
            return Appended(seq, item.id, item.row[2], lambda: receipt(seq, item.row[6], note, checkpoint, edge.nodes))

        return [appended(len(deposited) + index, item) for index, item in enumerate(ready)]

    def _require_sound(self, connection: Connection, head: merkle.CompactRange) -> None:
        """Refuse to build on a log whose entries are not numbered 0 to size - 1; learn the time of the last."""
        seq, at = rows.last(connection)
        if seq + 1 != head.size:
            raise RecordError(rows.BROKEN.format("entries are missing or too many"))
        with self._times:
            self._last_at = max(self._last_at or "", at)
