"""What others signed under the log's checkpoints, for the readers of a whole record.

A line that is missing shows nowhere: whoever can write to the database can remove one, and then it proves nothing any more.
A line that is there and wrong is tampering, since none is stored before it was checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from guard.audit.checkpoint import WITNESS_KINDS, NoteKey, own_note, parse_signature, split_note
from guard.audit.cosign import cosigned_at
from guard.audit.timestamp import PREFIX, Anchors, answer_in
from guard.errors import NoteError
from guard.store.bulk import stream
from guard.store.tables import LogCheckpoint, LogCosignature

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Known:
    """Whom a verifier knows besides the log: the keys of witnesses, and the certificates of time stamp authorities."""

    witnesses: Sequence[str] = ()
    anchors: Anchors | None = None


NOBODY = Known()


class Vouched:
    """Checks all that is stored; counts what was `checked`, and what was `unchecked` because its signer is not known."""

    def __init__(self, known: Known) -> None:
        self.checked = self.unchecked = 0
        self._anchors = known.anchors
        self._witnesses = [(NoteKey.parse(vkey, WITNESS_KINDS).name, vkey) for vkey in known.witnesses]

    def problems(self, connection: Connection) -> Iterator[str]:
        """What does not hold, each in words."""
        query = (
            select(LogCosignature.size, LogCosignature.witness, LogCosignature.line, LogCheckpoint.note)
            .outerjoin(LogCheckpoint, LogCheckpoint.size == LogCosignature.size)
            .order_by(LogCosignature.size, LogCosignature.witness)
        )
        for row in stream(connection, query, _AT_ONCE):
            try:
                known = self._check(row)
                self.checked += known
                self.unchecked += not known
            except NoteError as error:
                yield f"what {row.witness!r} signed under the checkpoint at {row.size!r} entries does not hold: {error}"

    def _check(self, row: Any) -> bool:
        """Whether the signer is known. Raises NoteError unless the line is what its signer wrote under its checkpoint."""
        if not isinstance(row.note, str):
            raise NoteError("there is no such checkpoint")
        if not isinstance(row.line, str) or not row.line.endswith("\n") or row.line.count("\n") != 1:
            raise NoteError("it is not one signature line")
        text, line = split_note(row.note)[0], row.line[:-1]
        name = parse_signature(line)[0]
        if name != row.witness:
            raise NoteError(f"it is by {name!r}")
        if name.startswith(PREFIX):
            if (answer := answer_in(line)) is None:
                raise NoteError("it is no time stamp")
            if self._anchors is not None:
                self._anchors.stamped_at(own_note(row.note), answer)
            return self._anchors is not None
        vkeys = [vkey for known, vkey in self._witnesses if known == name]
        if vkeys and all(cosigned_at(text, line, vkey) is None for vkey in vkeys):
            raise NoteError("it is by another key than the given one: if the witness has changed its key, give both")
        return bool(vkeys)
