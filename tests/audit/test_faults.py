"""Several processes, killed processes, full disks, locks and lost connections: nothing acknowledged is ever lost or forged."""

from __future__ import annotations

import contextlib
import random
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, make_url, select, text

from guard.audit import merkle
from guard.audit.draft import Draft
from guard.audit.log import Appended, Log
from guard.audit.read import Reader
from guard.audit.verify import verify
from guard.errors import AlreadyRecorded, RecordError
from guard.keys import KeyRing
from guard.store.engine import open_engine, reading, upgrade
from guard.store.tables import LogEntry, ReviewCase
from guard.types import Text
from tests.audit.killing import KILLS, Server, Writer, check_all_present, forking

Maker = Callable[..., Draft]


TORN = 500


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with forking() as process:
        yield process


@pytest.fixture
def start(server: subprocess.Popen[str], url: str, keys: KeyRing, tmp_path: Path) -> Callable[..., Writer]:
    """Starts writers on the database under test."""
    return Server(server, url, keys, tmp_path).start


def test_four_processes_with_threads_share_one_log(start: Callable[..., Writer], engine: Engine, keys: KeyRing) -> None:
    writers = [start(f"p{number}", threads=3, entries=8, batch=2) for number in range(4)]
    for writer in writers:
        writer.wait()
    assert check_all_present(engine, keys, writers) == 4 * 3 * 8
    assert Reader(engine).size() == 4 * 3 * 8


