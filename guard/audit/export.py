"""The record as a folder that foreign tools can check: C2SP tlog-tiles, the log's key, and sealed bodies as JSON lines.

Of a pruned record all tiles are there, bundles of entries from the minimum index on (in the file `minimum`), and what was kept
of the rest in `kept.jsonl`. Nothing is held in memory but one tile of each level and one bundle of entries.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, Engine, select

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, encode, open_checkpoint, own_note, split_note
from guard.audit.pruned import KEPT, Pruned
from guard.audit.timestamp import answer_in
from guard.audit.tree import VERIFY, newest_note, with_cosignatures
from guard.errors import ConfigError, EvidenceError, OperationError
from guard.store.bulk import stream
from guard.store.engine import reading
from guard.store.partitions import hold_still
from guard.store.tables import LogBody, LogCheckpoint, LogCosignature, LogEntry, LogTile

_ENTRIES_AT_ONCE = 500
_TILES_AT_ONCE = 64
_BODIES_AT_ONCE = 20  # a body may be megabytes
_PROGRESS_EVERY = 256

Progress = Callable[[int, int], None]


def export(engine: Engine, vkeys: str | Sequence[str], folder: Path, *, progress: Progress | None = None) -> Checkpoint:
    """Write the record up to its newest checkpoint into a new or empty folder; the checkpoint comes last.

    Every hash is computed anew from the entries. Raises EvidenceError when they do not lead to what was signed.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty: give a new folder")
        with reading(engine) as connection:
            hold_still(connection)
            note = newest_note(connection)
            if note is None:
                raise EvidenceError("the record is empty: there is nothing to export yet")
            checkpoint = open_checkpoint(note, vkeys)
            pruned = Pruned.read(connection, before=checkpoint.size)
            _write_entries(connection, checkpoint, pruned, folder, progress)
            _write_bodies(connection, checkpoint.size, pruned, folder)
            _write_vouched(connection, checkpoint.size, folder / "vouched")
        known = [vkeys] if isinstance(vkeys, str) else vkeys
        _write(folder / "key", "".join(f"{vkey}\n" for vkey in known).encode())
        _write(folder / "checkpoint", note.encode())
    except OSError as error:
        raise OperationError(
            f"cannot write to {folder}: {error.strerror}; free some space or give another folder"
        ) from error
    return checkpoint


