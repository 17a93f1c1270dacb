"""A quick look over a whole record by several processes: a yes or a no, and no diagnosis.

It says yes only where `guard.audit.verify` would find nothing; whatever else it meets is left to that module, which names
what is wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, open_checkpoint, vkey_name
from guard.audit.leaf import parse_leaf
from guard.audit.pruned import Pruned
from guard.audit.rotation import KIND, Trust
from guard.audit.sweep import Swept, in_time, lowest_tile
from guard.errors import NoteError, ProofError
from guard.store.engine import integrity
from guard.store.partitions import repeated_ids
from guard.store.tables import LogBody, LogCheckpoint, LogEntry, LogHead, LogTile

WORTHWHILE = 20_000  # entries: below, starting processes costs more than they save
_LIGHTER = 12  # a hash in a tile is as much work as a twelfth of an entry

Progress = Callable[[int, int], None]


def sweep_all(
    engine: Engine, size: int, jobs: int, progress: Progress | None = None, minimum: int = 0
) -> list[Swept] | None:
    """Sweep a record in `jobs` stretches, each in a process of its own; None where one of them is not sound."""
    stretches = _stretches(size, jobs, minimum)
    done = [0] * len(stretches)
    answers: list[Swept | None] = [None] * len(stretches)
    lock = threading.Lock()

    def follow(number: int, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            said = json.loads(line)
            if isinstance(said, int):
                with lock:
                    done[number] = said
                    if progress:
                        progress(sum(done), size)
            else:
                answers[number] = Swept(**said) if said else None

    url = engine.url.render_as_string(hide_password=False)
    with contextlib.ExitStack() as stack:
        threads = []
        for number, (start, end) in enumerate(stretches):
            command = [sys.executable, "-P", "-m", "guard.audit.sweep"]
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            )
            stack.callback(process.kill)
            if process.stdin is not None:  # not on the command line, where others could read a password
                process.stdin.write(json.dumps({"url": url, "start": start, "end": end, "size": size}))
                process.stdin.close()
            threads.append(threading.Thread(target=follow, args=(number, process)))
            threads[-1].start()
        for thread in threads:
            thread.join()
    swept = [answer for answer in answers if answer is not None]
    return swept if len(swept) == len(stretches) and _in_order(swept) else None


def _stretches(size: int, jobs: int, minimum: int = 0) -> list[tuple[int, int]]:
    """Parts of about the same work that begin at the edges of tiles; below `minimum` are hashes instead of entries."""
    light = minimum // _LIGHTER
    share = -(-(light + size - minimum) // jobs)
    cuts = [0]
    for work in range(share, light + size - minimum, share):
        at = work * _LIGHTER if work < light else minimum + work - light
        cuts.append(-(-at // merkle.TILE_WIDTH) * merkle.TILE_WIDTH)
    edges = sorted({cut for cut in cuts if cut < size})
    return list(zip(edges, [*edges[1:], size], strict=True))


def _in_order(swept: Sequence[Swept]) -> bool:
    newest = ""
    for part in swept:
        if part.first_at < newest and not in_time(part.first_at, newest):
            return False
        newest = max(newest, part.last_at)
    return True


# --- one record of sound stretches ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sound:
    """A record in which nothing is wrong."""

    size: int
    root: str
    note: str
    vkeys: Sequence[str]  # the keys that are trusted at its end
    minimum: int  # entries below were pruned


def quick(
    engine: Engine,
    connection: Connection,
    vkey: str,
    kept: Checkpoint | None = None,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Sound | None:
    """Look at a long record with `jobs` processes (default: one a core); None: read it with care."""
    minimum = Pruned.read(connection).minimum
    count = connection.execute(select(func.count()).select_from(LogEntry).where(LogEntry.seq >= minimum)).scalar_one()
    wanted, size = _jobs(engine, count) if jobs is None else jobs, minimum + count
    if not wanted or not size or integrity(connection):
        return None
    try:
        swept = sweep_all(engine, size, wanted, progress, minimum)
        return whole(connection, vkey, kept, size, swept) if swept else None
    except (OSError, KeyError, ProofError):  # a process that cannot start or died, tiles that are not there
        return None


def _jobs(engine: Engine, size: int) -> int:
    """0 for a short record, and for one that lives in this process's memory."""
    memory = engine.dialect.name == "sqlite" and engine.url.database in (None, "", ":memory:")
    return 0 if memory or size < WORTHWHILE else max(1, os.cpu_count() or 1)


