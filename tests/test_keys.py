"""Key files: private, agreed on by racing processes, refused when exposed."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from guard.errors import KeyFileError
from guard.keys import KeyRing


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys")
    assert ring.secret("a") == KeyRing(tmp_path / "keys").secret("a") != ring.secret("b")
    assert ring.signing_key("log").public_key() == ring.signing_key("log").public_key()
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "keys").iterdir()} == {0o600}
    assert sorted(file.name for file in (tmp_path / "keys").iterdir()) == ["a.key", "b.key", "log.pem"]


def test_racing_first_users_agree(tmp_path: Path) -> None:
    seen: list[bytes] = []
    threads = [threading.Thread(target=lambda: seen.append(KeyRing(tmp_path).secret("x"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 16
    assert len(set(seen)) == 1


def test_a_key_is_on_the_disk_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process flushes, in order: a power cut after that loses nothing."""
    flushed: list[tuple[int, set[str]]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        names = set(os.listdir(descriptor)) if stat.S_ISDIR(os.fstat(descriptor).st_mode) else set()
        flushed.append((os.fstat(descriptor).st_ino, names))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "home" / "keys"
    KeyRing(folder).secret("x")
    assert [inode for inode, _ in flushed] == [
        *(path.stat().st_ino for path in (folder.parent, tmp_path, folder / "x.key", folder))
    ]
    assert "keys" in flushed[0][1]
    assert "home" in flushed[1][1]
    assert "x.key" in flushed[3][1]
    flushed.clear()
    KeyRing(folder).secret("x")  # whoever made it a moment ago may not have got that far
    assert [inode for inode, _ in flushed] == [folder.stat().st_ino]
    flushed.clear()
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 3600)
    KeyRing(folder).secret("x")
    assert flushed == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    KeyRing(tmp_path).secret("x")
    (tmp_path / "x.key").chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        KeyRing(tmp_path).secret("x")


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_refused_and_not_replaced(tmp_path: Path, data: bytes) -> None:
    for name in ("x.key", "log.pem"):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    with pytest.raises(KeyFileError, match="restore it"):
        KeyRing(tmp_path).secret("x")
    with pytest.raises(KeyFileError, match="restore it"):
        KeyRing(tmp_path).signing_key("log")
    assert (tmp_path / "x.key").read_bytes() == data


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KeyFileError, match="check"):
        KeyRing(tmp_path / "file" / "keys").secret("x")
