"""The statements of the writer's transaction, built once, and the edge of the tree that it grows."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint
from guard.audit.draft import Ready
from guard.audit.rotation import KIND, signing_vkey
from guard.audit.tree import newest_checkpoint
from guard.errors import ProofError, RecordError
from guard.store.bulk import insert_rows
from guard.store.tables import (
    LogCheckpoint,
    LogCosignature,
    LogEntry,
    LogHead,
    LogName,
    LogOnce,
    LogTile,
)

BROKEN = "the record does not fit together ({}); nothing was written: run  guard audit verify  before anything else"
_KEPT = 8  # tiles that an edge remembers, full ones included, before it is read anew
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

# Building a statement costs as much as running it, and all of these run once a transaction.
_HEADS = select(LogHead.origin, LogHead.size, LogHead.peaks)
_HEADS_LOCKED, _HEADS_IF_FREE = _HEADS.with_for_update(), _HEADS.with_for_update(skip_locked=True)
_CHANGED = select(func.max(LogEntry.seq)).where(LogEntry.kind == KIND).scalar_subquery()
_LAST = select(LogEntry.seq, LogEntry.occurred_at, _CHANGED.label("changed")).order_by(LogEntry.seq.desc()).limit(1)
_DROP_TILES = delete(LogTile).where(tuple_(LogTile.level, LogTile.idx).in_(bindparam("tiles", expanding=True)))
_ADD_TILES = insert(LogTile)
_DROP_CHECKPOINT = delete(LogCheckpoint).where(
    LogCheckpoint.size == bindparam("before"),
    ~select(LogCosignature.size).where(LogCosignature.size == bindparam("before")).exists(),
    ~select(LogEntry.seq).where(LogEntry.seq == bindparam("before") - 1, LogEntry.kind == KIND).exists(),
)
_ADD_CHECKPOINT = insert(LogCheckpoint)
_MOVE = (
    update(LogHead)
    .where(LogHead.origin == bindparam("name"), LogHead.size == bindparam("before"))
    .values(size=bindparam("now"), peaks=bindparam("roots"))
)


class Edge:
    """The tiles on the right edge of the tree, with the nodes in them that were computed so far."""

    def __init__(self, head: merkle.CompactRange, tiles: Mapping[merkle.TileId, bytes]) -> None:
        self.size, self.peaks = head.size, list(head.peaks)
        self.tiles = dict(tiles)
        self.nodes = merkle.TileNodes(lambda level, index: self.tiles[level, index])

    def is_stored(self, head: merkle.CompactRange, tiles: Mapping[merkle.TileId, bytes]) -> bool:
        """Whether the database still holds what this process left in it; false as well where that has become too much."""
        mine = {key: self.tiles.get(key) for key in merkle.edge_tiles(self.size)}
        return (self.size, self.peaks, mine) == (head.size, head.peaks, tiles) and len(self.tiles) <= _KEPT

    @classmethod
    def of(cls, head: merkle.CompactRange, tiles: Mapping[merkle.TileId, bytes], known: Edge | None) -> Edge:
        """The edge as stored: the one that is known where nobody else wrote meanwhile, else one whose tiles fit the head.

        Raises RecordError where they do not.
        """
        if known is not None and known.is_stored(head, tiles):
            return known
        edge = cls(head, tiles)
        try:
            same = merkle.stored_peaks(head.size, edge.nodes) == head.peaks
            exact = all(len(tiles[level, index]) == _tile_bytes(head.size, level) for level, index in tiles)
        except (KeyError, TypeError, ProofError) as error:
            raise RecordError(BROKEN.format("tiles are missing")) from error
        if not (same and exact):
            raise RecordError(BROKEN.format("tiles and head differ"))
        return edge

    def grow(self, head: merkle.CompactRange, hashes: Sequence[bytes]) -> tuple[dict[merkle.TileId, bytes], list[Any]]:
        """Add leaf hashes to the head and the tiles: the tiles that changed, and which of them are stored already."""
        before = head.size
        for hashed in hashes:
            head.append(hashed)
        changed = merkle.grow(before, self.tiles, hashes)
        replaced = [tile for tile in changed if tile in self.tiles]
        self.tiles.update(changed)  # whole nodes never change, so those that were computed above stay right
        self.size, self.peaks = head.size, list(head.peaks)
        return changed, replaced


def _tile_bytes(size: int, level: int) -> int:
    return 32 * ((size >> (merkle.TILE_HEIGHT * level)) % merkle.TILE_WIDTH)


# --- the head ------------------------------------------------------------------------------------------------------


def heads(connection: Connection, *, wait: bool | None = None) -> Sequence[Any]:
    """The heads of the logs in this database, locked: as soon as they are free (`wait`), or if they are free now.

    Without `wait` nothing is locked.
    """
    query = _HEADS if wait is None else _HEADS_LOCKED if wait else _HEADS_IF_FREE
    return connection.execute(query).all()


def is_ours(connection: Connection, vkeys: Sequence[str]) -> bool:
    """Whether the log was signed with our keys. Raises RecordError where it was signed with others: nothing may be signed
    here then, nor taken for forged."""
    note = newest_checkpoint(connection)
    if note is not None and signing_vkey(note, vkeys) is None:
        raise RecordError(
            "the newest checkpoint is not signed with a key of this key folder: it is that of another log (set GUARD_HOME),"
            " or the record was changed; nothing was written: run  guard audit verify"
        )
    return note is not None


def create_head(connection: Connection, origin: str) -> None:
    """Make the head of an empty log."""
    # Two first writers: the second waits at the unique key until the first has committed, and then finds its row.
    with contextlib.suppress(IntegrityError), connection.begin_nested():
        connection.execute(insert(LogHead), [{"origin": origin, "size": 0, "peaks": b""}])


def move_head(connection: Connection, origin: str, head: merkle.CompactRange, before: int) -> None:
    """Point the head at the new size."""
    values = {"name": origin, "before": before, "now": head.size, "roots": b"".join(head.peaks)}
    if connection.execute(_MOVE, values).rowcount != 1:  # fencing: whoever moved it meanwhile holds the log, not we
        raise RecordError(BROKEN.format("the head moved under the writer's lock"))


def last(connection: Connection) -> tuple[int, str, int | None]:
    """The number and the time of the last entry, -1 and nothing where there is none; the number of the last about keys."""
    found = connection.execute(_LAST).one_or_none()
    if found and not (isinstance(found.occurred_at, str) and _TIME.fullmatch(found.occurred_at)):
        raise RecordError(BROKEN.format("the last entry's time is malformed"))
    return (found.seq, found.occurred_at, found.changed) if found else (-1, "", None)


# --- entries -------------------------------------------------------------------------------------------------------


def claim_once(connection: Connection, ready: Sequence[Ready]) -> None:
    """Claim the request ids of entries that may exist only once."""
    # In order, so that two transactions that meet here wait for each other in one direction only.
    claims = sorted({(*item.once, item.id) for item in ready if item.once})
    insert_rows(connection, LogOnce, claims)


def store_names(connection: Connection, ready: Sequence[Ready]) -> None:
    """Write what entries are found by besides their numbers."""
    insert_rows(connection, LogName, sorted({(name, item.id) for item in ready for name in item.names}))


def body_rows(item: Ready) -> list[tuple[Any, ...]]:
    """The values of the bodies of an entry, after its key."""
    return [(role, body.ciphertext, body.wrapped_key, body.lookup) for role, body in item.bodies]


# --- tree and checkpoints ------------------------------------------------------------------------------------------


def store_tiles(
    connection: Connection, changed: Mapping[merkle.TileId, bytes], replaced: Sequence[merkle.TileId]
) -> None:
    """Write tiles; those in `replaced` are there already, shorter."""
    if replaced:
        connection.execute(_DROP_TILES, {"tiles": list(replaced)})
    rows = [{"level": level, "idx": index, "hashes": hashes} for (level, index), hashes in changed.items()]
    connection.execute(_ADD_TILES, rows)


def store_checkpoint(connection: Connection, before: int, checkpoint: Checkpoint, note: str, spacing: int) -> None:
    """Keep the newest checkpoint, those that a witness signed, and some on the way; one a transaction would prove no more."""
    if before // spacing == checkpoint.size // spacing:
        connection.execute(_DROP_CHECKPOINT, {"before": before})
    connection.execute(_ADD_CHECKPOINT, [{"size": checkpoint.size, "root": checkpoint.root, "note": note}])
