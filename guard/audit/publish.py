"""Between the log and those who vouch for it: shows a witness what is committed, keeps what it signs, and notices a log that
went back; has an authority stamp checkpoints with the time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, NoteSigner
from guard.audit.cosign import cosignatures
from guard.audit.group import Group
from guard.audit.timestamp import Authority, stamps
from guard.audit.tree import VERIFY, lazy_nodes, newest_checkpoint, parse_checkpoint, with_cosignatures
from guard.audit.witness import Conflict, Witness, open_witness
from guard.errors import ConfigError, NoteError, ProofError, RecordError, TimestampError, WitnessError
from guard.options import AuthoritySpec, WitnessSpec
from guard.store.engine import reading, writing
from guard.store.tables import LogCheckpoint, LogCosignature, LogHead

_log = logging.getLogger(__name__)
_ATTEMPTS = 20  # other processes may publish newer checkpoints between the reading and the asking


@dataclass(frozen=True, slots=True)
class Published:
    """A cosigned checkpoint; `note` carries the witness's line."""

    size: int
    note: str


class Publisher:
    """Has the newest checkpoint cosigned. Safe to share between threads and processes: the witness decides who was first."""

    def __init__(self, engine: Engine, signer: NoteSigner, witness: Witness) -> None:
        self._engine = engine
        self._signer = signer
        self.witness = witness
        self._told = 0  # the size that the witness signed last, as far as this process knows
        self._compared = False
        self._asking: Group[int, Published] = Group(self._publish_for)

    def compare(self) -> None:
        """Once: a log that is not what the witness signed, or longer, must not grow."""
        if not self._compared:
            self.publish()
            self._compared = True

    def catch_up(self) -> None:
        """Publish where the log has grown since this process last did."""
        with reading(self._engine) as connection:
            note = newest_checkpoint(connection)
        if note is not None and parse_checkpoint(note).size > self._told:
            self.publish()

    def covering(self, seq: int) -> Published:
        """A cosigned checkpoint over an entry; callers that wait at the same time share one question to the witness."""
        return self._stored(seq) or self._asking.submit(seq)

    def _publish_for(self, batch: Sequence[int]) -> Sequence[Published | BaseException]:
        try:  # the newest checkpoint covers what each of them appended
            return [self.publish()] * len(batch)
        except RecordError as error:
            return [error] * len(batch)

    def publish(self) -> Published:
        """Have the newest checkpoint cosigned, over committed state only and without any lock of the log.

        Raises WitnessError when the witness signed a longer or another log before, or cannot be asked.
        """
        told = self._told  # other threads may learn more meanwhile; the proof and the question must be of one size
        for _ in range(_ATTEMPTS):
            checkpoint, note, proof = self._submission(told)
            try:
                line = self.witness.add_checkpoint(told, proof, note)
            except Conflict as conflict:
                told = conflict.size
                continue
            self._told = max(self._told, checkpoint.size)
            if checkpoint.size:
                keep(self._engine, self.witness.name, note, line)
            return Published(checkpoint.size, note + line)
        raise WitnessError("the witness kept signing for other processes: try again")

    def _stored(self, seq: int) -> Published | None:
        """The newest stored checkpoint that this witness signed, if it covers an entry."""
        with reading(self._engine) as connection:
            row = connection.execute(
                select(LogCheckpoint.size, LogCheckpoint.note)
                .join(LogCosignature, LogCosignature.size == LogCheckpoint.size)
                .where(LogCosignature.witness == self.witness.name, LogCosignature.size > seq)
                .order_by(LogCheckpoint.size.desc())
                .limit(1)
            ).first()
            note = with_cosignatures(connection, row.size, row.note) if row else None
        try:  # a row that anybody may have written does not stand for the witness
            return Published(row.size, note) if row and note and self._signed(note) else None
        except NoteError:
            return None

    def _signed(self, note: str) -> bool:
        return any(cosignatures(note, [self.witness.vkey]))

    def _submission(self, told: int) -> tuple[Checkpoint, str, list[bytes]]:
        """The newest checkpoint with its note, and the proof from what the witness signed last, of one moment."""
        with reading(self._engine) as connection:
            note = newest_checkpoint(connection)
            if note is None:
                checkpoint = Checkpoint(self._signer.name, 0, merkle.EMPTY_ROOT)
                note = self._signer.sign(checkpoint.text)
            else:
                checkpoint = parse_checkpoint(note)
            # Whatever the witness signed was committed before, so a store that has less by now has lost it.
            if told > checkpoint.size:
                raise WitnessError(_rolled_back(checkpoint, told))
            return checkpoint, note, _consistency(connection, told, checkpoint.size)


