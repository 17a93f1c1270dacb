"""The stored tree: tiles read from the database, and receipts made of them. Shared by the writer and the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint
from guard.errors import EvidenceError, NoteError, ProofError, RecordError
from guard.store.tables import LogCheckpoint, LogCosignature, LogEntry, LogTile
from guard.types import Receipt

VERIFY = "run  guard audit verify"
_TILES = select(LogTile.level, LogTile.idx, LogTile.hashes).where(
    tuple_(LogTile.level, LogTile.idx).in_(bindparam("tiles", expanding=True))
)
_NOTES = select(LogCheckpoint.note).order_by(LogCheckpoint.size.desc())


def state_of(fields: Mapping[str, Any]) -> str | None:
    """The column that repeats `state`."""
    state = fields.get("state")
    return state if isinstance(state, str) else None


def action_of(fields: Mapping[str, Any]) -> str | None:
    """The column that repeats `decision.action`."""
    decision = fields.get("decision")
    action = decision.get("action") if isinstance(decision, Mapping) else None
    return action if isinstance(action, str) else None


def repeated(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the columns of an entry repeat, in their order."""
    said = (fields.get("id"), fields.get("kind"), fields.get("at"), fields.get("request_id"))
    return (*said, state_of(fields), action_of(fields), fields.get("subject"))


def read_tiles(connection: Connection, wanted: Sequence[merkle.TileId]) -> dict[merkle.TileId, bytes]:
    """Some tiles by one query."""
    if not wanted:
        return {}
    return {(level, index): hashes for level, index, hashes in connection.execute(_TILES, {"tiles": list(wanted)})}


def receipt(seq: int, hashed: bytes, note: str, checkpoint: Checkpoint, nodes: merkle.ReadNode) -> Receipt:
    """The proof that a leaf is under a signed checkpoint."""
    proof = merkle.inclusion_proof(seq, checkpoint.size, nodes)
    hexes = tuple(item.hex() for item in proof)
    return Receipt(seq, checkpoint.size, checkpoint.root.hex(), hashed.hex(), hexes, note)


def stored_receipt(connection: Connection, seq: int, note: str | None = None) -> Receipt | None:
    """The proof that an entry is in the tree, from a handful of tiles; None where there is no such entry.

    Unless `note` says under which checkpoint: the newest cosigned one that covers the entry, else the newest.
    """
    note = note or _best_note(connection, seq)
    hashed = connection.execute(select(LogEntry.leaf_hash).where(LogEntry.seq == seq)).scalar_one_or_none()
    if note is None or hashed is None:
        return None
    checkpoint = parse_checkpoint(note)
    wanted = {*merkle.path_tiles(seq, checkpoint.size), *merkle.edge_tiles(checkpoint.size)}
    tiles = read_tiles(connection, sorted(wanted))
    try:
        made = receipt(seq, hashed, note, checkpoint, merkle.TileNodes(lambda level, index: tiles[level, index]))
        path = [bytes.fromhex(item) for item in made.proof]
        merkle.verify_inclusion(hashed, seq, checkpoint.size, path, checkpoint.root)
    except (KeyError, TypeError, AttributeError, ProofError) as error:
        raise EvidenceError(f"the record cannot prove entry {seq}: {VERIFY}") from error
    return made


def lazy_nodes(connection: Connection) -> merkle.TileNodes:
    """Nodes of the stored tree, whose tiles are read as they are needed."""

    def read(level: int, index: int) -> bytes:
        return read_tiles(connection, [(level, index)])[level, index]

    return merkle.TileNodes(read)


def newest_checkpoint(connection: Connection) -> str | None:
    """The newest checkpoint as the log signed it; None while the record is empty."""
    return connection.execute(_NOTES.limit(1)).scalar_one_or_none()


def newest_note(connection: Connection) -> str | None:
    """The newest checkpoint with its cosignatures; None while the record is empty."""
    note = newest_checkpoint(connection)
    return with_cosignatures(connection, parse_checkpoint(note).size, note) if note else None


def with_cosignatures(connection: Connection, size: int, note: str) -> str:
    """A checkpoint's note with what witnesses signed under it."""
    query = select(LogCosignature.line).where(LogCosignature.size == size).order_by(LogCosignature.witness)
    return note + "".join(connection.execute(query).scalars())


def _best_note(connection: Connection, seq: int) -> str | None:
    cosigned = _NOTES.where(LogCheckpoint.size.in_(select(LogCosignature.size).where(LogCosignature.size > seq)))
    note = connection.execute(cosigned.limit(1)).scalar_one_or_none()
    return with_cosignatures(connection, parse_checkpoint(note).size, note) if note else newest_checkpoint(connection)


def parse_checkpoint(note: str) -> Checkpoint:
    """Read, not verified: whoever gets the receipt checks the signature."""
    try:
        return Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
    except NoteError as error:
        raise RecordError(f"the newest checkpoint is malformed: {VERIFY}") from error
