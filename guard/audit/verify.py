"""The reader that trusts nothing: recomputes the record from its bytes and compares all that is stored beside them.
It shares with the writer the digests, the table definitions and the pure functions of `merkle`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, open_checkpoint, split_note, vkey_name
from guard.audit.erased import Erased
from guard.audit.leaf import TIME, parse_leaf
from guard.audit.rotation import Trust
from guard.audit.sweep import SKEW, in_time, quick
from guard.audit.vault import Vault
from guard.digest import DIGEST_SIZE, sha256
from guard.errors import EvidenceError, NoteError
from guard.store.bulk import stream
from guard.store.engine import integrity, snapshot
from guard.store.failure import explain, is_damage
from guard.store.tables import LogBody, LogCheckpoint, LogEntry, LogHead, LogTile

MAX_PROBLEMS = 1000
_ENTRIES_AT_ONCE = 500
_BODIES_AT_ONCE = 20  # a body may be megabytes
_PROGRESS_EVERY = 256

_REPEATED = ("id", "kind", "occurred_at", "request_id", "state", "action", "subject")

Row = Any
T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not hold; `seq` is the entry that it concerns, where one can be named."""

    seq: int | None
    what: str

    def __str__(self) -> str:
        return self.what if self.seq is None else f"entry {self.seq}: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found. `checkpoint` is the newest signed one, to be kept for the next time when `ok`."""

    ok: bool
    size: int
    root: str
    problems: tuple[Problem, ...]
    first_broken: int | None
    checkpoint: str | None


