"""The keys that a verifier of the whole record accepts: those that it was given, and those that the record leads to.

Two kinds of entries tell about keys. One announces a key (`new`) under an older one (`old`): both sign for a while. The
other ends that while: from then on the keys in `alone` sign, each kind of them, and no other is accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from guard.audit.checkpoint import ML_DSA_44, Checkpoint, NoteKey, open_checkpoint, split_note, vkey_name
from guard.audit.leaf import parse_leaf
from guard.audit.rotation import KIND
from guard.errors import NoteError
from guard.keys import require_ml_dsa
from guard.store.tables import LogEntry


@dataclass(frozen=True, slots=True)
class _Era:
    """What holds for checkpoints over more than `after` entries: one of `vkeys` signed, of each of `kinds`."""

    after: int
    vkeys: tuple[str, ...]
    kinds: frozenset[int]


class Trust:
    """Opens checkpoints by the keys that hold at their size; `signed` tells it, in order, which of them proved true."""

    def __init__(self, vkeys: str | Sequence[str], changes: Sequence[tuple[int, Mapping[str, Any]]] = ()) -> None:
        """`vkeys` are the log's keys that the verifier was given; `changes` the entries about keys, by number."""
        vkeys = [vkeys] if isinstance(vkeys, str) else vkeys
        if not vkeys:
            raise NoteError("the log's verification key is missing")
        self.origin = vkey_name(vkeys[0])
        self._given = _kinds(vkeys)
        self._changes = [change for change in changes if change[1].get("role") == "log"]
        # What the record announces began later: only a kind that was there from the start can be asked for at the start.
        later = [new for _, fields in self._changes if isinstance(new := fields.get("new"), str) and self._ours(new)]
        if ML_DSA_44 in _kinds([*vkeys, *later]):  # at once, and not in the middle of a long record
            require_ml_dsa()
        self._eras = [_Era(-1, tuple(vkeys), _kinds([vkey for vkey in vkeys if vkey not in later]))]

    @classmethod
    def of(cls, connection: Connection, vkeys: str | Sequence[str]) -> Trust:
        """With the changes of keys in a database, unproved as they are."""
        query = select(LogEntry.seq, LogEntry.leaf).where(LogEntry.kind == KIND).order_by(LogEntry.seq)
        found = [(row.seq, parse_leaf(row.leaf) or {}) for row in connection.execute(query)]
        return cls(vkeys, [(seq, fields) for seq, fields in found if type(seq) is int and fields.get("kind") == KIND])

    def open(self, note: object) -> Checkpoint:
        """The checkpoint in a note. Raises NoteError unless the keys that hold at its size signed it."""
        text = note if isinstance(note, str) else ""
        size = Checkpoint.parse(split_note(text)[0]).size
        era = next(era for era in reversed(self._eras) if era.after < size)
        return open_checkpoint(text, era.vkeys, kinds=era.kinds)

    def signed(self, size: int) -> None:
        """The checkpoint over the first `size` entries proved true: what they say about keys holds from there on."""
        while self._changes and self._changes[0][0] < size:
            era, fields = self._eras[-1], self._changes.pop(0)[1]
            new, alone = fields.get("new"), fields.get("alone")
            if isinstance(new, str) and fields.get("old") in era.vkeys and self._ours(new):
                self._eras.append(_Era(size, (*era.vkeys, new), era.kinds))
            elif isinstance(alone, list) and alone and all(vkey in era.vkeys for vkey in alone):
                self._eras.append(_Era(size, tuple(alone), _kinds(alone)))

    def close(self, note: str) -> None:
        """Raise NoteError unless the newest checkpoint is signed by each kind of the given keys.

        Without this, whoever broke the older kind could leave out the entry after which the newer one is asked for.
        """
        open_checkpoint(note, self._eras[-1].vkeys, kinds=self._given)

    def _ours(self, vkey: str) -> bool:
        try:
            return vkey_name(vkey) == self.origin
        except NoteError:
            return False


def _kinds(vkeys: Collection[str]) -> frozenset[int]:
    return frozenset(NoteKey.parse(vkey).kind for vkey in vkeys)