def tile_path(index: int, width: int = merkle.TILE_WIDTH) -> str:
    """The path of a tile within its level: three digits an element, all but the last with an x before them."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups) + ("" if width == merkle.TILE_WIDTH else f".p/{width}")


def _write_entries(
    connection: Connection, checkpoint: Checkpoint, pruned: Pruned, folder: Path, progress: Progress | None
) -> None:
    tiles = _Tiles(folder / "tile")
    kept = _kept(connection, pruned)
    with closing(_pruned_hashes(connection, pruned.minimum)) as hashes:
        for seq, hashed in enumerate(hashes):
            if seq in kept and merkle.leaf_hash(kept[seq]) != hashed:
                raise EvidenceError(f"entry {seq} is malformed: {VERIFY}")
            tiles.add_pruned(hashed)
    if pruned.minimum:
        _write(folder / "minimum", f"{pruned.minimum}\n".encode())
        lines = (json.dumps({"leaf": encode(leaf), "seq": seq}) + "\n" for seq, leaf in kept.items())
        _write(folder / "kept.jsonl", "".join(lines).encode())
    inside = (LogEntry.seq >= pruned.minimum, LogEntry.seq < checkpoint.size)
    query = select(LogEntry.seq, LogEntry.leaf).where(*inside).order_by(LogEntry.seq)
    with closing(stream(connection, query, _ENTRIES_AT_ONCE)) as rows:
        for row in rows:
            if row.seq != tiles.tree.size or not isinstance(row.leaf, bytes) or len(row.leaf) > 0xFFFF:
                raise EvidenceError(f"entry {tiles.tree.size} is missing or malformed: {VERIFY}")
            tiles.add(row.leaf)
            if progress and tiles.tree.size % _PROGRESS_EVERY == 0:
                progress(tiles.tree.size, checkpoint.size)
    tiles.finish()
    if (tiles.tree.size, tiles.tree.root()) != (checkpoint.size, checkpoint.root):
        raise EvidenceError(f"the entries are not those that the newest checkpoint was signed over: {VERIFY}")
    if progress:
        progress(checkpoint.size, checkpoint.size)


def _pruned_hashes(connection: Connection, minimum: int) -> Generator[bytes]:
    """The leaf hashes below the minimum, from the tiles; the signed root shows whether they are the right ones."""
    wanted = (LogTile.level == 0, LogTile.idx < minimum // merkle.TILE_WIDTH)
    query = select(LogTile.idx, LogTile.hashes).where(*wanted).order_by(LogTile.idx)
    with closing(stream(connection, query, _TILES_AT_ONCE)) as rows:
        for expected, row in enumerate(rows):
            hashes = merkle.split(row.hashes) if isinstance(row.hashes, bytes) else []
            if row.idx != expected or len(hashes) != merkle.TILE_WIDTH:
                raise EvidenceError(f"a tile of hashes is missing or malformed: {VERIFY}")
            yield from hashes


def _kept(connection: Connection, pruned: Pruned) -> dict[int, bytes]:
    """The leaves of those entries below the minimum that stayed; they are few."""
    query = select(LogEntry.seq, LogEntry.leaf).where(LogEntry.seq < pruned.minimum, LogEntry.kind.in_(KEPT))
    return {seq: leaf for seq, leaf in connection.execute(query.order_by(LogEntry.seq)) if pruned.keeps(seq)}


class _Tiles:
    """Writes tiles of hashes and bundles of entries as they fill up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._edge: list[list[bytes]] = [[]]  # by level, the hashes of the tile that is filling up
        self._full: list[int] = [0]  # by level, how many tiles are written
        self._bundle: list[bytes] = []
        self.tree = merkle.CompactRange()

    def add(self, leaf: bytes) -> None:
        self._bundle.append(len(leaf).to_bytes(2, "big") + leaf)
        self.add_pruned(merkle.leaf_hash(leaf))

    def add_pruned(self, hashed: bytes) -> None:
        """An entry of which only the hash is left: no bundle is written for it."""
        self.tree.append(hashed)
        self._push(0, hashed)

    def finish(self) -> None:
        """Write the partial tiles of the right edge."""
        for level, hashes in enumerate(self._edge):
            if hashes:
                self._tile(level, hashes)

    def _push(self, level: int, hashed: bytes) -> None:
        if level == len(self._edge):
            self._edge.append([])
            self._full.append(0)
        self._edge[level].append(hashed)
        if len(self._edge[level]) == merkle.TILE_WIDTH:
            self._tile(level, self._edge[level])
            self._full[level] += 1
            self._push(level + 1, merkle.perfect_root(self._edge[level]))
            self._edge[level] = []

    def _tile(self, level: int, hashes: list[bytes]) -> None:
        path = tile_path(self._full[level], len(hashes))
        _write(self._folder / str(level) / path, b"".join(hashes))
        if level == 0 and self._bundle:
            _write(self._folder / "entries" / path, b"".join(self._bundle))
            self._bundle = []


def _write_bodies(connection: Connection, size: int, pruned: Pruned, folder: Path) -> None:
    query = select(*LogBody.__table__.columns).where(LogBody.seq < size).order_by(LogBody.seq, LogBody.role)
    names = [column.name for column in LogBody.__table__.columns]
    with _new_file(folder / "bodies.jsonl") as file:
        for row in stream(connection, query, _BODIES_AT_ONCE):
            if pruned.allows(row.seq):  # not removed yet
                continue
            data = {
                name: encode(value) if isinstance(value, bytes) else value
                for name, value in zip(names, row, strict=True)
            }
            file.write(json.dumps(data, sort_keys=True).encode() + b"\n")


def _write_vouched(connection: Connection, size: int, folder: Path) -> None:
    """The checkpoints that others signed: as the log signed them, with all lines, and time stamps as files of their own."""
    signed = select(LogCosignature.size).where(LogCosignature.size <= size)
    query = (
        select(LogCheckpoint.size, LogCheckpoint.note)
        .where(LogCheckpoint.size.in_(signed))
        .order_by(LogCheckpoint.size)
    )
    for row in stream(connection, query, _ENTRIES_AT_ONCE):
        note = with_cosignatures(connection, row.size, row.note)
        _write(folder / f"{row.size}.note", own_note(note).encode())
        _write(folder / f"{row.size}.cosigned", note.encode())
        for number, line in enumerate(split_note(note)[1]):
            if answer := answer_in(line):
                _write(folder / f"{row.size}-{number}.tsr", answer)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _new_file(path) as file:
        file.write(data)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