class Vouching:
    """All who vouch for a log, asked without any lock of it."""

    def __init__(
        self,
        engine: Engine,
        signer: NoteSigner,
        vkeys: Sequence[str],
        witness: WitnessSpec | None,
        authority: AuthoritySpec | None,
    ) -> None:
        self._publisher = Publisher(engine, signer, open_witness(witness, *vkeys)) if witness else None
        self._stamper = Stamper(engine, Authority(authority)) if authority else None

    def publisher(self) -> Publisher:
        """Between the log and its witness. Raises ConfigError where there is none."""
        if self._publisher is None:
            raise ConfigError(
                "nobody witnesses this log: set GUARD_WITNESS to a folder elsewhere, or to a witness's URL"
            )
        return self._publisher

    def compare(self) -> None:
        """Once: see `Log.compare`."""
        if self._publisher is not None:
            self._publisher.compare()
        if self._stamper is not None:
            self._stamper.begin()

    def catch_up(self) -> None:
        """Have what was appended since cosigned, and stamped with the time."""
        if self._publisher is not None:
            self._publisher.catch_up()
        if self._stamper is not None:
            self._stamper.stamp()


class Stamper:
    """Has the newest checkpoint stamped with the time, unless it is; where that fails, an error or a warning."""

    def __init__(self, engine: Engine, authority: Authority) -> None:
        self._engine = engine
        self.authority = authority
        self._begun = False

    def begin(self) -> None:
        """Once: stamp what an earlier process left."""
        if not self._begun:
            self.stamp()
            self._begun = True

    def stamp(self) -> str | None:
        """The newest checkpoint's note with a stamp; None while the record is empty, or where a warning had to do.

        Raises TimestampError where a stamp is required and cannot be had.
        """
        with reading(self._engine) as connection:
            note = newest_checkpoint(connection)
            vouched = with_cosignatures(connection, parse_checkpoint(note).size, note) if note else ""
        if note is None:
            return None
        try:
            if not self._stamped(vouched):
                line = self.authority.stamp(note)
                keep(self._engine, self.authority.name, note, line)
                vouched = note + line
        except TimestampError as error:
            if self.authority.required:
                raise
            _log.warning("the newest checkpoint has no time stamp: %s", error)
            return None
        return vouched

    def _stamped(self, note: str) -> bool:
        try:  # a row that anybody may have written does not stand for the authority
            return self.authority.name in dict(stamps(note, self.authority.anchors))
        except NoteError:
            return False


def keep(engine: Engine, who: str, note: str, line: str) -> None:
    """Store what somebody signed under a checkpoint, and the checkpoint again where the log has thinned it out meanwhile."""
    checkpoint = parse_checkpoint(note)
    row = {"size": checkpoint.size, "witness": who, "line": line}
    kept = select(LogCheckpoint.size).where(LogCheckpoint.size == checkpoint.size)
    same = (LogCosignature.size == checkpoint.size, LogCosignature.witness == who)
    with writing(engine) as connection:
        connection.execute(select(LogHead.size).with_for_update())  # the log thins checkpoints under this lock
        if connection.execute(kept).first() is None:
            values = {"size": checkpoint.size, "root": checkpoint.root, "note": note}
            connection.execute(insert(LogCheckpoint), [values])
        connection.execute(delete(LogCosignature).where(*same))
        connection.execute(insert(LogCosignature), [row])


def _consistency(connection: Connection, old: int, size: int) -> list[bytes]:
    if old == 0:
        return []
    try:
        return merkle.consistency_proof(old, size, lazy_nodes(connection))
    except (KeyError, TypeError, ProofError) as error:
        raise RecordError(f"the record cannot prove that it only grew: {VERIFY}") from error


def _rolled_back(checkpoint: Checkpoint, told: int) -> str:
    return (
        f"the witness signed {told} entries of the log {checkpoint.origin!r}, this database has {checkpoint.size}: an old"
        " backup was restored, or it is another database. Nothing is recorded: restore the newer database. If that is lost"
        " for good, keep this one as evidence and start a new log in another database under another name: set"
        " GUARD_ORIGIN and GUARD_STORE, and run  guard db upgrade"
    )