def verify(
    engine: Engine,
    vkey: str,
    *,
    against: str | None = None,
    vault: Vault | None = None,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Report:
    """Check the whole record with the log's verification key.

    `against` is a checkpoint kept from earlier: the record must extend it, so a cut tail, an old backup and a rewritten
    history are found. With a `vault`, sealed content is decrypted and compared with what the entries commit to.
    `progress` is called with the entries done and in all. `jobs` is how many processes look at a long record first (default:
    one a core); what they do not find sound is read again with care.
    Raises NoteError when `against` is not a checkpoint of this log, RecordError when the database cannot be read.
    """
    kept = Checkpoint.parse(split_note(against)[0]) if against is not None else None
    run = _Run(vkey, kept, vault, progress)
    try:
        with snapshot(engine) as connection:
            sound = quick(engine, connection, vkey, kept, progress, jobs) if vault is None else None
            if sound is not None:
                if against is not None:
                    open_checkpoint(against, sound.vkeys)
                return Report(True, sound.size, sound.root, (), None, sound.note)
            run.read(connection)
    except SQLAlchemyError as error:
        if not is_damage(error):
            raise explain(error) from None
        run.report(run.tree.size, "the database file is damaged here, nothing beyond it could be read")
    if against is not None:  # only now is it known which keys the record leads to
        open_checkpoint(against, run.trust.vkeys)
    return run.result()


class _Run:
    """The state of one verification."""

    def __init__(self, vkey: str, kept: Checkpoint | None, vault: Vault | None, progress: Progress | None) -> None:
        self.trust = Trust(vkey)
        self._origin = vkey_name(vkey)
        self._kept = kept
        self._vault = vault
        self._progress = progress
        self._problems: list[Problem] = []
        self._broken: set[int] = set()
        self._edge: list[list[bytes]] = [[]]  # by level, the hashes of the tile that is filling up
        self._last_at = ""
        self._matched = 0  # the size of the newest checkpoint whose root was recomputed
        self._newest: str | None = None
        self._unmatched: int | None = None  # the size of the first checkpoint whose root differs
        self._tiles = 0
        self._next_seq = 0
        self._erased = Erased()
        self._dense = True  # after a gap, the tree over the rest can be compared with nothing
        self.tree = merkle.CompactRange()

    def report(self, seq: int | None, what: str) -> None:
        if seq is not None:
            self._broken.add(seq)
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Problem(seq, what))

    def result(self) -> Report:
        first = min(self._broken, default=None)
        newest = self._newest if self._matched == self.tree.size else None
        return Report(not self._problems, self.tree.size, self.tree.root().hex(), tuple(self._problems), first, newest)

    # --- the order of reading ---

    def read(self, connection: Connection) -> None:
        for line in integrity(connection):
            self.report(None, f"the database finds itself damaged: {line}")
        heads = connection.execute(select(LogHead.origin, LogHead.size, LogHead.peaks)).all()
        self._erased = Erased.read(connection)
        total = connection.execute(select(func.count()).select_from(LogEntry)).scalar_one()
        entries = stream(connection, select(*LogEntry.__table__.columns).order_by(LogEntry.seq), _ENTRIES_AT_ONCE)
        bodies = _Ahead(
            stream(connection, select(*LogBody.__table__.columns).order_by(LogBody.seq, LogBody.role), _BODIES_AT_ONCE)
        )
        notes = _Ahead(
            stream(connection, select(*LogCheckpoint.__table__.columns).order_by(LogCheckpoint.size), _ENTRIES_AT_ONCE)
        )
        self._reach(notes)
        for row in entries:
            if self._belongs(row):
                self._entry(connection, row, bodies)
                self._reach(notes)
            if self._progress and self.tree.size % _PROGRESS_EVERY == 0:
                self._progress(self.tree.size, total)
        if self._progress:
            self._progress(self.tree.size, total)
        self._leftovers(connection, heads, bodies, notes)

    def _leftovers(self, connection: Connection, heads: list[Row] | Any, bodies: _Ahead, notes: _Ahead) -> None:
        size = self._next_seq
        for body in bodies.rest():
            self._stray_body(body)
        covered = size
        for note in notes.rest():
            self._checkpoint(note, None)
            covered = note.size
        if covered != size and self._dense:
            self.report(size, f"is missing: a checkpoint covers {covered!r} entries, the record ends after {size}")
        for level, hashes in enumerate(self._edge):
            if hashes:
                self._tile(connection, level, hashes)
        stored = connection.execute(select(func.count()).select_from(LogTile)).scalar_one()
        if stored != self._tiles and self._dense:
            self.report(None, f"there are {stored} tiles of tree hashes instead of {self._tiles}")
        self._head(heads)
        if self._kept is not None and self._kept.size > size:
            self.report(
                size,
                f"is missing: a checkpoint kept earlier covers {self._kept.size} entries, the record ends after {size}"
                " (a cut tail, or an old backup was restored)",
            )
        # The tiles may have named the entry; checkpoints only say between which two of them the record was changed.
        if self._unmatched is not None and not any(seq < self._unmatched for seq in self._broken):
            first, last = self._matched, self._unmatched - 1
            which = "" if first == last else f"or another up to {last} "
            self.report(first, f"{which}is not what the checkpoint at {self._unmatched} entries was signed over")
        if self._matched != size and not self._problems:
            self.report(self._matched, "is not covered by any checkpoint, nor are those after it")

    def _head(self, heads: list[Row]) -> None:
        size = self._next_seq
        if not heads:
            if size:
                self.report(None, "the head of the log is missing")
            return
        head = heads[0]
        if len(heads) > 1 or head.origin != self._origin:
            self.report(None, "the head of the log names another log")
        if head.size != size:
            missing = isinstance(head.size, int) and head.size > size
            text = f"the head of the log says {head.size!r} entries, the record has {size}"
            self.report(size if missing else None, f"is missing: {text}" if missing else text)
        elif head.peaks != b"".join(self.tree.peaks) and not self._broken:
            self.report(None, "the head of the log does not fit the entries")

    # --- entries ---

    def _belongs(self, row: Row) -> bool:
        """Whether the row can be an entry; a gap before it is reported."""
        expected = self._next_seq
        if not isinstance(row.seq, int) or row.seq < expected:
            self.report(row.seq if isinstance(row.seq, int) else expected, "has a number that no entry can have here")
            return False
        if row.seq > expected:
            self.report(expected, f"is missing: entry {row.seq} comes next")
            self._dense = False
        self._next_seq = row.seq + 1
        return True

    def _entry(self, connection: Connection, row: Row, bodies: _Ahead) -> None:
        seq, leaf = row.seq, row.leaf
        hashed = merkle.leaf_hash(leaf) if isinstance(leaf, bytes) else b""
        same = row.leaf_hash == hashed
        if not same:
            self.report(seq, "its content was changed: the leaf does not have its hash")
        fields = parse_leaf(leaf)
        if fields is None:
            self.report(seq, "its leaf is not a JSON object")
        else:
            self.trust.entry(seq, fields)
            for what in self._columns(row, fields):
                self.report(seq, what)
            if same:  # else the time is not to be believed, nor compared with the next
                self._time(seq, fields.get("at"))
        self._entry_bodies(seq, fields or {}, bodies)
        self.tree.append(hashed or bytes(DIGEST_SIZE))
        self._push(connection, 0, hashed or bytes(DIGEST_SIZE))

    def _columns(self, row: Row, fields: Mapping[str, Any]) -> Iterator[str]:
        decision = fields.get("decision")
        state = fields.get("state")
        action = decision.get("action") if isinstance(decision, dict) else None
        signed = (
            fields.get("id"),
            fields.get("kind"),
            fields.get("at"),
            fields.get("request_id"),
            state if isinstance(state, str) else None,
            action if isinstance(action, str) else None,
            fields.get("subject"),
        )
        columns = (*row[1:7], row.subject)
        if columns != signed or list(map(type, columns)) != list(map(type, signed)):
            for name, column, said in zip(_REPEATED, columns, signed, strict=True):
                if type(column) is not type(said) or column != said:
                    yield f"the column {name} differs from what the leaf says"
        if fields.get("v") != 1:
            yield "its leaf has an unknown version"

    def _time(self, seq: int, at: object) -> None:
        if not isinstance(at, str) or not TIME.fullmatch(at):
            self.report(seq, "its time is malformed")
        elif at >= self._last_at:
            self._last_at = at
        elif not in_time(at, self._last_at):
            self.report(seq, f"its time lies more than {SKEW} s before that of an entry before it")

    # --- bodies ---

    def _entry_bodies(self, seq: object, fields: Mapping[str, Any], bodies: _Ahead) -> None:
        promised = fields.get("bodies")
        missing = dict(promised) if isinstance(promised, dict) else {}
        while (body := bodies.peek()) is not None and _at_most(body.seq, seq):
            bodies.take()
            facts = missing.pop(body.role, None) if body.seq == seq and isinstance(body.role, str) else None
            if not isinstance(facts, dict):
                self._stray_body(body)
                continue
            for what in self._body(body, facts, str(fields.get("id"))):
                self.report(body.seq, f"its {body.role} {what}")
        for role in missing:
            self.report(seq if isinstance(seq, int) else None, f"its {role} is missing")

    def _stray_body(self, body: Row) -> None:
        self.report(body.seq if isinstance(body.seq, int) else None, "has sealed content that the entry does not name")

    def _body(self, body: Row, facts: Mapping[str, Any], entry_id: str) -> Iterator[str]:
        sealed = (body.ciphertext, body.wrapped_key, body.lookup)
        if sealed == (None, None, None) and self._erased.allows(body.seq, body.role, body.erased_at):
            return
        if not all(isinstance(item, bytes) for item in sealed):
            yield "was removed without an entry that says so"
            return
        ciphertext, wrapped_key, lookup = sealed
        if self._erased.at(body.seq, body.role) is not None:
            yield "is there, although an entry says that it was erased (an old backup was restored in part)"
        if body.erased_at is not None:
            yield "is marked as erased without an entry that says so"
        if sha256(ciphertext).hex() != facts.get("ct_sha256"):
            yield "was changed: the sealed content does not have its digest"
        elif sha256(wrapped_key + lookup).hex() != facts.get("row_sha256"):
            yield "was changed: its key or look-up value does not have its digest"
        elif self._vault is not None:
            try:
                content = self._vault.open(facts, ciphertext, wrapped_key, entry_id=entry_id, role=body.role)
            except EvidenceError as error:
                yield f"does not open: {error}"
                return
            if len(content.data) != facts.get("len") or self._vault.lookup(content, facts.get("key_ref")) != lookup:
                yield "is not what its length or look-up value say"

    # --- the tree ---

    def _push(self, connection: Connection, level: int, hashed: bytes) -> None:
        if level == len(self._edge):
            self._edge.append([])
        hashes = self._edge[level]
        hashes.append(hashed)
        if len(hashes) == merkle.TILE_WIDTH:
            self._tile(connection, level, hashes)
            self._push(connection, level + 1, merkle.perfect_root(hashes))
            hashes.clear()

    def _tile(self, connection: Connection, level: int, hashes: list[bytes]) -> None:
        """Compare a stored tile with the recomputed hashes; the lowest level names the very entry."""
        count = self.tree.size >> (merkle.TILE_HEIGHT * level)
        index = (count - 1) // merkle.TILE_WIDTH
        if not self._dense:
            return
        query = select(LogTile.hashes).where(LogTile.level == level, LogTile.idx == index)
        stored = connection.execute(query).scalar_one_or_none()
        self._tiles += stored is not None
        if stored == b"".join(hashes):
            return
        if not isinstance(stored, bytes) or len(stored) != DIGEST_SIZE * len(hashes):
            self.report(None, f"the tile {level}/{index} of tree hashes is missing or has a wrong length")
        theirs = merkle.split(stored) if isinstance(stored, bytes) else []
        wrong = [offset for offset, (one, two) in enumerate(zip(hashes, theirs, strict=False)) if one != two]
        for offset in wrong if len(theirs) == len(hashes) else wrong[:1]:  # a shift makes all that follows differ
            first = (index * merkle.TILE_WIDTH + offset) << (merkle.TILE_HEIGHT * level)
            covered = range(first, first + (1 << (merkle.TILE_HEIGHT * level)))
            if not any(seq in covered for seq in self._broken):
                self.report(first, f"is not what the tree recorded (tile {level}/{index}, hash {offset})")

    # --- checkpoints ---

    def _reach(self, notes: _Ahead) -> None:
        """Check what claims to describe the tree at its present size."""
        size = self._next_seq
        while (row := notes.peek()) is not None and _at_most(row.size, size):
            notes.take()
            if row.size != size:
                self.report(None, f"a checkpoint says it covers {row.size!r} entries, which no checkpoint can")
            self._checkpoint(row, self.tree.root() if self._dense else None)
        if self._kept is not None and self._kept.size == size and self._dense and self._kept.root != self.tree.root():
            self.report(
                None, f"the first {size} entries are not those of the checkpoint kept earlier: history was rewritten"
            )

    def _checkpoint(self, row: Row, root: bytes | None) -> None:
        name = f"the checkpoint at {row.size!r} entries"
        try:
            signed = open_checkpoint(row.note if isinstance(row.note, str) else "", self.trust.vkeys)
        except NoteError as error:
            self.report(None, f"{name} is not signed by this log: {error}")
            return
        if signed.size != row.size or signed.root != row.root:
            self.report(None, f"{name} differs from what was signed")
        elif root is not None and signed.root == root and self._unmatched is None:
            self._matched = signed.size
            self.trust.signed(signed.size)
            self._newest = row.note
        elif root is not None and self._unmatched is None:
            self._unmatched = signed.size


class _Ahead:
    """Rows in order, with a look at the next one."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def peek(self) -> Row | None:
        return self._next

    def take(self) -> None:
        self._next = next(self._rows, None)

    def rest(self) -> Iterator[Row]:
        while self._next is not None:
            row = self._next
            self.take()
            yield row


def _at_most(value: object, limit: object) -> bool:
    """Whether a row sorts no later; a value of a wrong type, which only tampering leaves, is dealt with at once."""
    return not isinstance(value, int) or not isinstance(limit, int) or value <= limit
