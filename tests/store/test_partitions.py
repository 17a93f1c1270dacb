"""Partitions on PostgreSQL: there is always room, a writer needs no right to make it, and what they cannot refuse is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.audit.verify import verify
from guard.errors import NotMigrated, RecordError
from guard.keys import KeyRing
from guard.store.engine import downgrade, open_engine, reading, upgrade, writing
from guard.store.partitions import ENDLESS, TABLES, WIDTH, hold_still, make_room, partitions, repeated_ids
from guard.types import Text
from tests.conftest import shrink
from tests.racing import at_once


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Engine]:
    """A PostgreSQL database of its own."""
    engine = open_engine(postgresql_url)
    yield engine
    engine.dispose()


def bounds(engine: Engine, table: str = "log_entry") -> list[tuple[int, int]]:
    with reading(engine) as connection:
        return [(it.first, it.beyond) for it in partitions(connection, table)]


def some(count: int) -> list[Draft]:
    return [Draft("check", None, {}, {"output": Text("x")}) for _ in range(count)]


def test_sqlite_has_no_partitions_and_endless_room(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    upgrade(engine)
    assert make_room(engine) == ENDLESS
    with reading(engine) as connection:
        hold_still(connection)
        assert partitions(connection) == []
        assert repeated_ids(connection) == []
    engine.dispose()


def test_there_is_a_whole_partition_ahead_from_the_start(database: Engine) -> None:
    assert bounds(database) == bounds(database, "log_body") == [(0, WIDTH), (WIDTH, 2 * WIDTH)]
    assert make_room(database) == WIDTH  # enough: nothing is made
    assert len(bounds(database)) == 2


def test_a_log_never_runs_out_of_room(database: Engine, tmp_path: Path) -> None:
    shrink(database)
    log = Log(database, KeyRing(tmp_path))
    for count in (1, 60, 10, 63, 2, 64, 1):
        log.append(some(count))
        found = bounds(database)
        assert found[-1][1] >= Reader(database).size() + 1
    assert found == bounds(database, "log_body") == [(first, first + 64) for first in range(0, found[-1][1], 64)]
    assert verify(database, log.vkey).size == 201


def test_several_writers_make_room_at_once(database: Engine, tmp_path: Path) -> None:
    shrink(database)
    keys = KeyRing(tmp_path)
    vkey = Log(database, keys).vkey

    def work() -> None:
        engine = open_engine(database.url.render_as_string(hide_password=False))
        try:
            mine = Log(engine, keys)
            for _ in range(20):
                mine.append(some(7))
        finally:
            engine.dispose()

    at_once(work)
    assert verify(database, vkey).size == 4 * 20 * 7
    found = bounds(database)
    assert found == [(first, first + 64) for first in range(0, found[-1][1], 64)]


def test_making_room_waits_for_no_reader(database: Engine, tmp_path: Path) -> None:
    """A verification may take hours."""
    shrink(database)
    log = Log(database, KeyRing(tmp_path))
    log.append(some(60))
    with reading(database) as connection:
        hold_still(connection)
        connection.execute(text("SELECT count(*) FROM log_entry JOIN log_body USING (seq)"))
        before = bounds(database)
        log.append(some(60))
        log.append(some(60))
        assert len(bounds(database)) > len(before)


def test_a_writer_makes_room_without_the_right_to_make_tables(database: Engine, tmp_path: Path) -> None:
    shrink(database)
    with database.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS writer"))
        connection.execute(text("CREATE ROLE writer LOGIN"))
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        connection.execute(text("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO writer"))
        connection.execute(text("GRANT UPDATE ON log_head TO writer"))
        connection.execute(text("GRANT DELETE ON log_tile, log_checkpoint, log_inbox, log_inbox_body TO writer"))
    engine = open_engine(database.url.set(username="writer").render_as_string(hide_password=False))
    log = Log(engine, KeyRing(tmp_path))
    for _ in range(4):
        log.append(some(60))
    assert verify(engine, log.vkey).ok
    for statement in (
        "SELECT log_partition(0, 10)",
        "CREATE TABLE mine (x int)",
        "DELETE FROM log_entry_0_64",
        "TRUNCATE log_entry_0_64",
        "DROP TABLE log_entry_0_64",
        "ALTER TABLE log_entry DISABLE TRIGGER ALL",
    ):
        with pytest.raises(RecordError, match="privileges"), writing(engine) as connection:
            connection.execute(text(statement))
    engine.dispose()
    with database.begin() as connection:
        connection.execute(text("DROP OWNED BY writer"))
        connection.execute(text("DROP ROLE writer"))


def test_a_missing_partition_is_said_and_made(database: Engine, tmp_path: Path) -> None:
    log = Log(database, KeyRing(tmp_path))
    log.append(some(1))
    with writing(database) as connection:
        for table in TABLES:
            connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {table}_0_{WIDTH}"))
    with pytest.raises(RecordError):
        log.append(some(1))
    assert not verify(database, log.vkey).ok


def test_entries_of_two_partitions_with_one_id_are_found(database: Engine, tmp_path: Path) -> None:
    shrink(database)
    log = Log(database, KeyRing(tmp_path))
    for _ in range(4):
        log.append(some(50))
    assert verify(database, log.vkey).ok
    with reading(database) as connection:
        assert repeated_ids(connection) == []
    with writing(database) as connection:
        connection.execute(text("ALTER TABLE log_entry DISABLE TRIGGER log_entry_no_change"))
        connection.execute(text("UPDATE log_entry SET id = (SELECT id FROM log_entry WHERE seq = 10) WHERE seq = 150"))
    with reading(database) as connection:
        assert repeated_ids(connection) == [(10, 150)]
    assert "entry 150: has the id of entry 10" in map(str, verify(database, log.vkey).problems)
    with pytest.raises(RecordError, match="UniqueViolation"), writing(database) as connection:
        connection.execute(text("UPDATE log_entry SET id = (SELECT id FROM log_entry WHERE seq = 10) WHERE seq = 11"))


def test_without_tables_there_is_no_room(database: Engine) -> None:
    downgrade(database, "base")
    with pytest.raises(NotMigrated, match="guard db upgrade"):
        make_room(database)
