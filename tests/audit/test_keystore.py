"""Keys are durable before they are used, private, the same for all processes, and gone for all once destroyed."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from guard.audit.keystore import LocalKeys
from guard.digest import sha256
from guard.errors import KeyFileError


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def made(store: LocalKeys, ref: str) -> bytes:
    key = store.key(ref, create=True)
    assert key is not None
    return key


def test_a_key_is_made_once_and_found_by_every_process(tmp_path: Path) -> None:
    one, two = LocalKeys(tmp_path / "s"), LocalKeys(tmp_path / "s")
    assert two.key("s:a", create=False) is None
    assert not (tmp_path / "s").exists()  # asking makes nothing
    key = made(one, "s:a")
    assert key == one.key("s:a", create=False) == made(two, "s:a") != made(two, "s:b")
    assert (len(key), two.existing(["s:c", "s:a", "s:a"])) == (32, ["s:a"])
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "s").iterdir()} == {0o600}
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    assert b"s:a" not in files(tmp_path / "s")


def test_a_destroyed_key_is_in_no_file_and_in_no_memory(tmp_path: Path) -> None:
    one, two = LocalKeys(tmp_path), LocalKeys(tmp_path)
    keys = {f"s:{number}": made(one, f"s:{number}") for number in range(600)}
    gone = [f"s:{number}" for number in range(0, 600, 7)]
    assert [two.key(ref, create=False) for ref in gone] == [keys[ref] for ref in gone]  # in the memory of both
    one.destroy([*gone, "s:unknown"])
    data = files(tmp_path)
    for ref, key in keys.items():
        assert (key in data) is (ref not in gone)
        for store in (one, two, LocalKeys(tmp_path)):
            assert store.key(ref, create=False) == (None if ref in gone else key)
    assert made(two, gone[0]) != keys[gone[0]]


def test_another_process_destroys_a_key(tmp_path: Path) -> None:
    store = LocalKeys(tmp_path)
    made(store, "s:a")
    script = "import sys; from pathlib import Path; from guard.audit.keystore import LocalKeys;"
    script += "LocalKeys(Path(sys.argv[1])).destroy(['s:a'])"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert store.key("s:a", create=False) is None


def test_a_destruction_that_is_interrupted_lets_nobody_trust_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = LocalKeys(tmp_path), LocalKeys(tmp_path)
    made(one, "s:a"), made(two, "s:b")
    assert one.key("s:b", create=False) == two.key("s:b", create=False)
    count = LocalKeys._count

    def interrupted(self: LocalKeys, *, under_way: bool) -> None:
        if not under_way:
            raise KeyboardInterrupt
        count(self, under_way=under_way)

    monkeypatch.setattr(LocalKeys, "_count", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.destroy(["s:a"])
    monkeypatch.undo()
    for store in (one, two):
        assert store.key("s:a", create=False) is None
        key = store.key("s:b", create=False)
        two._write(two._file("s:b"), two._find("s:b")[0], bytes(64))  # a second one, killed at once
        assert store.key("s:b", create=False) is None
        two._write(two._file("s:b"), 0, sha256(b"s:b") + (key or b""))
    two.destroy(["s:a"])
    assert one.key("s:b", create=False) is not None
    assert one._known  # memory serves again


def test_keys_are_listed_without_the_destroyed_ones(tmp_path: Path) -> None:
    store = LocalKeys(tmp_path / "s")
    assert (list(store.each()), store.existing(["s:a"])) == ([], [])
    keys = {f"s:{number}": made(store, f"s:{number}") for number in range(600)}
    gone = [f"s:{number}" for number in range(0, 600, 7)]
    store.destroy(gone)
    rest = sorted(set(keys) - set(gone))
    assert sorted(store.each()) == sorted(keys[ref] for ref in rest)
    assert store.existing([*keys, "s:unknown"]) == rest


def test_racing_threads_agree_on_every_key(tmp_path: Path) -> None:
    seen: list[tuple[str, bytes]] = []

    def work() -> None:
        store = LocalKeys(tmp_path)
        seen.extend((ref, made(store, ref)) for ref in (f"s:{number}" for number in range(40)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 240
    assert len(set(seen)) == 40


def test_an_interrupted_append_is_overwritten(tmp_path: Path) -> None:
    store = LocalKeys(tmp_path)
    made(store, "s:a")
    [path] = tmp_path.glob("*.keys")
    with path.open("ab") as file:
        file.write(b"half a slot")
    other = next(ref for ref in (f"s:{number}" for number in range(10_000)) if store._file(ref) == path)
    key = made(store, other)
    assert path.stat().st_size == 128
    assert LocalKeys(tmp_path).key(other, create=False) == key


def test_files_that_others_can_read_are_refused(tmp_path: Path) -> None:
    made(LocalKeys(tmp_path), "s:a")
    [path] = tmp_path.glob("*.keys")
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        LocalKeys(tmp_path).key("s:a", create=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match="GUARD_HOME"):
        LocalKeys(tmp_path / "file" / "s").key("s:a", create=True)