def test_killed_writers_lose_nothing_that_they_acknowledged(
    start: Callable[..., Writer], engine: Engine, keys: KeyRing
) -> None:
    """Two writers at a time, killed in the middle of their work, 25 times over; the log goes on each time."""
    writers: list[Writer] = []
    done = 0
    for number in range(KILLS // 2):
        pair = [start(f"k{number}-{side}", threads=2, entries=10_000, batch=1 + side) for side in (0, 1)]
        while sum(len(writer.lines()) for writer in pair) < 1 + number % 7:
            time.sleep(0.002)
        for writer in pair:
            assert writer.alive()
            writer.kill()
        writers += pair
        if number % 6 == 0:
            count = check_all_present(engine, keys, writers)
            assert count > done
            done = count
    assert check_all_present(engine, keys, writers) >= done
    Log(engine, keys).settle()  # what the killed left in the inbox is taken in
    assert size(engine) >= done


def test_a_torn_or_flipped_write_ahead_log_leaves_a_prefix_that_holds(tmp_path: Path, keys: KeyRing) -> None:
    """What a crash of the machine can do to SQLite's log: whatever survives verifies, and the record goes on from there."""
    engine = open_engine(f"sqlite:///{tmp_path / 'guard.db'}")
    upgrade(engine)
    engine.dispose()  # the tables are in the file itself now
    engine = open_engine(f"sqlite:///{tmp_path / 'guard.db'}")
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA wal_autocheckpoint=0"))
    log = Log(engine, keys)
    for number in range(30):
        log.append([Draft("generation", f"r{number}", {"state": "released"}, {"output": Text("x" * 300)})])
    base, wal = (tmp_path / "guard.db").read_bytes(), (tmp_path / "guard.db-wal").read_bytes()
    engine.dispose()
    chance, sizes = random.Random(5), set()
    place = tmp_path / "torn"
    place.mkdir()
    for number in range(TORN):
        for file in place.iterdir():
            file.unlink()
        data = bytearray(wal)
        at = chance.randrange(len(data))
        if number % 2:
            del data[at:]
        else:
            data[at] ^= 1 << chance.randrange(8)
        (place / "guard.db").write_bytes(base)
        (place / "guard.db-wal").write_bytes(data)
        torn = open_engine(f"sqlite:///{place / 'guard.db'}")
        report = verify(torn, log.vkey)
        assert report.problems == ()
        sizes.add(report.size)
        if number % 20 == 0:
            after = Log(torn, keys)
            assert after.append([Draft("generation", "next", {"state": "released"})])[0].seq == report.size
            assert verify(torn, log.vkey).ok
        torn.dispose()
    assert min(sizes) == 0
    assert max(sizes) >= 29
    assert len(sizes) > 15


def size(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(LogEntry)).scalar_one()


@pytest.fixture
def file_log(tmp_path: Path, keys: KeyRing) -> Iterator[Log]:
    """A log in a file, as the embedded default has it."""
    engine = open_engine(f"sqlite:///{tmp_path / 'file.db'}")
    upgrade(engine)
    yield Log(engine, keys)
    engine.dispose()


def test_a_full_disk_records_nothing_and_says_so(file_log: Log, draft: Maker) -> None:
    file_log.append([draft()])
    limits = ["PRAGMA max_page_count = 60"]

    @event.listens_for(file_log.engine, "checkout")
    def _limit(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.execute(limits[-1])

    big = Draft("check", None, {}, {"prompt": Text("x" * 100_000)})
    with pytest.raises(RecordError, match="disk is full") as caught:
        for _ in range(10):
            file_log.append([big])
    assert "xxxx" not in "".join(traceback.format_exception(caught.value))
    stored = size(file_log.engine)
    assert 1 <= stored < 5
    assert verify(file_log.engine, file_log.vkey).ok
    limits.append("PRAGMA max_page_count = 100000")
    assert file_log.append([big])[0].seq == stored
    assert verify(file_log.engine, file_log.vkey).ok


def test_a_locked_database_records_nothing_and_says_so(file_log: Log, draft: Maker) -> None:
    @event.listens_for(file_log.engine, "checkout")
    def _hurry(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.execute("PRAGMA busy_timeout = 50")

    other = sqlite3.connect(file_log.engine.url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RecordError, match="keeps the database locked"):
        file_log.append([draft()])
    other.execute("ROLLBACK")
    other.close()
    assert file_log.append([draft()])[0].seq == 0


def test_a_read_only_database_can_be_verified_but_not_written(file_log: Log, keys: KeyRing, draft: Maker) -> None:
    file_log.append([draft()])
    file_log.engine.dispose()
    engine = open_engine(f"sqlite:///file:{file_log.engine.url.database}?mode=ro&uri=true")
    assert verify(engine, file_log.vkey).ok
    assert Reader(engine).size() == 1
    with pytest.raises(RecordError, match="read-only"):
        Log(engine, keys).append([draft()])
    engine.dispose()


def test_a_damaged_file_is_reported_by_writer_and_verifier(file_log: Log, keys: KeyRing, draft: Maker) -> None:
    file_log.append([draft() for _ in range(30)])
    file_log.engine.dispose()
    path = Path(file_log.engine.url.database or "")
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(RecordError, match="damaged"):
        Log(engine, keys).append([draft()])
    try:
        assert not verify(engine, file_log.vkey).ok
    except RecordError as error:
        assert "damaged" in str(error)  # noqa: PT017
    engine.dispose()


def test_a_lost_connection_records_nothing_and_the_next_append_reconnects(
    template: Engine, postgresql_url: str, keys: KeyRing, draft: Maker
) -> None:
    engine = open_engine(postgresql_url)
    log = Log(engine, keys)
    log.append([draft()])

    def cut(connection: Connection, appended: Sequence[Appended]) -> None:
        own = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with template.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})

    with pytest.raises(RecordError, match="whether it was recorded is not known"):  # the cut is noticed at the commit
        log.append([draft()], within=cut)
    assert size(engine) == 1

    def cut_early(connection: Connection, appended: Sequence[Appended]) -> None:
        cut(connection, appended)
        connection.execute(text("SELECT 1"))

    with pytest.raises(RecordError, match=r"cannot be reached.*nothing was recorded"):
        log.append([draft()], within=cut_early)
    assert size(engine) == 1
    with template.connect() as other:  # idle connections of the pool are cut as well
        other.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": engine.url.database},
        )
    assert log.append([draft()])[0].seq == 1
    assert verify(engine, log.vkey).ok
    engine.dispose()


