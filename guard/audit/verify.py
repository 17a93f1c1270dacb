"""The reader that trusts nothing: recomputes the record from its bytes and compares all that is stored beside them.
It shares with the writer the digests, the table definitions and the pure functions of `merkle`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, split_note
from guard.audit.erased import Erased
from guard.audit.leaf import TIME, differences, parse_leaf
from guard.audit.problems import Problem, Problems
from guard.audit.pruned import Pruned
from guard.audit.quick import quick
from guard.audit.regrow import Regrown
from guard.audit.sweep import SKEW, in_time
from guard.audit.trust import Trust
from guard.audit.vault import Vault
from guard.audit.vouched import NOBODY, Known, Vouched
from guard.digest import DIGEST_SIZE, sha256
from guard.errors import EvidenceError, NoteError
from guard.store.bulk import Ahead, stream
from guard.store.engine import integrity, snapshot
from guard.store.failure import explain, is_damage
from guard.store.partitions import hold_still, repeated_ids
from guard.store.tables import LogBody, LogCheckpoint, LogEntry, LogHead

_ENTRIES_AT_ONCE = 500
_BODIES_AT_ONCE = 20  # a body may be megabytes
_PROGRESS_EVERY = 256

Row = Any
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found. `checkpoint` is the newest signed one, to be kept for the next time when `ok`.

    `vouched` counts what others signed under checkpoints and holds, `unchecked` what was signed by somebody unknown.
    Entries below `minimum` were pruned; `unfinished` of them are still there, which is no fault of the record.
    """

    ok: bool
    size: int
    root: str
    problems: tuple[Problem, ...]
    first_broken: int | None
    checkpoint: str | None
    vouched: int = 0
    unchecked: int = 0
    minimum: int = 0
    unfinished: int = 0


