"""The quick look with real processes, on both engines; that it agrees with the careful one is shown in test_tamper."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.quick import sweep_all
from guard.audit.read import Reader
from guard.audit.sweep import sweep
from guard.audit.verify import verify
from guard.store.engine import share, snapshot, writing
from guard.types import Text

Maker = Callable[..., Draft]


@pytest.fixture
def long(log: Log, draft: Maker) -> Log:
    """Three tiles and a bit."""
    for count in (1, 256, 300, 243):
        log.append([draft() for _ in range(count)])
    return log


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_processes_come_to_the_answer_of_the_careful_reader(long: Log, jobs: int) -> None:
    seen: list[tuple[int, int]] = []
    quick = verify(long.engine, long.vkey, jobs=jobs, progress=lambda done, total: seen.append((done, total)))
    assert quick == verify(long.engine, long.vkey, jobs=0)
    assert (quick.ok, quick.size) == (True, 800)
    assert all(done <= total == 800 for done, total in seen)


def test_what_the_processes_find_is_named(long: Log) -> None:
    kept = verify(long.engine, long.vkey).checkpoint
    with writing(long.engine) as connection:
        connection.execute(text("UPDATE log_body SET ciphertext = wrapped_key WHERE seq = 700 AND role = 'prompt'"))
    report = verify(long.engine, long.vkey, jobs=2, against=kept)
    assert (report.ok, report.first_broken) == (False, 700)


def test_a_checkpoint_kept_earlier_is_compared(long: Log, draft: Maker) -> None:
    kept = verify(long.engine, long.vkey).checkpoint
    long.append([draft()])
    assert verify(long.engine, long.vkey, jobs=2, against=kept).ok
    newer = verify(long.engine, long.vkey).checkpoint
    with writing(long.engine) as connection:
        for trigger in ("log_entry_no_delete", "log_entry_no_change"):
            drop = f"DROP TRIGGER IF EXISTS {trigger}"
            connection.execute(text(drop + ("" if connection.dialect.name == "sqlite" else " ON log_entry")))
        for table in ("log_body", "log_entry"):
            connection.execute(text(f"DELETE FROM {table} WHERE seq = 800"))
    report = verify(long.engine, long.vkey, jobs=2, against=newer)
    assert (report.ok, report.first_broken) == (False, 800)


def test_a_leaf_that_only_the_careful_reader_can_parse(log: Log) -> None:
    """Lone surrogates, which no fast parser takes."""
    log.append([Draft("generation", "r", {"note": "\ud800"}, {"output": Text("x")})])
    with snapshot(log.engine) as connection:
        assert sweep(connection, 0, 1) is None
    assert verify(log.engine, log.vkey, jobs=1).ok


def test_a_log_that_grows_meanwhile(long: Log, engine: Engine, draft: Maker) -> None:
    def grow(done: int, total: int) -> None:
        long.append([draft()])

    report = verify(engine, long.vkey, jobs=0, progress=grow)
    assert (report.ok, report.size) == (True, 800)
    assert Reader(engine).size() > 800
    assert verify(engine, long.vkey, jobs=2, progress=grow).ok


def test_all_processes_look_at_the_view_of_the_one_that_asked(long: Log) -> None:
    """On PostgreSQL. On SQLite each has its own, and what changed meanwhile is left to the careful reader."""
    with snapshot(long.engine) as connection:
        sqlite = long.engine.dialect.name == "sqlite"
        assert (share(connection) is None) is sqlite
        with writing(long.engine) as other:
            other.execute(text("UPDATE log_body SET ciphertext = wrapped_key WHERE seq = 100"))
        assert (sweep_all(long.engine, connection, 800, 2) is None) is sqlite
    assert not verify(long.engine, long.vkey, jobs=2).ok
