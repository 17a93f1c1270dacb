"""Drift is found and named, also where Alembic's own comparison sees nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from guard.cli import app
from guard.errors import NotMigrated, RecordError
from guard.store.engine import downgrade, open_engine, reading, upgrade, writing
from guard.store.partitions import WIDTH
from guard.store.schema import RIGHTS, describe, drift
from guard.store.tables import Base
from tests.conftest import copied, role

PART, NEXT = f"log_entry_0_{WIDTH}", f"log_entry_{WIDTH}_{2 * WIDTH}"


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/guard.db")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def postgres(template: Engine) -> Iterator[Engine]:
    with role(template, "stranger"), copied(template) as url:
        engine = open_engine(url)
        yield engine
        engine.dispose()


def test_what_the_migrations_make_has_no_drift(engine: Engine) -> None:
    assert drift(engine) == []
    with reading(engine) as connection:
        assert set(describe(connection).tables) == set(Base.metadata.tables)
    with writing(engine) as connection:  # what others keep beside it is nobody's business
        connection.execute(text("CREATE TABLE other (x INTEGER CHECK (x > 0))"))
    assert drift(engine) == []


def test_comparing_leaves_nothing_behind(postgres: Engine) -> None:
    drift(postgres)
    with reading(postgres) as connection:
        schemas = connection.execute(text("SELECT nspname FROM pg_namespace WHERE nspname = 'guard_check'")).all()
    assert schemas == []


def test_an_older_schema_is_compared_with_its_own_revision(engine: Engine) -> None:
    downgrade(engine, "0004")
    assert drift(engine) == []
    downgrade(engine, "base")
    with pytest.raises(NotMigrated, match="guard db upgrade"):
        drift(engine)


OPEN = "CREATE INDEX ix_review_case_open ON review_case (severity, deadline, id) WHERE state"
ONCE = "CREATE TABLE log_once ({}, CONSTRAINT pk_log_once PRIMARY KEY (request_id, kind))"
SQLITE = [
    ("DROP TRIGGER log_entry_no_update", ["log_entry: trigger log_entry_no_update is missing"]),
    (
        "DROP TRIGGER log_entry_no_delete; CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry BEGIN SELECT 1; END",
        ["log_entry: trigger log_entry_no_delete is not what the release defines"],
    ),
    (
        "CREATE TRIGGER quiet AFTER INSERT ON log_entry BEGIN DELETE FROM log_inbox; END",
        ["log_entry: trigger quiet should not be there"],
    ),
    (
        f"DROP INDEX ix_review_case_open; {OPEN} != 'open'",
        [f"review_case: index ix_review_case_open is \"{OPEN} != 'open'\" instead of \"{OPEN} != 'decided'\""],
    ),
    ("DROP INDEX ix_log_entry_kind_seq", ["log_entry: index ix_log_entry_kind_seq is missing"]),
    (
        "DROP TABLE log_once; "
        + ONCE.format("request_id TEXT NOT NULL CHECK (request_id != ''), kind TEXT NOT NULL, id TEXT NOT NULL")
        + " STRICT",
        ["log_once: column request_id is \"TEXT NOT NULL CHECK (request_id != '')\" instead of 'TEXT NOT NULL'"],
    ),
    (
        "DROP TABLE log_once; " + ONCE.format("kind TEXT NOT NULL, request_id TEXT NOT NULL, id TEXT"),
        ["log_once: column id is 'TEXT' instead of 'TEXT NOT NULL'", "log_once: table is '' instead of 'STRICT'"],
    ),
    ("DROP TABLE log_cosignature", ["log_cosignature: is missing"]),
    ("ALTER TABLE log_tile ADD COLUMN more TEXT", ["log_tile: column more should not be there"]),
]


@pytest.mark.parametrize(("change", "said"), SQLITE)
def test_drift_on_sqlite_is_named(lite: Engine, change: str, said: list[str]) -> None:
    raw = lite.raw_connection()
    raw.driver_connection.executescript(change)  # type: ignore[union-attr]
    raw.close()
    assert drift(lite) == said


def test_a_file_that_others_may_write_is_named(lite: Engine, tmp_path: Path) -> None:
    (tmp_path / "guard.db").chmod(0o664)
    [line] = drift(lite)
    assert "may be written by others" in line


GUARD = (
    "CREATE TRIGGER log_entry_no_truncate BEFORE TRUNCATE ON log_entry"
    " FOR EACH STATEMENT EXECUTE FUNCTION log_entry_append_only()"
)
POSTGRESQL = [
    (
        "DROP TRIGGER log_entry_no_change ON log_entry",
        [f"{table}: trigger log_entry_no_change is missing" for table in ("log_entry", PART, NEXT)],
    ),
    (f"DROP TRIGGER log_entry_no_truncate ON {PART}", [f"{PART}: trigger log_entry_no_truncate is missing"]),
    (
        f"ALTER TABLE {PART} DISABLE TRIGGER log_entry_no_truncate",
        [f"{PART}: trigger log_entry_no_truncate is {GUARD + ', switched off'!r} instead of {GUARD!r}"],
    ),
    (
        "ALTER TABLE log_entry ENABLE REPLICA TRIGGER log_entry_no_truncate",
        ["log_entry: trigger log_entry_no_truncate is", "for replicas only"],
    ),
    (
        "CREATE OR REPLACE FUNCTION log_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$",
        ["function: log_entry_append_only() is not what the release defines"],
    ),
    (
        "ALTER FUNCTION log_make_room() RESET search_path",
        ["function: log_make_room() is not what the release defines"],
    ),
    ("ALTER FUNCTION log_make_room() OWNER TO stranger", ["function: log_make_room() is not what the release defines"]),
    ("DROP FUNCTION log_make_room()", ["function: log_make_room() is missing"]),
    (
        "ALTER TABLE review_case ADD CONSTRAINT ck CHECK (severity > 0)",
        ["review_case: constraint ck should not be there"],
    ),
    (
        f"DROP INDEX ix_review_case_open; {OPEN} <> 'open'",
        ["review_case: index ix_review_case_open is", "'open'", "instead of", "'decided'"],
    ),
    ("ALTER TABLE log_body ALTER role DROP NOT NULL", None),
    (
        "ALTER TABLE log_checkpoint ALTER note DROP NOT NULL",
        ["log_checkpoint: column note is 'text' instead of 'text NOT NULL'"],
    ),
    (
        "ALTER TABLE log_tile ALTER idx TYPE integer",
        ["log_tile: column idx is 'integer NOT NULL' instead of 'bigint NOT NULL'"],
    ),
    ("ALTER TABLE log_once SET UNLOGGED", ["log_once: table is 'r u' instead of 'r p'"]),
    ("ALTER TABLE log_tile ENABLE ROW LEVEL SECURITY", ["log_tile: table is 'r p row security' instead of 'r p'"]),
    ("CREATE POLICY hide ON log_tile USING (idx > 5)", ["log_tile: policy hide should not be there"]),
    (
        "CREATE RULE quiet AS ON DELETE TO log_checkpoint DO INSTEAD NOTHING",
        ["log_checkpoint: rule quiet should not be there"],
    ),
    (f"DROP INDEX uq_{PART}_id", [f"{PART}: index CREATE UNIQUE INDEX ON USING btree (id) is missing"]),
    (f"ALTER TABLE {PART} ADD CHECK (seq > 5)", [f"{PART}: constraint CHECK ((seq > 5)) should not be there"]),
    (f"ALTER TABLE log_entry DETACH PARTITION {PART}", ["log_entry: there is no partition for the entries from 0 on"]),
    (
        f"ALTER TABLE log_body DETACH PARTITION log_body_{WIDTH}_{2 * WIDTH}; DROP TABLE log_body_0_{WIDTH} CASCADE",
        ["log_body: there is no partition for new entries: run  guard db upgrade"],
    ),
    ("GRANT DELETE ON log_entry TO stranger", ["log_entry: stranger has the right DELETE: revoke it"]),
    (f"GRANT UPDATE ON {NEXT} TO stranger", [f"{NEXT}: stranger has the right UPDATE: revoke it"]),
    ("GRANT UPDATE (leaf) ON log_entry TO PUBLIC", ["log_entry: everybody has the right UPDATE: revoke it"]),
    ("GRANT TRUNCATE ON log_body TO stranger", ["log_body: stranger has the right TRUNCATE: revoke it"]),
    (
        "ALTER ROLE stranger SET session_replication_role = 'replica'",
        ["triggers do not run for stranger: reset session_replication_role"],
    ),
]


@pytest.mark.parametrize(("change", "said"), POSTGRESQL)
def test_drift_on_postgresql_is_named(postgres: Engine, change: str, said: list[str] | None) -> None:
    if said is None:  # the database itself refuses
        with pytest.raises(RecordError), writing(postgres) as connection:
            connection.exec_driver_sql(change)
        return
    with writing(postgres) as connection:
        connection.exec_driver_sql(change)
    found = drift(postgres)
    if all(":" in line for line in said):
        wanted = [line for line in found if "_not_null" not in line]  # some servers have those as constraints as well
        assert wanted == said
    else:
        assert len(found) == 1
        assert all(part in found[0] for part in said)


def test_rights_that_a_service_needs_are_no_drift(postgres: Engine) -> None:
    with writing(postgres) as connection:
        for table, rights in RIGHTS.items():
            connection.execute(text(f"GRANT {', '.join(sorted(rights))} ON {table} TO stranger"))
        connection.execute(text(f"GRANT SELECT, INSERT ON {PART}, alembic_version TO stranger"))
    assert drift(postgres) == []
    url = postgres.url.set(username="stranger").render_as_string(hide_password=False)
    service = open_engine(url)
    with pytest.raises(RecordError, match="owner's URL"):
        drift(service)
    service.dispose()


def test_the_command_names_what_differs(lite: Engine, tmp_path: Path) -> None:
    options = ["--store", f"sqlite:///{tmp_path}/guard.db"]
    done = CliRunner().invoke(app, ["db", "check", *options])
    assert done.exit_code == 0, done.output
    assert "the schema is that of revision" in done.output
    downgrade(lite, "0004")
    done = CliRunner().invoke(app, ["db", "check", *options])
    assert done.exit_code != 0
    upgrade(lite)
    with writing(lite) as connection:
        connection.execute(text("DROP TRIGGER log_entry_no_delete"))
    done = CliRunner().invoke(app, ["db", "check", *options])
    assert done.exit_code == 1
    assert "log_entry: trigger log_entry_no_delete is missing" in done.output
    assert "NOT THAT OF THE RELEASE" in done.output
