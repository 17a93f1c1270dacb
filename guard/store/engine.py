"""Engines and transactions, and schema migrations run from code."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, BindParameter, Connection, Engine, bindparam, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from guard import bundled
from guard.errors import ConfigError, MissingExtra, NotMigrated, RecordError
from guard.store.failure import explain, is_missing_table

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0008"  # the newest revision; a constant, so that a start does not import Alembic
LOCK_SECONDS = 30
_COMPACT_BELOW = 1 << 30  # bytes: some seconds of work, in which writers wait
_MIGRATION_LOCK = 0x67656E67  # any number will do, as long as every genguard process uses the same
_ALEMBIC = threading.Lock()  # Alembic keeps the migration that runs in a module of its own
_READING = "guard_reading"

_PRAGMAS = (
    "PRAGMA synchronous=FULL",  # a receipt must survive a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # erased content must not linger in free pages
    "PRAGMA recursive_triggers=ON",  # otherwise REPLACE deletes rows behind the append-only triggers
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
)


def open_engine(url: str, *, create: bool = True) -> Engine:
    """An engine for `sqlite:///file` or `postgresql://…`. Unless `create`, a missing SQLite file is an error.

    Transactions take SQLite's write lock at once; use `reading` for those that only read.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:  # its text quotes the URL, which may hold a password
        raise ConfigError("the store is not a database URL: use sqlite:///FILE or postgresql://…") from None
    name = parsed.drivername
    if name in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(parsed, create)
    if name in ("postgres", "postgresql", "postgresql+psycopg"):
        if importlib.util.find_spec("psycopg") is None:
            raise MissingExtra("A PostgreSQL store", "postgres")
        return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    raise ConfigError(f"the store cannot be {name!r}: use sqlite:///FILE or postgresql://…")


def _sqlite(url: URL, create: bool) -> Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": LOCK_SECONDS}, "hide_parameters": True}
    if url.database in (None, "", ":memory:"):  # for tests: one connection, one thread at a time
        options |= {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    elif not str(url.database).startswith("file:"):
        _prepare_file(Path(str(url.database)), create)
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _prepare_file(path: Path, create: bool) -> None:
    """Make the file and its folders readable by the owner only; SQLite gives the WAL the file's own mode."""
    if path.exists():
        return
    if not create:
        raise ConfigError(f"there is no database at {path}: check --store, or run  guard db upgrade")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise RecordError(f"cannot create {path}: {error.strerror}; check the store's path and permissions") from error


def _on_sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver's own mode starts no real transactions
    connection.text_factory = _tolerant  # invalid UTF-8 is evidence of tampering, to be reported and not to crash on
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error):  # a read-only copy can still be read
            raise
    except UnicodeDecodeError:  # SQLite's message quotes a schema that is no longer text
        raise sqlite3.DatabaseError("malformed database schema") from None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _tolerant(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _on_sqlite_begin(connection: Connection) -> None:
    # A deferred transaction that read first cannot become a writer while another commits; so writers lock at once.
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _postgresql(url: URL) -> Engine:
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=True)
    event.listen(engine, "connect", _on_postgresql_connect)
    return engine


def _on_postgresql_connect(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, false),"
            " CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END",
            (f"{LOCK_SECONDS}s",),
        )
    connection.commit()


@contextmanager
def snapshot(engine: Engine, shared: str | None = None) -> Iterator[Connection]:
    """One consistent view of the database, without locking anybody out; errors come as SQLAlchemy raises them.

    `shared` is another's view, as `share` names it.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            view = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            if shared is not None:
                name: BindParameter[str] = bindparam("name", shared, literal_execute=True)  # SET takes no parameters
                view.execute(text("SET TRANSACTION SNAPSHOT :name").bindparams(name))
            yield view
        else:
            yield connection.execution_options(**{_READING: True})


def share(connection: Connection) -> str | None:
    """A name by which other processes can have the same view while this one lasts; None where the database cannot do that."""
    if connection.dialect.name != "postgresql":
        return None
    return str(connection.execute(text("SELECT pg_export_snapshot()")).scalar_one())


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A `snapshot` whose failures are RecordErrors."""
    try:
        with snapshot(engine) as connection:
            yield connection
    except SQLAlchemyError as error:
        raise explain(error) from None


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that commits at the end of the block; failures are RecordErrors and leave nothing behind.

    But for a connection that is lost while it commits: then the error says that nobody knows.
    """
    committing = False
    try:
        with engine.begin() as connection:
            yield connection
            committing = True
    except SQLAlchemyError as error:
        raise explain(error, committing=committing) from None


def integrity(connection: Connection) -> list[str]:
    """What the database itself finds wrong with its pages and indexes (SQLite only; empty when sound)."""
    if connection.dialect.name != "sqlite":
        return []
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
    return [] if found == ["ok"] else found


def scrub(engine: Engine) -> bool:
    """Leave no copy of deleted values in a SQLite database's files; False where copies may be left for now.

    SQLite overwrites what is deleted, but not the copies that it leaves in an index when it splits a page. So the file is
    made anew or, where that would keep writers waiting for long, that index. A server's files are its own affair.
    """
    if engine.dialect.name != "sqlite":
        return True
    try:
        with engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            pages, size = (raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            raw.execute("VACUUM" if pages * size <= _COMPACT_BELOW else "REINDEX ix_log_body_lookup")
            busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error:
        return False
    return not busy


# --- migrations ----------------------------------------------------------------------------------------------------


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(bundled.folder("migrations")).replace("%", "%%"))
    return config


@contextmanager
def _migrating(engine: Engine) -> Iterator[Config]:
    """One transaction for all steps, so that a failed migration changes nothing; one migrating process at a time."""
    with _ALEMBIC, writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        yield config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up to `revision`. Safe to repeat, and to run from several processes at once."""
    from alembic import command
    from alembic.util import CommandError

    try:
        with _migrating(engine) as config:
            command.upgrade(config, revision)
    except CommandError as error:
        raise ConfigError(f"cannot upgrade to {revision!r}: {error}") from error


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema down to `revision`. What the dropped tables held is lost."""
    from alembic import command
    from alembic.util import CommandError

    try:
        with _migrating(engine) as config:
            command.downgrade(config, revision)
    except CommandError as error:
        raise ConfigError(f"cannot downgrade to {revision!r}: {error}") from error


def migrate(connection: Connection, revision: str) -> None:
    """Make the schema of `revision` in the transaction of `connection`, which the caller ends."""
    from alembic import command

    with _ALEMBIC:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def current(engine: Engine) -> str | None:
    """The schema's revision; None for a database without our tables."""
    try:
        with snapshot(engine) as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    except SQLAlchemyError as error:
        if is_missing_table(error):
            return None
        raise explain(error) from None


def require_current(engine: Engine) -> None:
    """Raise NotMigrated unless the schema is the one that this version works with."""
    found = current(engine)
    if found is None:
        raise NotMigrated("the database has no genguard tables yet: run  guard db upgrade")
    if found != HEAD:
        raise NotMigrated(
            f"the database is at revision {found}, this version needs {HEAD}: run  guard db upgrade"
            " (or install the genguard release that made it)"
        )
