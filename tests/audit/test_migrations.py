"""Migrations on both engines: they make exactly the declared schema, go up, down and up again, and fail as a whole."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select, text

from guard import bundled
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.verify import verify
from guard.errors import ConfigError, NotMigrated, RecordError
from guard.keys import KeyRing
from guard.store import engine as store
from guard.store.engine import open_engine, reading, writing
from guard.store.tables import Base, LogEntry

Maker = Callable[..., Draft]

POSTGRESQL_SCHEMA = """
    SELECT c.relname, 'column', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
           coalesce(pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT conrelid::regclass::text, 'constraint', conname, pg_get_constraintdef(oid), '', ''
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT tablename, 'index', indexname, indexdef, '', '' FROM pg_indexes WHERE schemaname = 'public'
"""


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(bundled.folder("migrations")))
    return ScriptDirectory.from_config(config)


def schema(connection: Connection) -> set[tuple[str, ...]]:
    """The whole schema as the database tells it, without Alembic's own table and the triggers."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT tbl_name, type, name, sql FROM sqlite_master WHERE type != 'trigger'"))
        found = {(row[0], row[1], row[2], normalised(row[3])) for row in rows}
    else:
        found = {tuple(row) for row in connection.execute(text(POSTGRESQL_SCHEMA))}
    return {row for row in found if row[0] != "alembic_version"}


def normalised(sql: str | None) -> str:
    """Definitions may come in another order and with other white space."""
    words = " ".join((sql or "").split())
    head, _, rest = words.partition("(")
    body, _, tail = rest.rpartition(")")
    parts = re.split(r", (?=[A-Z]|\w+ [A-Z])", body)
    return f"{head.strip()} ({'; '.join(sorted(part.strip() for part in parts))}) {tail.strip()}"


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
        assert schema(connection) == set()
        Base.metadata.create_all(connection)
        declared = schema(connection)
        Base.metadata.drop_all(connection)
    store.upgrade(empty)
    with reading(empty) as connection:
        migrated = schema(connection)
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert migrated == declared
    assert len({row[0] for row in declared}) == len(Base.metadata.tables)


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
        before = schema(connection)
    log = Log(engine, keys)
    log.append([draft() for _ in range(3)])
    assert verify(engine, log.vkey).size == 3

    store.downgrade(engine, "base")
    assert store.current(engine) is None
    with reading(engine) as connection:
        assert schema(connection) == set()
    with pytest.raises(NotMigrated, match="guard db upgrade"):
        store.require_current(engine)
    with pytest.raises(NotMigrated, match="guard db upgrade"):
        log.append([draft()])

    store.upgrade(engine)
    store.upgrade(engine)
    store.require_current(engine)
    with reading(engine) as connection:
        assert schema(connection) == before
    assert log.append([draft()])[0].seq == 0
    assert verify(engine, log.vkey).ok
    engine.dispose()


def test_a_failing_migration_changes_nothing(empty: Engine) -> None:
    with writing(empty) as connection:
        connection.execute(text("CREATE TABLE review_case (x INTEGER)"))
        before = schema(connection)
    with pytest.raises(RecordError):
        store.upgrade(empty)
    with reading(empty) as connection:
        assert schema(connection) == before
    assert store.current(empty) is None


def test_several_callers_may_migrate_at_once(empty: Engine) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        engine = open_engine(empty.url.render_as_string(hide_password=False))
        try:
            store.upgrade(engine)
        except BaseException as error:
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
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
