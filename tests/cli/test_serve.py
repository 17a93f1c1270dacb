"""`guard serve`: started as a user starts it, asked over its socket, and closed to other machines unless told otherwise."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from guard.cli import app, serve
from guard.errors import MissingExtra


def test_it_answers_on_this_machine_only_until_it_is_ended(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "guard", "serve", "--port", str(port), "--home", str(tmp_path / "home")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                answer = httpx.post(f"http://127.0.0.1:{port}/inspect", content=b"a secret word", timeout=10)
                break
            except httpx.TransportError:
                assert time.monotonic() < end
                assert process.poll() is None
                time.sleep(0.1)
        assert (answer.status_code, answer.json()["verdict"]) == (200, "no_evidence")
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", headers={"host": "evil.example"}).status_code == 400
    finally:
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert b"secret" not in out + err
    assert b"http://127.0.0.1" in err
    assert not (tmp_path / "home" / "guard.db").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = CliRunner().invoke(app, ["serve"])
    assert isinstance(done.exception, MissingExtra)
    assert "gateway" in str(done.exception)


@pytest.mark.parametrize(
    ("address", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("host", False)]
)
def test_which_addresses_are_this_machine(address: str, local: bool) -> None:
    assert serve._is_local(address) is local
