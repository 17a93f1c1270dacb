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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint
from guard.audit.pruned import Pruned
from guard.audit.sweep import Swept, in_time, lowest_tile, sweep
from guard.audit.trust import Trust
from guard.audit.vouched import NOBODY, Known, Vouched
from guard.errors import NoteError, ProofError
from guard.store.engine import integrity, share
from guard.store.partitions import repeated_ids
from guard.store.tables import LogBody, LogCheckpoint, LogEntry, LogHead, LogTile

WORTHWHILE = 20_000  # entries: below, starting processes costs more than they save
_LIGHTER = 12  # a hash in a tile is as much work as a twelfth of an entry

Progress = Callable[[int, int], None]


def sweep_all(
    engine: Engine,
    connection: Connection,
    size: int,
    jobs: int,
    progress: Progress | None = None,
    minimum: int = 0,
) -> list[Swept] | None:
    """Sweep a record in `jobs` stretches, the last here and each other in a process of its own, while the database looks at
    its own pages; None where one of them is not sound.

    All look at one view of the database, where it has a name. On SQLite each has its own: what was appended meanwhile lies
    beyond the stretches, and what was changed meanwhile does not fit the rest of the record, which `whole` finds.
    """
    stretches = _stretches(size, jobs, minimum)
    done = [0] * len(stretches)
    answers: list[Swept | None] = [None] * len(stretches)
    lock = threading.Lock()

    def say(number: int, count: int) -> None:
        with lock:
            done[number] = count
            if progress:
                progress(sum(done), size)

    def follow(number: int, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            said = json.loads(line)
            if isinstance(said, int):
                say(number, said)
            else:
                answers[number] = Swept(**said) if said else None

    place = {"url": engine.url.render_as_string(hide_password=False), "view": share(connection), "size": size}
    *others, (start, end) = stretches
    with contextlib.ExitStack() as stack:
        threads = []
        for number, stretch in enumerate(others):
            process = stack.enter_context(_worker({**place, "start": stretch[0], "end": stretch[1]}))
            stack.callback(process.kill)
            threads.append(threading.Thread(target=follow, args=(number, process)))
            threads[-1].start()
        if integrity(connection):
            return None
        answers[-1] = sweep(connection, start, end, size=size, progress=partial(say, len(others)))
        if answers[-1] is None:
            return None
        for thread in threads:
            thread.join()
    swept = [answer for answer in answers if answer is not None]
    return swept if len(swept) == len(stretches) and _in_order(swept) else None


def _worker(task: Mapping[str, object]) -> subprocess.Popen[str]:
    """A process that sweeps a stretch and prints, line by line, how far it is and what it found."""
    command, pipe = [sys.executable, "-P", "-m", "guard.audit.sweep"], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
    if process.stdin is not None:  # not on the command line, where others could read a password
        process.stdin.write(json.dumps(task))
        process.stdin.close()
    return process


def _stretches(size: int, jobs: int, minimum: int = 0) -> list[tuple[int, int]]:
    """Parts of about the same work that begin at the edges of tiles; below `minimum` are hashes instead of entries."""
    light = minimum // _LIGHTER
    each = -(-(light + size - minimum) // jobs)
    cuts = [0]
    for work in range(each, light + size - minimum, each):
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
    trust: Trust
    vouched: tuple[int, int]  # how much of what others signed was checked, and how much could not be
    minimum: int  # entries below were pruned


def quick(
    engine: Engine,
    connection: Connection,
    vkeys: str | Sequence[str],
    kept: Checkpoint | None = None,
    known: Known = NOBODY,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Sound | None:
    """Look at a long record with `jobs` processes (default: one a core); None: read it with care."""
    minimum = Pruned.read(connection).minimum
    count = connection.execute(select(func.count()).select_from(LogEntry).where(LogEntry.seq >= minimum)).scalar_one()
    wanted, size = _jobs(engine, count) if jobs is None else jobs, minimum + count
    if not wanted or not size:
        return None
    try:
        swept = sweep_all(engine, connection, size, wanted, progress, minimum)
        return whole(connection, vkeys, kept, size, swept, known) if swept else None
    except (OSError, KeyError, ProofError):  # a process that cannot start or died, tiles that are not there
        return None


def _jobs(engine: Engine, size: int) -> int:
    """0 for a short record, and for one that lives in this process's memory."""
    memory = engine.dialect.name == "sqlite" and engine.url.database in (None, "", ":memory:")
    return 0 if memory or size < WORTHWHILE else max(1, os.cpu_count() or 1)


def whole(
    connection: Connection,
    vkeys: str | Sequence[str],
    kept: Checkpoint | None,
    size: int,
    swept: Sequence[Swept],
    known: Known = NOBODY,
) -> Sound | None:
    """Whether sound stretches make a sound record: tree, head, checkpoints and what stands beside them as they must be."""
    upper = _upper_tiles(swept)
    leaves = lru_cache(maxsize=16)(partial(_leaf_tile, connection))
    nodes = merkle.TileNodes(lambda level, index: upper[level, index] if level else leaves(index))
    counts = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (LogTile, LogBody)]
    if counts != [len(upper) + -(-size // merkle.TILE_WIDTH), sum(part.bodies for part in swept)]:
        return None
    stored = connection.execute(select(LogTile.level, LogTile.idx, LogTile.hashes).where(LogTile.level > 0)).all()
    if {(row.level, row.idx): row.hashes for row in stored} != upper:
        return None
    trust = Trust.of(connection, vkeys)
    heads = connection.execute(select(LogHead.origin, LogHead.size, LogHead.peaks)).all()
    if [tuple(row) for row in heads] != [(trust.origin, size, b"".join(merkle.stored_peaks(size, nodes)))]:
        return None
    notes = connection.execute(select(*LogCheckpoint.__table__.columns).order_by(LogCheckpoint.size)).all()
    if size % merkle.TILE_WIDTH and swept[-1].edge != leaves(size // merkle.TILE_WIDTH).hex():
        return None  # another state of the database than this one was swept
    if not all(_signed(trust, row, size, nodes) for row in notes) or not notes or notes[-1].size != size:
        return None
    try:
        trust.close(notes[-1].note)
    except NoteError:
        return None
    if kept is not None and (kept.size > size or merkle.tree_root(kept.size, nodes) != kept.root):
        return None
    pruned, vouched = Pruned.read(connection), Vouched(known)
    if pruned.minimum and merkle.tree_root(pruned.minimum, nodes).hex() != pruned.root:
        return None
    if repeated_ids(connection) or sum(1 for _ in vouched.problems(connection)):
        return None
    root = merkle.tree_root(size, nodes).hex()
    return Sound(size, root, notes[-1].note, trust, (vouched.checked, vouched.unchecked), pruned.minimum)


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


def _signed(trust: Trust, row: Any, size: int, nodes: merkle.ReadNode) -> bool:
    """Whether a checkpoint is what was signed, and describes this tree; then what it covers says which keys come next."""
    try:
        signed = trust.open(row.note)
        same = type(row.size) is int and 0 < row.size <= size and (signed.size, signed.root) == (row.size, row.root)
        if not same or merkle.tree_root(row.size, nodes) != row.root:
            return False
    except (NoteError, ProofError):
        return False
    trust.signed(row.size)
    return True
