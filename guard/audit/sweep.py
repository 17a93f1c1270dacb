"""A quick look over a whole record by several processes: a yes or a no, and no diagnosis.

It says yes only where `guard.audit.verify` would find nothing; whatever else it meets is left to that module, which names
what is wrong. `python -m guard.audit.sweep` is one of the processes; it reads its task as JSON from stdin.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Engine, func, select

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint
from guard.audit.erased import Erased
from guard.audit.leaf import TIME
from guard.audit.trust import Trust
from guard.audit.vouched import NOBODY, Known, Vouched
from guard.digest import sha256
from guard.errors import NoteError, ProofError
from guard.store.engine import integrity, open_engine, share, snapshot
from guard.store.tables import LogBody, LogCheckpoint, LogEntry, LogHead, LogTile

SKEW = 60  # seconds: entries are sealed before they are numbered, and clocks of several machines differ
WORTHWHILE = 20_000  # entries: below, starting processes costs more than they save
_AT_ONCE = 500
_BODIES_AT_ONCE = 20  # a body may be megabytes
_REPORT_EVERY = 4096

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sound stretch comes to: the roots of its full tiles (hex), the hashes of a last part, and its times."""

    tiles: list[str]
    edge: str
    bodies: int
    first_at: str
    last_at: str


def sweep(
    connection: Connection,
    start: int,
    end: int,
    *,
    size: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Swept | None:
    """Look at the entries from `start` (a multiple of 256) to `end`; None where anything is not as it should be.

    `size` is that of the record (default: `end`): what later entries say of erasures is not looked at, so not believed.
    """
    size = end if size is None else size
    columns, inside = LogEntry.__table__.columns, (LogEntry.seq >= start, LogEntry.seq < end)
    options = {"yield_per": _AT_ONCE}
    content = (LogBody.seq, LogBody.role, LogBody.ciphertext, LogBody.wrapped_key, LogBody.lookup, LogBody.erased_at)
    there = (LogBody.seq >= start, LogBody.seq < end)
    sealed = select(*content).where(*there).order_by(LogBody.seq, LogBody.role)
    with (
        connection.execute(
            select(*columns).where(*inside).order_by(LogEntry.seq), execution_options=options
        ) as entries,
        connection.execute(sealed, execution_options={"yield_per": _BODIES_AT_ONCE}) as bodies,
    ):
        rows, sealed_rows = (chain.from_iterable(result.partitions()) for result in (entries, bodies))
        return _swept(connection, start, end, rows, sealed_rows, Erased.read(connection, before=size), progress)


def _swept(
    connection: Connection,
    start: int,
    end: int,
    entries: Iterable[Any],
    bodies: Iterator[Any],
    named: Erased,
    progress: Callable[[int], None] | None,
) -> Swept | None:
    tiles: list[str] = []
    edge: list[bytes] = []
    count, at_last, at_first, expected = 0, "", "~", start
    body = next(bodies, None)
    for row in entries:
        seq, leaf = row[0], row[8]
        if seq != expected or type(leaf) is not bytes:
            return None
        expected += 1
        hashed = merkle.leaf_hash(leaf)
        fields = _fields(leaf)
        if hashed != row[7] or fields is None or fields.get("v") != 1 or not _repeats(row, fields):
            return None
        at = fields["at"]
        if at < at_last:
            if not in_time(at, at_last):
                return None
        else:
            at_last = at
        at_first = min(at_first, at)
        promised = fields.get("bodies")
        left = dict(promised) if type(promised) is dict else {}
        while body is not None and body[0] == seq:
            _, role, ciphertext, wrapped, lookup, erased = body
            facts = left.pop(role, None)
            if type(facts) is not dict:
                return None
            if ciphertext is wrapped is lookup is None:
                fits = named.allows(seq, role, erased)
            else:
                fits = erased is None and named.at(seq, role) is None and _sealed(facts, ciphertext, wrapped, lookup)
            if not fits:
                return None
            count += 1
            body = next(bodies, None)
        if left or (body is not None and (type(body[0]) is not int or body[0] < seq)):
            return None
        edge.append(hashed)
        if len(edge) == merkle.TILE_WIDTH:
            if _tile(connection, seq // merkle.TILE_WIDTH) != b"".join(edge):
                return None
            tiles.append(merkle.perfect_root(edge).hex())
            edge.clear()
        if progress is not None and expected % _REPORT_EVERY == 0:
            progress(expected - start)
    if expected != end or body is not None:
        return None
    if edge and _tile(connection, end // merkle.TILE_WIDTH) != b"".join(edge):
        return None
    return Swept(tiles, b"".join(edge).hex(), count, at_first, at_last)


def _fields(leaf: bytes) -> dict[str, Any] | None:
    try:
        fields = from_json(leaf)
    except ValueError:  # lone surrogates among others: rare, and for the careful reader
        return None
    return fields if type(fields) is dict else None


def _repeats(row: Sequence[Any], fields: Mapping[str, Any]) -> bool:
    """Whether the columns say what the leaf says, in the same types (only a text equals a text, only a null a null)."""
    _, entry_id, kind, at, request, state, action, _, _, subject = row
    get = fields.get
    if not (type(entry_id) is type(kind) is type(at) is str and TIME.fullmatch(at)):
        return False
    if not (entry_id == get("id") and kind == get("kind") and at == get("at")):
        return False
    if request != get("request_id") or subject != get("subject"):
        return False
    decision, said = get("decision"), get("state")
    done = decision.get("action") if type(decision) is dict else None
    if state != (said if type(said) is str else None) or action != (done if type(done) is str else None):
        return False
    return all(it is None or type(it) is str for it in (request, subject, state, action))


def in_time(at: str, newest: str) -> bool:
    """Whether an entry's time lies no further back than clocks and waiting explain."""
    try:
        return (datetime.fromisoformat(newest) - datetime.fromisoformat(at)).total_seconds() <= SKEW
    except (ValueError, TypeError):
        return False


def _sealed(facts: Mapping[str, Any], ciphertext: object, wrapped: object, lookup: object) -> bool:
    if type(ciphertext) is not bytes or type(wrapped) is not bytes or type(lookup) is not bytes:
        return False
    same = sha256(ciphertext).hex() == facts.get("ct_sha256")
    return same and sha256(wrapped + lookup).hex() == facts.get("row_sha256")


def _tile(connection: Connection, index: int) -> object:
    query = select(LogTile.hashes).where(LogTile.level == 0, LogTile.idx == index)
    return connection.execute(query).scalar_one_or_none()


# --- several at once -----------------------------------------------------------------------------------------------


def sweep_all(
    engine: Engine,
    connection: Connection,
    size: int,
    jobs: int,
    progress: Progress | None = None,
) -> list[Swept] | None:
    """Sweep a record in `jobs` stretches, the last here and each other in a process of its own, while the database looks at
    its own pages; None where one of them is not sound.

    All look at one view of the database, where it has a name. On SQLite each has its own: what was appended meanwhile lies
    beyond the stretches, and what was changed meanwhile does not fit the rest of the record, which `whole` finds.
    """
    stretches = _stretches(size, jobs)
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


def _stretches(size: int, jobs: int) -> list[tuple[int, int]]:
    """Equal parts that begin at the edges of tiles."""
    tiles = -(-size // merkle.TILE_WIDTH)
    each = max(1, -(-tiles // jobs)) * merkle.TILE_WIDTH
    return [(start, min(start + each, size)) for start in range(0, size, each)]


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
    size = connection.execute(select(func.count()).select_from(LogEntry)).scalar_one()
    wanted = _jobs(engine, size) if jobs is None else jobs
    if not wanted or not size:
        return None
    try:
        swept = sweep_all(engine, connection, size, wanted, progress)
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
    vouched = Vouched(known)
    if sum(1 for _ in vouched.problems(connection)):
        return None
    root = merkle.tree_root(size, nodes).hex()
    return Sound(size, root, notes[-1].note, trust, (vouched.checked, vouched.unchecked))


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
    hashes = _tile(connection, index)
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


def _main() -> None:
    task = json.loads(sys.stdin.read())

    def say(value: object) -> None:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    engine = open_engine(task["url"], create=False)
    with snapshot(engine, task["view"]) as connection:
        found = sweep(connection, task["start"], task["end"], size=task["size"], progress=say)
    say(asdict(found) if found else None)


if __name__ == "__main__":
    _main()