def whole(
    connection: Connection, vkey: str, kept: Checkpoint | None, size: int, swept: Sequence[Swept]
) -> Sound | None:
    """Whether sound stretches make a sound record: tree, head and checkpoints as they must be, and nothing besides."""
    upper = _upper_tiles(swept)
    leaves = lru_cache(maxsize=16)(partial(_leaf_tile, connection))
    nodes = merkle.TileNodes(lambda level, index: upper[level, index] if level else leaves(index))
    counts = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (LogTile, LogBody)]
    if counts != [len(upper) + -(-size // merkle.TILE_WIDTH), sum(part.bodies for part in swept)]:
        return None
    stored = connection.execute(select(LogTile.level, LogTile.idx, LogTile.hashes).where(LogTile.level > 0)).all()
    if {(row.level, row.idx): row.hashes for row in stored} != upper:
        return None
    heads = connection.execute(select(LogHead.origin, LogHead.size, LogHead.peaks)).all()
    if [tuple(row) for row in heads] != [(vkey_name(vkey), size, b"".join(merkle.stored_peaks(size, nodes)))]:
        return None
    notes = connection.execute(select(*LogCheckpoint.__table__.columns).order_by(LogCheckpoint.size)).all()
    if size % merkle.TILE_WIDTH and swept[-1].edge != leaves(size // merkle.TILE_WIDTH).hex():
        return None  # another state of the database than this one was swept
    trust = _followed(connection, vkey, notes, size, nodes)
    pruned = Pruned.read(connection)
    if trust is None or not notes or notes[-1].size != size or repeated_ids(connection):
        return None
    if pruned.minimum and merkle.tree_root(pruned.minimum, nodes).hex() != pruned.root:
        return None
    if kept is not None and (kept.size > size or merkle.tree_root(kept.size, nodes) != kept.root):
        return None
    return Sound(size, merkle.tree_root(size, nodes).hex(), notes[-1].note, trust.vkeys, pruned.minimum)


def _followed(
    connection: Connection, vkey: str, notes: Sequence[Any], size: int, nodes: merkle.ReadNode
) -> Trust | None:
    """The keys that the checkpoints lead to, where each is signed by one that was trusted before it."""
    trust = Trust(vkey)
    query = select(LogEntry.seq, LogEntry.leaf).where(LogEntry.kind == KIND).order_by(LogEntry.seq.desc())
    announced = [(row.seq, parse_leaf(row.leaf) or {}) for row in connection.execute(query)]
    for row in notes:
        while announced and type(row.size) is int and announced[-1][0] < row.size:
            trust.entry(*announced.pop())
        if not _signed(trust.vkeys, row, size, nodes):
            return None
        trust.signed(row.size)
    return trust


def _upper_tiles(swept: Sequence[Swept]) -> dict[merkle.TileId, bytes]:
    """The tiles above the leaves, from the roots of the full tiles below them."""
    tiles: dict[merkle.TileId, bytes] = {}
    level, hashes = 1, [bytes.fromhex(root) for part in swept for root in part.tiles]
    while hashes:
        parts = [hashes[at : at + merkle.TILE_WIDTH] for at in range(0, len(hashes), merkle.TILE_WIDTH)]
        tiles |= {(level, index): b"".join(part) for index, part in enumerate(parts)}
        level, hashes = level + 1, [merkle.perfect_root(part) for part in parts if len(part) == merkle.TILE_WIDTH]
    return tiles


def _leaf_tile(connection: Connection, index: int) -> bytes:
    """A tile of leaf hashes; the sweep found it to be that of the entries."""
    hashes = lowest_tile(connection, index)
    return hashes if isinstance(hashes, bytes) else b""


def _signed(vkeys: Sequence[str], row: Any, size: int, nodes: merkle.ReadNode) -> bool:
    try:
        signed = open_checkpoint(row.note if isinstance(row.note, str) else "", vkeys)
        fits = type(row.size) is int and 0 < row.size <= size
        return (
            fits
            and (signed.size, signed.root) == (row.size, row.root)
            and merkle.tree_root(row.size, nodes) == row.root
        )
    except (NoteError, ProofError):
        return False
