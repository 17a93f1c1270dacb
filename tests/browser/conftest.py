"""A real Chromium on the real server: one server, one browser and one record for all; a fresh context for each test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import seed

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
START = """
import sys, typer
from guard.cli.dashboard import register
app = typer.Typer()
app.callback()(lambda: None)
register(app)
app()
"""


def chromium_path() -> str | None:
    """The Chromium of this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Three weeks of work and a full queue."""
    made = seed.weeks(tmp_path_factory.mktemp("record"))
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def server(record: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard as `guard dashboard` starts it; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "server.log"
    command = [sys.executable, "-c", START, "dashboard", "--port", str(port), "--no-browser"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env={**os.environ, **record.env, "HOME": str(log.parent)},
            cwd=log.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the dashboard did not start:\n{log.read_text('utf-8')}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page tried that it should not, and every response."""

    off: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def note(self, url: str, server: str) -> None:
        """Keep the address of a request that would leave the host."""
        if not url.startswith((server, server.replace("http", "ws", 1), "data:", "blob:")):
            self.off.append(url)


Open = Callable[..., Any]


@pytest.fixture
def visit(chromium: Any, server: str) -> Iterator[Open]:
    """Open a path as a reviewer. The page carries `watch`, and `go` for further paths; what leaves the host is noted."""
    contexts = []

    def make(path: str = "/", *, name: str = "Ada Larsen", scheme: str = "light") -> Any:
        context = chromium.new_context(
            viewport={"width": 1280, "height": 900}, color_scheme=scheme, timezone_id="Europe/Berlin"
        )
        contexts.append(context)
        context.set_default_timeout(30_000)
        if name:
            context.add_cookies([{"name": "guard_reviewer", "value": quote(name), "url": server}])
        page = context.new_page()
        page.watch = watch = Watch()

        # Listening is enough: the browser resolves no other host. Intercepting would switch its cache off.
        context.on("request", lambda it: watch.note(it.url, server))
        page.on("console", lambda it: watch.refused.append(it.text) if "Content Security Policy" in it.text else None)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on("websocket", lambda it: it.on("framereceived", lambda data: watch.bodies.append(str(data))))

        def go(path: str) -> None:
            page.goto(server + path)
            settled(page)

        page.go = go
        go(path)
        return page

    yield make
    for context in contexts:
        context.close()


def settled(page: Any) -> None:
    """Wait until the script has run and the widgets, which come as separate files, are there."""
    from playwright.sync_api import expect

    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", state="attached")
    waiting = page.locator("[data-stale=true], [data-testid=stSkeleton], [data-testid=stAppSkeleton]")
    expect(waiting).to_have_count(0, timeout=30_000)


@pytest.fixture
def still() -> Callable[[Any], None]:
    """`settled`, for tests."""
    return settled


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: GUARD_SHOTS, or a folder that is thrown away."""
    given = os.environ.get("GUARD_SHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
