"""The watch over the network really bites, here and in processes that tests start."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): nobody is there, should the watch fail


def take(log: Path) -> str:
    """What was noted, taken back: these attempts were meant."""
    noted = log.read_text("utf-8")
    log.unlink()
    return noted


def test_a_connection_to_elsewhere_is_refused_and_noted(network_log: Path) -> None:
    with socket.socket() as sock, pytest.raises(PermissionError, match="stay on this machine"):
        sock.connect((ELSEWHERE, 9))
    with pytest.raises(PermissionError):
        socket.getaddrinfo("elsewhere.example", 443)
    assert ELSEWHERE in (noted := take(network_log))
    assert "elsewhere.example" in noted


def test_a_process_started_by_a_test_is_watched_too(network_log: Path) -> None:
    script = f"import socket; socket.socket().connect(({ELSEWHERE!r}, 9))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr
    assert ELSEWHERE in take(network_log)


def test_loopback_and_unix_sockets_are_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))
