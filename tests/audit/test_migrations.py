"""Migrations on both engines: they make exactly the declared schema, go up, down and up again, and fail as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, inspect, select, text

from guard import bundled
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.verify import verify
from guard.errors import ConfigError, NotMigrated, RecordError
from guard.keys import KeyRing
from guard.store import engine as store
from guard.store.engine import open_engine, reading, writing
from guard.store.partitions import WIDTH, partitions
from guard.store.schema import describe
from guard.store.tables import Base, LogEntry
from tests.racing import at_once

Maker = Callable[..., Draft]


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(bundled.folder("migrations")))
    return ScriptDirectory.from_config(config)


def schema(connection: Connection, *, triggers: bool = True) -> dict[str, dict[str, str]]:
    """The tables as the database tells it."""
    return {
        table: {what: made for what, made in facts.items() if triggers or not what.startswith("trigger")}
        for table, facts in describe(connection).tables.items()
    }


def table_names(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


def declared_only(thing: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
    """Partitions are no tables of their own; constraints that SQLite alone has are no constraints of PostgreSQL."""
    table = name if kind == "table" else getattr(getattr(thing, "table", None), "name", None)
    elsewhere = kind in ("foreign_key_constraint", "unique_constraint") and getattr(thing, "_ddl_if", None)
    return not re.fullmatch(r"log_(entry|body)_\d+_\d+", str(table)) and not elsewhere


@pytest.fixture
def empty(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    store.downgrade(engine, "base")
    yield engine
    engine.dispose()


def test_the_head_that_the_code_names_is_the_only_one() -> None:
    assert scripts().get_heads() == [store.HEAD]


def test_migrating_makes_the_declared_schema(empty: Engine) -> None:
    with writing(empty) as connection:
        assert table_names(connection) == set()
        Base.metadata.create_all(connection)
        declared = schema(connection)
        Base.metadata.drop_all(connection)
    store.upgrade(empty)
    with reading(empty) as connection:
        migrated = schema(connection, triggers=False)
        partitioned = {"include_object": declared_only} if connection.dialect.name == "postgresql" else {}
        context = MigrationContext.configure(connection, opts=partitioned)
        assert compare_metadata(context, Base.metadata) == []
    assert migrated == declared
    assert set(declared) == set(Base.metadata.tables)


def test_tables_are_strict_on_sqlite(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    store.upgrade(engine)
    with reading(engine) as connection:
        strict = {row.name: row.strict for row in connection.execute(text("PRAGMA table_list"))}
    assert {name for name in Base.metadata.tables if strict[name] != 1} == set()
    engine.dispose()


def test_up_down_and_up_again_with_data(url: str, keys: KeyRing, draft: Maker) -> None:
    engine = open_engine(url)
    for revision in reversed(list(scripts().walk_revisions())):
        store.upgrade(engine, revision.revision)
        store.downgrade(engine, revision.down_revision or "base")  # type: ignore[arg-type]
        store.upgrade(engine, revision.revision)
    with reading(engine) as connection:
        before = describe(connection)
    log = Log(engine, keys)
    log.append([draft() for _ in range(3)])
    assert verify(engine, log.vkey).size == 3

    store.downgrade(engine, "base")
    assert store.current(engine) is None
    with reading(engine) as connection:
        assert table_names(connection) == set()
    with pytest.raises(NotMigrated, match="guard db upgrade"):
        store.require_current(engine)
    with pytest.raises(NotMigrated, match="guard db upgrade"):
        log.append([draft()])

    store.upgrade(engine)
    store.upgrade(engine)
    store.require_current(engine)
    with reading(engine) as connection:
        assert describe(connection) == before
    assert log.append([draft()])[0].seq == 0
    assert verify(engine, log.vkey).ok
    engine.dispose()


def test_subjects_are_filled_in_some_at_a_time(url: str, keys: KeyRing, draft: Maker) -> None:
    """Millions of leaves do not fit into memory."""
    engine = open_engine(url)
    log = Log(engine, keys)
    for start in range(0, 2500, 500):
        log.append([replace(draft(), bodies={}, subject=f"s:{number}") for number in range(start, start + 500)])
    log.append([Draft("check", None, {"text": '"subject"'})])
    store.downgrade(engine, "0003")
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    store.upgrade(engine)
    assert sum("log_entry.leaf" in statement for statement in statements) == 4  # three parts, and nothing left
    with reading(engine) as connection:
        subjects = connection.execute(select(LogEntry.subject).order_by(LogEntry.seq)).scalars().all()
    assert subjects == [*(f"s:{number}" for number in range(2500)), None]
    assert verify(engine, log.vkey).ok
    engine.dispose()


def test_partitions_are_made_of_the_tables_that_are_there_and_back(narrow: Engine, keys: KeyRing, draft: Maker) -> None:
    """Up and down with data in several partitions; rights that were given stay given."""
    if narrow.dialect.name == "sqlite":
        return
    with writing(narrow) as connection:
        connection.execute(text("DROP ROLE IF EXISTS reader"))
        connection.execute(text("CREATE ROLE reader"))
        connection.execute(text("GRANT SELECT ON log_entry, log_body TO reader"))
        connection.execute(text("GRANT UPDATE ON log_body TO PUBLIC"))
    log = Log(narrow, keys)
    for _ in range(3):
        log.append([draft() for _ in range(400)])
    before = verify(narrow, log.vkey)
    assert len(held(narrow)) >= 3

    def grants() -> set[tuple[str, ...]]:
        query = "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants"
        where = " WHERE table_name IN ('log_entry', 'log_body') AND grantee IN ('reader', 'PUBLIC')"
        with reading(narrow) as connection:
            return {tuple(row) for row in connection.execute(text(query + where))}

    given = {
        ("reader", "log_entry", "SELECT"), ("reader", "log_body", "SELECT"), ("PUBLIC", "log_body", "UPDATE")
    }  # fmt: skip
    assert grants() == given
    store.downgrade(narrow, "0004")
    assert (held(narrow), grants()) == ([], given)
    assert verify(narrow, log.vkey) == before
    store.upgrade(narrow)
    assert (held(narrow), grants()) == ([(0, WIDTH), (WIDTH, 2 * WIDTH)], given)
    log.append([draft() for _ in range(10)])
    assert verify(narrow, log.vkey, against=before.checkpoint).ok
    with pytest.raises(RecordError, match="append-only"), writing(narrow) as connection:
        connection.execute(text("UPDATE log_entry SET kind = 'x' WHERE seq = 7"))
    with writing(narrow) as connection:
        connection.execute(text("DROP OWNED BY reader"))
        connection.execute(text("DROP ROLE reader"))


def held(engine: Engine) -> list[tuple[int, int]]:
    with reading(engine) as connection:
        return [(it.first, it.beyond) for it in partitions(connection)]


def test_a_failing_migration_changes_nothing(empty: Engine) -> None:
    with writing(empty) as connection:
        connection.execute(text("CREATE TABLE review_case (x INTEGER)"))
        before = schema(connection), table_names(connection)
    with pytest.raises(RecordError):
        store.upgrade(empty)
    with reading(empty) as connection:
        assert (schema(connection), table_names(connection)) == before
    assert store.current(empty) is None


def test_several_callers_may_migrate_at_once(empty: Engine) -> None:
    def work() -> None:
        engine = open_engine(empty.url.render_as_string(hide_password=False))
        try:
            store.upgrade(engine)
        finally:
            engine.dispose()

    at_once(work)
    store.require_current(empty)


def test_unknown_revisions_are_a_configuration_error(empty: Engine) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        store.upgrade(empty, "nonsense")
    with pytest.raises(ConfigError, match="nonsense"):
        store.downgrade(empty, "nonsense")


def test_a_newer_database_is_refused(url: str) -> None:
    engine = open_engine(url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NotMigrated, match=f"revision 9999, this version needs {store.HEAD}"):
        store.require_current(engine)
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_entry SET kind = 'x'",
        "UPDATE log_entry SET leaf = leaf",
        "DELETE FROM log_entry",
        "TRUNCATE log_entry CASCADE",
        "REPLACE INTO log_entry SELECT * FROM log_entry",
    ],
)
def test_entries_are_append_only(log: Log, statement: str) -> None:
    unknown = "TRUNCATE" if log.engine.dialect.name == "sqlite" else "REPLACE"
    if statement.startswith(unknown):
        return
    log.append([Draft("check", "r", {})])
    with pytest.raises(RecordError, match="append-only"), writing(log.engine) as connection:
        connection.execute(text(statement))
    with reading(log.engine) as connection:
        assert connection.execute(select(LogEntry.kind)).scalars().all() == ["check"]


def test_triggers_are_gone_after_the_downgrade(empty: Engine) -> None:
    with reading(empty) as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
        if empty.dialect.name == "sqlite":
            assert connection.execute(text("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'")).scalar() == 0
        else:
            functions = text("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
            assert connection.execute(functions).scalar() == 0


def test_migrating_works_from_any_folder_and_with_odd_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "50% of all, ünïcode"
    monkeypatch.chdir(tmp_path)
    engine = open_engine(f"sqlite:///{folder}/guard.db")
    store.upgrade(engine)
    assert store.current(engine) == store.HEAD
    assert (folder / "guard.db").exists()
    engine.dispose()


def test_entries_in_the_inbox_are_not_dropped(empty: Engine) -> None:
    store.upgrade(empty, "0002")
    with writing(empty) as connection:
        row = text("INSERT INTO log_inbox VALUES ('i', 'check', 't', NULL, NULL, NULL, :none, :none)")
        connection.execute(row, {"none": b""})
    with pytest.raises(ConfigError, match="cannot downgrade to '0001': the inbox holds entries"):
        store.downgrade(empty, "0001")
    assert store.current(empty) == "0002"
