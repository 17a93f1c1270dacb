"""The writer of the record: seals content, appends entries to the Merkle log and signs the new state, in one transaction.

Callers commit in groups. On PostgreSQL, several processes append to one log: whoever holds its head writes entries; who finds
it taken, or need not wait for a number, leaves sealed entries in the inbox, where they are durable, and the next holder takes
in the inboxes of all. So nobody ever retries, and the log is dense. SQLite lets one process write at a time anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from itertools import chain

from sqlalchemy import Connection, Engine, select

from guard.audit import inbox, merkle, rows
from guard.audit.checkpoint import Checkpoint
from guard.audit.draft import Draft, Ready, utcnow
from guard.audit.group import Group
from guard.audit.inbox import Inbox, Taken
from guard.audit.publish import Published, Publisher, Vouching
from guard.audit.rotation import log_signer, log_vkeys, require_not_retired
from guard.audit.rows import Edge
from guard.audit.sealer import Sealer
from guard.audit.tree import read_tiles, receipt, stored_receipt
from guard.audit.vault import Vault
from guard.digest import JSON
from guard.errors import AlreadyRecorded, GuardError, ProofError, RecordError
from guard.keys import KeyRing
from guard.options import AuthoritySpec, Signatures, WitnessSpec
from guard.store.bulk import insert_rows
from guard.store.engine import reading, writing
from guard.store.partitions import make_room
from guard.store.tables import LogBody, LogEntry, LogInbox
from guard.types import Ack, Receipt

ORIGIN = "genguard"
LARGE = 64 * 1024  # bytes of content: from here on sealing runs beside other threads, so each caller does its own
_LEFT, _LISTED = 500, 100  # entries left in the inbox before this process numbers them; hashes that a refusal lists
Seal = Callable[[], list[Ready]]  # gives the entries that a caller wants recorded
Within = Callable[[Connection, Sequence["Appended"]], None]  # what else a transaction writes
Append = Callable[[Sequence[Draft]], "list[Appended]"]
Alone = Callable[[Connection, Append], None]  # what one does that nobody else may write beside, and how it appends


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry as it was recorded. One that is durable and no more gets its number when that, or the receipt, is asked for."""

    id: str
    occurred_at: str
    prove: Callable[[], Receipt] = field(repr=False, compare=False)
    number: int | None = None

    @property
    def seq(self) -> int:
        """Its number in the log. Raises RecordError as `receipt` does."""
        return self.receipt.entry if self.number is None else self.number

    @property
    def receipt(self) -> Receipt:
        """The proof that the entry is under a signed checkpoint. Raises RecordError where it cannot be numbered now."""
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
        authority: AuthoritySpec | None = None,
        signatures: Signatures = Signatures.ED25519,
        vault: Vault | None = None,
    ) -> None:
        """`spacing` is how many entries may lie between two checkpoints that are kept; the newest is always kept, and so is
        each one that the `witness` signed, or the `authority` stamped."""
        self.engine = engine
        self._spacing = spacing
        self.origin = origin
        self.vault = vault or Vault(keys)
        self.vkeys = log_vkeys(keys, origin, signatures)
        self._signer = log_signer(keys, origin)
        self._changed: int | None = None  # the newest entry about keys that this process's keys were compared with
        self._sealer = Sealer(engine, self.vault, clock)
        self._turn = threading.RLock()  # one transaction of this process at a time: threads queue here
        self._full_at = -1  # the size from which on room for more entries must be made
        self._edge: Edge | None = None  # as this process left it; what is read from the database is compared with it
        self._inbox = Inbox(keys, origin)
        self._has_inbox = engine.dialect.name == "postgresql"
        self._left = 0  # entries of this process that may still lie there
        self._ours = False  # whether the log was found to be signed with our keys
        self._group: Group[Seal, list[Appended]] = Group(partial(self._commit, self._store))
        self._deposits: Group[Seal, list[Appended]] = Group(partial(self._commit, self._leave))
        self._vouching = Vouching(engine, self._signer, self.vkeys, witness, authority)

    @property
    def vkey(self) -> str:
        """The first key of this log: from it, a verifier of the whole record finds those that followed."""
        return self.vkeys[0]

    def now(self) -> str:
        """The time by the log's clock, in the record's form."""
        return self._sealer.now()

    def append(
        self, drafts: Sequence[Draft], *, within: Within | None = None, ack: Ack = Ack.SEQUENCED
    ) -> list[Appended]:
        """Record entries and return when they are numbered. What `within` writes commits with them, or nothing does.

        With `ack` WITNESSED, return when the witness has cosigned a checkpoint over them; the receipts carry it. With
        DURABLE, and where nothing is to be written `within`, return when they are committed: on PostgreSQL they get their
        numbers later, from whoever appends or settles next.
        Raises RecordError when they could not be recorded, and AlreadyRecorded when the request was, by another caller.
        """
        if not drafts:
            return []
        self.compare()
        if (self._edge.size if self._edge else 0) >= self._full_at:
            self._full_at = make_room(self.engine)
        publisher = self._witness() if ack is Ack.WITNESSED else None
        appended = self._append(drafts, within, ack)
        if publisher is None:
            return appended
        with _durable():
            published = publisher.covering(appended[-1].seq)
        return [replace(entry, prove=self._prover(entry.seq, published.note)) for entry in appended]

    def _append(self, drafts: Sequence[Draft], within: Within | None, ack: Ack) -> list[Appended]:
        seal: Seal = partial(self._sealer.seal, drafts)
        if within is not None or sum(len(body.data) for draft in drafts for body in draft.bodies.values()) > LARGE:
            seal = partial(list, seal())
        try:
            if within is not None:
                with self._turn:
                    return self._write(seal(), within) or []
            if ack is not Ack.DURABLE or not self._has_inbox:
                return self._group.submit(seal)
            appended = self._deposits.submit(seal)
        except AlreadyRecorded:
            self.settle()  # the other entry may still lie in the inbox, of a process that died
            raise
        with _durable():
            self._relieve()
        return appended

    def exclusively(self, act: Alone) -> None:
        """Call `act` in one transaction over all that is durable, in which nobody else records anything.

        For those who destroy keys: what was sealed before and comes later is sealed again where its key has gone.
        """
        self.compare()
        with self._turn:
            self._write([], alone=act)

    # --- those who vouch for it, asked without any lock of the log ---

    def compare(self) -> None:
        """Once in the life of this process: show the witness our newest checkpoint, if there is a witness.

        Raises WitnessError, and so keeps anything from being appended, when the log is shorter than what the witness signed
        or does not extend it, and when the witness cannot be asked. Where there is an authority, it stamps the checkpoint with
        the time; raises TimestampError where that is required and fails.
        """
        self._vouching.compare()

    def catch_up(self) -> None:
        """Have the witness, if there is one, cosign what was appended since it was last asked, and the time stamped on it."""
        self._vouching.catch_up()

    def publish(self) -> Published:
        """Have the witness cosign the newest checkpoint now."""
        return self._witness().publish()

    def witnessed(self, seq: int) -> Receipt:
        """A receipt under a cosigned checkpoint; the witness is asked where none covers the entry yet."""
        return self._prover(seq, self._witness().covering(seq).note)()

    def _witness(self) -> Publisher:
        return self._vouching.publisher()

    # --- committing ---

    def _commit(
        self, store: Callable[[list[Ready]], list[Appended]], batch: Sequence[Seal]
    ) -> Sequence[list[Appended] | BaseException]:
        """Seal and store what callers wait for; the error of one is not the error of all."""
        sealed = [_attempt(seal) for seal in batch]
        stored = iter(self._stored(store, [one for one in sealed if isinstance(one, list)]))
        return [next(stored) if isinstance(one, list) else one for one in sealed]

    def _stored(
        self, store: Callable[[list[Ready]], list[Appended]], batch: Sequence[list[Ready]]
    ) -> Sequence[list[Appended] | BaseException]:
        if not batch:
            return []
        try:
            appended = iter(store(list(chain.from_iterable(batch))))
        except AlreadyRecorded as error:
            # Somebody's request was recorded before. Alone, each caller learns whether it was theirs.
            alone = (self._stored(store, [one]) for one in batch)
            return [error] if len(batch) == 1 else list(chain.from_iterable(alone))
        except RecordError as error:
            return [error] * len(batch)
        return [[next(appended) for _ in one] for one in batch]

    def _store(self, ready: list[Ready]) -> list[Appended]:
        """Number entries, or leave them to whoever holds the head and wait for their numbers."""
        with self._turn:
            appended = self._write(ready, wait=False)
            if appended is not None:
                return appended
            return self._collect({item.id: item.row[6] for item in self._deposit(ready)})

    def _leave(self, ready: list[Ready]) -> list[Appended]:
        """Leave entries in the inbox, to be numbered when somebody asks, or before."""
        left = self._deposit(ready)
        self._left += len(left)

        def prover(key: Mapping[str, bytes]) -> Callable[[], Receipt]:
            return cache(lambda: self._collect(key)[0].receipt)

        return [Appended(item.id, item.row[2], prover({item.id: item.row[6]})) for item in left]

    def _deposit(self, ready: Sequence[Ready]) -> Sequence[Ready]:
        with writing(self.engine) as connection:
            self._sealer.learn(self._inbox.begin(connection))
            fresh = self._sealer.fresh(ready)
            self._inbox.deposit(connection, fresh)
        return fresh

    def _relieve(self) -> None:
        """Once in a while, so that the inbox does not grow for ever: number what it holds, unless somebody else does."""
        if self._left >= _LEFT and self._turn.acquire(blocking=False):
            try:
                self._write([], wait=False)
                self._left = 0
            finally:
                self._turn.release()

    def settle(self, request_id: str | None = None) -> None:
        """Number what lies in the inbox, of whatever process. With a request id, only where something about it lies there."""
        if not self._has_inbox:
            return
        with reading(self.engine) as connection:
            waits = inbox.waits(connection, request_id)
        if waits:
            self.compare()
            with self._turn:
                self._write([])

    def _write(
        self, ready: Sequence[Ready], within: Within | None = None, *, wait: bool = True, alone: Alone | None = None
    ) -> list[Appended] | None:
        """Number entries after all that lies in the inbox. None: another process holds the head, and `wait` is false."""
        while True:
            with writing(self.engine) as connection:
                head = self._locked(connection, wait=wait)
                if head is None:
                    return None
                if alone is not None:
                    self._inbox.close(connection)
                taken = self._inbox.withdraw(connection)
                # What still lies there may be older than `ready`, and the verifier holds us to the order of times.
                behind = taken.more and not (ready and taken.newest >= self._sealer.limit())
                appended = self._sequence(connection, head, taken, [] if behind else ready)
                if within is not None and not behind:
                    within(connection, appended)
                if alone is not None and not behind:
                    alone(connection, partial(self._more, connection, head))
            if not behind:
                return appended

    def _more(self, connection: Connection, head: merkle.CompactRange, drafts: Sequence[Draft]) -> list[Appended]:
        return self._sequence(connection, head, Taken(), self._sealer.seal(drafts))

    def _collect(self, hashes: Mapping[str, bytes]) -> list[Appended]:
        """Deposited entries (ids and leaf hashes) as they are in the log, whoever numbers them."""
        with _durable():
            self.settle()
            columns = (LogEntry.seq, LogEntry.id, LogEntry.occurred_at, LogEntry.leaf_hash)
            with reading(self.engine) as connection:
                taken = connection.execute(select(*columns).where(LogEntry.id.in_(hashes))).all()
                refused = connection.execute(select(LogInbox.refused).where(LogInbox.id.in_(hashes))).scalars().first()
        found = {row.id: Appended(row.id, row.occurred_at, self._prover(row.seq), row.seq) for row in taken}
        changed = refused or any(row.leaf_hash != hashes[row.id] for row in taken)
        if changed or len(found) < len(hashes):
            what = "an entry was changed in the inbox" if changed else "entries vanished from the inbox"
            raise RecordError(rows.BROKEN.format(what))
        return [found[entry_id] for entry_id in hashes]

    def _prover(self, seq: int, note: str | None = None) -> Callable[[], Receipt]:
        def prove() -> Receipt:
            with reading(self.engine) as connection:
                if (made := stored_receipt(connection, seq, note)) is None:
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
        self._ours = self._ours or rows.is_ours(connection, self.vkeys)
        try:
            return merkle.CompactRange(heads[0].size, heads[0].peaks)
        except (ProofError, TypeError) as error:
            raise RecordError(rows.BROKEN.format("its head is malformed")) from error

    def _sequence(
        self, connection: Connection, head: merkle.CompactRange, taken: Taken, ready: Sequence[Ready]
    ) -> list[Appended]:
        """Number entries, those of the inbox first, grow the tree, sign it, and move the head; the entries of `ready`."""
        if not (taken.entries or taken.refused or ready):
            return []
        self._sealer.learn(max(self._require_sound(connection, head), taken.newest))
        ready = self._sealer.fresh(ready)
        others = [*taken.entries, *self._refusal(taken.refused)]
        items = [*others, *ready]
        before = head.size
        edge = self._edge = Edge.of(head, read_tiles(connection, merkle.edge_tiles(before)), self._edge)
        hashes = [item.row[6] for item in items]
        changed, replaced = edge.grow(head, hashes)
        checkpoint = Checkpoint(self.origin, head.size, head.root())
        if merkle.tree_root(head.size, edge.nodes) != checkpoint.root:  # two ways to one root must agree before signing
            raise RecordError(rows.BROKEN.format("tiles and head differ"))
        note = self._signer.sign(checkpoint.text)

        rows.claim_once(connection, ready)
        rows.store_names(connection, ready)
        insert_rows(connection, LogEntry, [(before + index, *item.row) for index, item in enumerate(items)])
        bodies = [(before + index, *row, None) for index, item in enumerate(items) for row in rows.body_rows(item)]
        insert_rows(connection, LogBody, bodies)
        rows.store_tiles(connection, changed, replaced)
        rows.store_checkpoint(connection, before, checkpoint, note, self._spacing)
        rows.move_head(connection, self.origin, head, before)

        def appended(seq: int, item: Ready) -> Appended:
            return Appended(item.id, item.row[2], lambda: receipt(seq, item.row[6], note, checkpoint, edge.nodes), seq)

        return [appended(before + len(others) + index, item) for index, item in enumerate(ready)]

    def _refusal(self, refused: Sequence[bytes]) -> list[Ready]:
        """The entry that says that some in the inbox were not ours: nobody can make that unsaid."""
        if not refused:
            return []
        fields: dict[str, JSON] = {"count": len(refused), "leaves": [hashed.hex() for hashed in refused[:_LISTED]]}
        return self._sealer.seal([Draft("refusal", None, fields)])

    def _require_sound(self, connection: Connection, head: merkle.CompactRange) -> str:
        """Refuse to build on a log with numbers other than 0 to size - 1, or with other keys by now; the time of the last."""
        seq, at, changed = rows.last(connection)
        if seq + 1 != head.size:
            raise RecordError(rows.BROKEN.format("entries are missing or too many"))
        if changed is not None and changed != self._changed:
            require_not_retired(connection, self._signer.vkeys)
            self._changed = changed
        return at


def _attempt(seal: Seal) -> list[Ready] | GuardError:
    try:
        return seal()
    except GuardError as error:
        return error


@contextmanager
def _durable() -> Iterator[None]:
    """What fails in here, fails for entries that are committed."""
    try:
        yield
    except RecordError as error:
        raise type(error)(f"{error}; yet the entry is durable: ask again with the same request id") from error