def verify(
    engine: Engine,
    vkeys: str | Sequence[str],
    *,
    against: str | None = None,
    known: Known = NOBODY,
    vault: Vault | None = None,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Report:
    """Check the whole record with the log's verification key, or with its first of each kind: each must have signed.

    `against` is a checkpoint kept from earlier: the record must extend it, so a cut tail, an old backup and a rewritten
    history are found. `known` are those whose signatures under checkpoints are checked too. With a `vault`, sealed content
    is decrypted and compared with what the entries commit to. Of entries that were pruned, as an entry says, the hashes in
    the tiles are checked.
    `progress` is called with the entries done and in all. `jobs` is how many processes look at a long record first (default:
    one a core); what they do not find sound is read again with care.
    Raises NoteError when `against` is not a checkpoint of this log, RecordError when the database cannot be read.
    """
    kept = Checkpoint.parse(split_note(against)[0]) if against is not None else None
    run = _Run(vkeys, kept, known, vault, progress)
    try:
        with snapshot(engine) as connection:
            hold_still(connection)
            sound = quick(engine, connection, vkeys, kept, known, progress, jobs) if vault is None else None
            if sound is not None:
                if against is not None:
                    sound.trust.open(against)
                return Report(True, sound.size, sound.root, (), None, sound.note, *sound.vouched, sound.minimum)
            run.read(connection)
    except SQLAlchemyError as error:
        if not is_damage(error):
            raise explain(error) from None
        run.report(run.size, "the database file is damaged here, nothing beyond it could be read")
    if against is not None:  # only now is it known which keys the record leads to
        run.trust.open(against)
    return run.result()


class _Run:
    """The state of one verification."""

    def __init__(
        self,
        vkeys: str | Sequence[str],
        kept: Checkpoint | None,
        known: Known,
        vault: Vault | None,
        progress: Progress | None,
    ) -> None:
        self.trust = Trust(vkeys)
        self._vkeys = vkeys
        self._vouched = Vouched(known)
        self._kept = kept
        self._vault = vault
        self._progress = progress
        self._problems = Problems()
        self.report = self._problems.report
        self._last_at = ""
        self._matched = 0  # the size of the newest checkpoint whose root was recomputed
        self._newest: str | None = None
        self._unmatched: int | None = None  # the size of the first checkpoint whose root differs
        self.size = 0  # the number that comes next
        self._erased = Erased()
        self._pruned = Pruned()
        self._pruned_root = ""  # over the entries below the minimum, as recomputed
        self._unfinished = 0
        self._tree: Regrown | None = None

    def result(self) -> Report:
        problems, broken = self._problems.found, self._problems.broken
        size, root = (self._tree.size, self._tree.root()) if self._tree else (0, merkle.EMPTY_ROOT)
        newest = self._newest if self._matched == size else None
        return Report(
            not problems, size, root.hex(), tuple(problems), min(broken, default=None), newest, self._vouched.checked,
            self._vouched.unchecked, self._pruned.minimum, self._unfinished,
        )  # fmt: skip

    # --- the order of reading ---

    def read(self, connection: Connection) -> None:
        for line in integrity(connection):
            self.report(None, f"the database finds itself damaged: {line}")
        for one, two in repeated_ids(connection):
            self.report(max(one, two), f"has the id of entry {min(one, two)}")
        tree = self._tree = Regrown(connection, self._problems)
        heads = connection.execute(select(LogHead.origin, LogHead.size, LogHead.peaks)).all()
        self._erased, self._pruned = Erased.read(connection), Pruned.read(connection)
        self.trust = Trust.of(connection, self._vkeys)
        total = self._pruned.minimum
        left = select(func.count()).select_from(LogEntry).where(LogEntry.seq >= total)
        total += connection.execute(left).scalar_one()
        entries = stream(connection, select(*LogEntry.__table__.columns).order_by(LogEntry.seq), _ENTRIES_AT_ONCE)
        bodies = Ahead(
            stream(connection, select(*LogBody.__table__.columns).order_by(LogBody.seq, LogBody.role), _BODIES_AT_ONCE)
        )
        notes = Ahead(
            stream(connection, select(*LogCheckpoint.__table__.columns).order_by(LogCheckpoint.size), _ENTRIES_AT_ONCE)
        )
        self._reach(tree, notes)
        for row in entries:
            if self.size < self._pruned.minimum and isinstance(row.seq, int):
                self._skip_pruned(tree, row.seq, notes, total)
            if self._belongs(tree, row):
                self._entry(tree, row, bodies)
                self._reach(tree, notes)
            self._show(total)
        if self._progress:
            self._progress(self.size, total)
        self._leftovers(connection, tree, heads, bodies, notes)

    def _show(self, total: int) -> None:
        if self._progress and self.size % _PROGRESS_EVERY == 0:
            self._progress(self.size, total)

    def _skip_pruned(self, tree: Regrown, until: int, notes: Ahead, total: int) -> None:
        """Go over entries that are not there any more, by their hashes in the tiles."""
        beyond = min(until, self._pruned.minimum)
        for seq in range(self.size, beyond):
            if self._pruned.keeps(seq):
                self.report(seq, f"is missing: entry {self._pruned.by} says that it was kept when others were pruned")
            if not tree.append_pruned(seq):
                self.report(seq, "was pruned, and the tiles do not hold its hash either")
                tree.dense, self.size = False, beyond
                return
            self.size = seq + 1
            self._reach(tree, notes)
            self._show(total)

    def _leftovers(
        self, connection: Connection, tree: Regrown, heads: Sequence[Row], bodies: Ahead, notes: Ahead
    ) -> None:
        size = self.size
        for body in bodies.rest():
            self._stray_body(body)
        covered = size
        for note in notes.rest():
            self._checkpoint(note, None)
            covered = note.size
        if covered != size and tree.dense:
            self.report(size, f"is missing: a checkpoint covers {covered!r} entries, the record ends after {size}")
        tree.finish()
        self._head(tree, heads)
        for what in self._vouched.problems(connection):
            self.report(None, what)
        if self._kept is not None and self._kept.size > size:
            self.report(
                size,
                f"is missing: a checkpoint kept earlier covers {self._kept.size} entries, the record ends after {size}"
                " (a cut tail, or an old backup was restored)",
            )
        # The tiles may have named the entry; checkpoints only say between which two of them the record was changed.
        if self._unmatched is not None and not any(seq < self._unmatched for seq in self._problems.broken):
            first, last = self._matched, self._unmatched - 1
            which = "" if first == last else f"or another up to {last} "
            self.report(first, f"{which}is not what the checkpoint at {self._unmatched} entries was signed over")
        if self._matched == size and self._newest is not None:
            try:
                self.trust.close(self._newest)
            except NoteError as error:
                self.report(None, f"the newest checkpoint is not signed by all keys that were given: {error}")
        if self._pruned.by is not None and self._pruned_root != self._pruned.root and not self._problems.found:
            self.report(self._pruned.by, "does not name the root of the entries that it says were pruned")
        if self._matched != size and not self._problems.found:
            self.report(self._matched, "is not covered by any checkpoint, nor are those after it")

    def _head(self, tree: Regrown, heads: Sequence[Row]) -> None:
        size = self.size
        if not heads:
            if size:
                self.report(None, "the head of the log is missing")
            return
        head = heads[0]
        if len(heads) > 1 or head.origin != self.trust.origin:
            self.report(None, "the head of the log names another log")
        if head.size != size:
            missing = isinstance(head.size, int) and head.size > size
            text = f"the head of the log says {head.size!r} entries, the record has {size}"
            self.report(size if missing else None, f"is missing: {text}" if missing else text)
        elif head.peaks != tree.peaks and not self._problems.broken:
            self.report(None, "the head of the log does not fit the entries")

    # --- entries ---

    def _belongs(self, tree: Regrown, row: Row) -> bool:
        """Whether the row can be an entry; a gap before it is reported."""
        expected = self.size
        if not isinstance(row.seq, int) or row.seq < expected:
            self.report(row.seq if isinstance(row.seq, int) else expected, "has a number that no entry can have here")
            return False
        if row.seq > expected:
            self.report(expected, f"is missing: entry {row.seq} comes next")
            tree.dense = False
        self.size = row.seq + 1
        if row.seq < self._pruned.minimum:
            self._unfinished += self._pruned.allows(row.seq)
        return True

    def _entry(self, tree: Regrown, row: Row, bodies: Ahead) -> None:
        seq, leaf = row.seq, row.leaf
        hashed = merkle.leaf_hash(leaf) if isinstance(leaf, bytes) else b""
        same = row.leaf_hash == hashed
        if not same:
            self.report(seq, "its content was changed: the leaf does not have its hash")
        fields = parse_leaf(leaf)
        if fields is None:
            self.report(seq, "its leaf is not a JSON object")
        else:
            for what in differences(row, fields):
                self.report(seq, what)
            if same:  # else the time is not to be believed, nor compared with the next
                self._time(seq, fields.get("at"))
        self._entry_bodies(seq, fields or {}, bodies)
        tree.append(hashed or bytes(DIGEST_SIZE))

    def _time(self, seq: int, at: object) -> None:
        if not isinstance(at, str) or not TIME.fullmatch(at):
            self.report(seq, "its time is malformed")
        elif at >= self._last_at:
            self._last_at = at
        elif not in_time(at, self._last_at):
            self.report(seq, f"its time lies more than {SKEW} s before that of an entry before it")

    # --- bodies ---

    def _entry_bodies(self, seq: object, fields: Mapping[str, Any], bodies: Ahead) -> None:
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
        elif self._vault is not None and not self._pruned.allows(body.seq):  # the keys of pruned content go first
            try:
                content = self._vault.open(facts, ciphertext, wrapped_key, entry_id=entry_id, role=body.role)
            except EvidenceError as error:
                yield f"does not open: {error}"
                return
            if len(content.data) != facts.get("len") or self._vault.lookup(content, facts.get("key_ref")) != lookup:
                yield "is not what its length or look-up value say"

    # --- checkpoints ---

    def _reach(self, tree: Regrown, notes: Ahead) -> None:
        """Check what claims to describe the tree at its present size."""
        size = self.size
        while (row := notes.peek()) is not None and _at_most(row.size, size):
            notes.take()
            if row.size != size:
                self.report(None, f"a checkpoint says it covers {row.size!r} entries, which no checkpoint can")
            self._checkpoint(row, tree.root() if tree.dense else None)
        if not tree.dense:
            return
        if self._kept is not None and self._kept.size == size and self._kept.root != tree.root():
            self.report(
                None, f"the first {size} entries are not those of the checkpoint kept earlier: history was rewritten"
            )
        if self._pruned.minimum == size:
            self._pruned_root = tree.root().hex()

    def _checkpoint(self, row: Row, root: bytes | None) -> None:
        name = f"the checkpoint at {row.size!r} entries"
        try:
            signed = self.trust.open(row.note)
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


def _at_most(value: object, limit: object) -> bool:
    """Whether a row sorts no later; a value of a wrong type, which only tampering leaves, is dealt with at once."""
    return not isinstance(value, int) or not isinstance(limit, int) or value <= limit
