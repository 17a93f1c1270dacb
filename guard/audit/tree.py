"""The stored tree: tiles read from the database, and receipts made of them. Shared by the writer and the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint
from guard.errors import EvidenceError, NoteError, ProofError, RecordError
from guard.store.tables import LogCheckpoint, LogEntry, LogTile
from guard.types import Receipt

VERIFY = "run  guard audit verify"
_TILES = select(LogTile.level, LogTile.idx, LogTile.hashes).where(
    tuple_(LogTile.level, LogTile.idx).in_(bindparam("tiles", expanding=True))
)


def state_of(fields: Mapping[str, Any]) -> str | None:
    """The column that repeats `state`."""
    state = fields.get("state")
    return state if isinstance(state, str) else None


def action_of(fields: Mapping[str, Any]) -> str | None:
    """The column that repeats `decision.action`."""
    decision = fields.get("decision")
    action = decision.get("action") if isinstance(decision, Mapping) else None
    return action if isinstance(action, str) else None


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


def stored_receipt(connection: Connection, seq: int) -> Receipt | None:
    """The proof that an entry is under the newest checkpoint, from a handful of tiles; None where there is no such entry."""
    note = newest_note(connection)
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


def newest_note(connection: Connection) -> str | None:
    """The newest signed checkpoint; None while the record is empty."""
    query = select(LogCheckpoint.note).order_by(LogCheckpoint.size.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def parse_checkpoint(note: str) -> Checkpoint:
    """Read, not verified: whoever gets the receipt checks the signature."""
    try:
        return Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
    except NoteError as error:
        raise RecordError(f"the newest checkpoint is malformed: {VERIFY}") from error