class Proxy:
    """Stands between a client and PostgreSQL, and may drop the connection once a COMMIT is on its way."""

    def __init__(self, folder: Path, server: str) -> None:
        self._server, self.armed = server, False
        self._sockets = [socket.socket(socket.AF_UNIX)]
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets[0].bind(str(folder / ".s.PGSQL.5432"))
        self._sockets[0].listen()
        self._threads[0].start()

    def close(self) -> None:
        """End all connections and threads."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, server = self._sockets[0].accept()[0], socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._sockets += [client, server]
                for source, sink in ((client, server), (server, client)):
                    self._threads.append(threading.Thread(target=self._pump, args=(source, sink, source is client)))
                    self._threads[-1].start()

    def _pump(self, source: socket.socket, sink: socket.socket, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asks and self.armed and b"COMMIT\0" in data:
                    self.armed = False
                    source.shutdown(socket.SHUT_RDWR)  # what the server answers reaches nobody
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def test_a_connection_lost_while_committing_is_said_to_be_unknown(
    postgresql_url: str, keys: KeyRing, draft: Maker
) -> None:
    url = make_url(postgresql_url)
    host = str(url.query["host"])
    direct = open_engine(postgresql_url)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Proxy(Path(folder), f"{host}/.s.PGSQL.5432")) as proxy,
    ):
        engine = open_engine(url.update_query_dict({"host": folder}).render_as_string(hide_password=False))
        log = Log(engine, keys)
        log.append([draft()])
        proxy.armed = True
        with pytest.raises(RecordError, match="whether it was recorded is not known; ask again"):
            log.append([draft("r")])
        while size(direct) < 2:  # the server commits what it was told to
            time.sleep(0.005)
        with pytest.raises(AlreadyRecorded):
            log.append([draft("r")])
        assert verify(engine, log.vkey).ok
        engine.dispose()
    direct.dispose()


def test_a_held_head_makes_the_writer_give_up_in_time(postgresql_url: str, keys: KeyRing, draft: Maker) -> None:
    engine, other = open_engine(postgresql_url), open_engine(postgresql_url)
    log = Log(engine, keys)
    log.append([draft()])

    def hurry(connection: Connection) -> None:
        connection.execute(text("SET LOCAL lock_timeout = '50ms'"))

    event.listen(engine, "begin", hurry)
    with other.begin() as holder:
        holder.execute(text("SELECT * FROM log_head FOR UPDATE"))
        with pytest.raises(RecordError, match=r"keeps the database locked.*yet the entry is durable"):
            log.append([draft("late")])
        assert Reader(engine).history("late") == []
    assert log.append([draft()])[0].seq == 2
    assert [entry.seq for entry in Reader(engine).history("late")] == [1]
    assert verify(engine, log.vkey).ok
    engine.dispose()
    other.dispose()


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("UPDATE log_inbox SET leaf = :leaf, leaf_hash = :hash", "was changed in the inbox"),
        ("DELETE FROM log_inbox WHERE leaf != :leaf OR leaf_hash != :hash", "vanished from the inbox"),
    ],
)
def test_an_entry_changed_in_the_inbox_is_noticed_by_its_writer(
    postgresql_url: str, keys: KeyRing, attack: str, message: str
) -> None:
    engine, other = open_engine(postgresql_url), open_engine(postgresql_url)
    log = Log(engine, keys)
    log.append([Draft("policy", None, {})])
    refused: list[str] = []

    def work() -> None:
        try:
            log.append([Draft("generation", "mine", {"state": "blocked"})])
        except RecordError as error:
            refused.append(str(error))

    with other.begin() as holder:
        holder.execute(text("SELECT * FROM log_head FOR UPDATE"))
        worker = threading.Thread(target=work)
        worker.start()
        while not _waiting(other):
            time.sleep(0.005)
        with other.begin() as attacker:
            forged = b'{"state":"released"}'
            values = {"leaf": forged, "hash": merkle.leaf_hash(forged)}
            attacker.execute(text(attack), values)
    worker.join()
    assert len(refused) == 1
    assert message in refused[0]
    assert verify(engine, log.vkey).ok  # what was forged was never numbered
    assert [entry.kind for entry in Reader(engine).latest()] == [
        "policy",
        *([] if attack.startswith("DELETE") else ["refusal"]),
    ][::-1]
    engine.dispose()
    other.dispose()


def _waiting(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.execute(text("SELECT count(*) FROM log_inbox")).scalar_one())


def test_database_messages_that_quote_rows_do_not_travel(log: Log, draft: Maker) -> None:
    """PostgreSQL quotes the failing row in its own message; ours must not carry it along."""
    secret = " ".join(["4111"] * 4)

    def broken(connection: Connection, appended: Sequence[Appended]) -> None:
        row = {
            "id": secret,
            "seq": appended[0].seq,
            "request_id": "r",
            "stage": "output",
            "kind": "text",
            "severity": 1,
        }
        times = {"opened_at": "x", "deadline": "x", "state": "open", "rationale": secret}
        connection.execute(insert(ReviewCase), [row | times])
        connection.execute(text("UPDATE review_case SET stage = NULL"))

    with pytest.raises(RecordError, match="refused the transaction") as caught:
        log.append([draft()], within=broken)
    assert secret not in "".join(traceback.format_exception(caught.value))
