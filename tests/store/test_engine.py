"""Engines: which URLs work, what they create, and how their failures read."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from guard.errors import ConfigError, MissingExtra, NotMigrated, RecordError
from guard.store.engine import current, open_engine, reading, require_current, share, snapshot, upgrade, writing
from guard.store.failure import explain


@pytest.mark.parametrize(
    "url",
    ["", "guard.db", "mysql://user:hunter2@host/db", "sqlite+aiosqlite:///x.db", "postgresql+asyncpg://u:hunter2@h/d"],
)
def test_other_urls_are_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"sqlite:///FILE or postgresql://") as caught:
        open_engine(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'genguard\[postgres\]'"):
        open_engine("postgresql://host/db")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_uses_psycopg_and_fails_in_plain_words(scheme: str) -> None:
    engine = open_engine(f"{scheme}://user:hunter2@127.0.0.1:1/db")
    assert engine.driver == "psycopg"
    assert "hunter2" not in repr(engine)
    with pytest.raises(RecordError, match="cannot be reached") as caught:
        require_current(engine)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_what_is_created_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "guard.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    modes = {item.name: item.stat().st_mode & 0o777 for item in (path.parent, *path.parent.iterdir())}
    assert modes["deep"] == 0o700
    assert {name: mode for name, mode in modes.items() if name != "deep"} == {
        "guard.db": 0o600,
        "guard.db-wal": 0o600,
        "guard.db-shm": 0o600,
    }
    engine.dispose()


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_engine(f"sqlite:///{tmp_path}/guard.db").dispose()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_nothing_is_created_where_the_database_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no database"):
        open_engine(f"sqlite:///{tmp_path}/typo/guard.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_made_is_a_record_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot create"):
        open_engine(f"sqlite:///{tmp_path}/file/guard.db")


def test_durability_and_safety_are_switched_on(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "recursive_triggers": 1,
        "trusted_schema": 0,
        "busy_timeout": 30_000,
    }
    with reading(engine) as connection:
        assert {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in wanted} == wanted
    engine.dispose()


def test_writers_take_the_lock_at_once_and_readers_do_not_wait(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    with writing(engine) as writer:
        writer.execute(text("CREATE TABLE t (x INTEGER)"))
    order = []

    def second() -> None:
        with writing(engine) as writer:
            order.append("second")
            writer.execute(text("INSERT INTO t SELECT max(x) + 1 FROM t"))

    with writing(engine) as writer:
        thread = threading.Thread(target=second)
        thread.start()
        with reading(engine) as reader:  # sees the state before, without waiting
            assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        writer.execute(text("INSERT INTO t VALUES (1)"))
        order.append("first")
    thread.join()
    with reading(engine) as reader:
        assert reader.execute(text("SELECT x FROM t ORDER BY x")).scalars().all() == [1, 2]
    assert order == ["first", "second"]
    engine.dispose()


def test_a_snapshot_does_not_move(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    with writing(engine) as writer:
        writer.execute(text("CREATE TABLE t (x INTEGER)"))
    with reading(engine) as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        with writing(engine) as writer:
            writer.execute(text("INSERT INTO t VALUES (1)"))
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
    engine.dispose()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_snapshot_can_be_shared(engine: Engine) -> None:
    count = text("SELECT count(*) FROM log_head")
    with snapshot(engine) as one:
        name = share(one)
        with writing(engine) as other:
            other.execute(text("INSERT INTO log_head VALUES ('x', 0, '')"))
        with snapshot(engine, name) as two:
            assert two.execute(count).scalar_one() == 0
            for wrong in ("00000003-0000001B-9", "'; DROP TABLE log_entry; --"):
                with pytest.raises(SQLAlchemyError), snapshot(engine, wrong):
                    pass
    with snapshot(engine) as later:
        assert later.execute(count).scalar_one() == 1


def test_text_that_is_not_utf8_can_be_read(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    with reading(engine) as connection:
        assert connection.execute(text("SELECT CAST(x'61ff' AS TEXT)")).scalar() == "a\udcff"
    engine.dispose()


def test_a_database_without_our_tables(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    assert current(engine) is None
    with pytest.raises(NotMigrated, match="run  guard db upgrade"):
        require_current(engine)
    engine.dispose()


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "guard.db").write_bytes(b"this is no database at all" * 100)
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    with pytest.raises(RecordError, match="damaged"):
        require_current(engine)
    engine.dispose()


def test_errors_of_snapshots_come_as_they_are(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    with pytest.raises(OperationalError) as caught, snapshot(engine) as connection:
        connection.execute(text("SELECT * FROM nowhere"))
    assert isinstance(explain(caught.value), NotMigrated)
    engine.dispose()


def test_values_never_reach_the_message(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    secret = " ".join(["4111"] * 4)
    with pytest.raises(RecordError) as caught, writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x TEXT UNIQUE)"))
        for _ in range(2):
            connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": secret})
    assert secret not in "".join(traceback.format_exception(caught.value))
    assert "IntegrityError" in str(caught.value)
    engine.dispose()


def test_opening_a_store_does_not_import_alembic(tmp_path: Path) -> None:
    upgrade(open_engine(f"sqlite:///{tmp_path}/guard.db"))
    code = (
        "import sys; from guard.store.engine import *; from guard.audit import log, read, verify\n"
        f"require_current(open_engine('sqlite:///{tmp_path}/guard.db'))\n"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_in_memory_database_serves_tests() -> None:
    engine = open_engine("sqlite://")
    upgrade(engine)
    require_current(engine)
    assert sqlite3.sqlite_version_info >= (3, 37)  # STRICT tables
    engine.dispose()
