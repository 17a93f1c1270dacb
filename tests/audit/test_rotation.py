"""The log's key changes: old and new sign side by side, the record says so, and a verifier with the first key follows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from typer.testing import CliRunner

from guard.audit.checkpoint import NoteSigner, open_checkpoint, split_note
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.audit.receipt import verify_receipt
from guard.audit.rotation import Trust, add_key, log_signer, log_vkeys, retire
from guard.audit.verify import verify
from guard.cli import audit
from guard.errors import ConfigError, EvidenceError, KeyFileError, NoteError, WitnessError
from guard.keys import KeyRing
from guard.store.engine import reading
from guard.store.tables import LogCheckpoint
from guard.types import WitnessSpec

Maker = Callable[..., Draft]


def run(*words: str) -> str:
    result = CliRunner().invoke(audit.app, list(words))
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture
def home(url: str, keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command line works on the same database and keys as the fixtures."""
    monkeypatch.setenv("GUARD_STORE", url)
    monkeypatch.setenv("GUARD_HOME", str(keys.folder.parent))
    return keys.folder.parent


def signatures(note: str) -> int:
    return len(split_note(note)[1])


def test_a_verifier_with_the_first_key_follows_the_rotations(
    engine: Engine, keys: KeyRing, home: Path, draft: Maker, tmp_path: Path
) -> None:
    log = Log(engine, keys)
    log.append([draft() for _ in range(3)])
    oldest, first = run("checkpoint"), log.vkey
    (tmp_path / "first").write_text(first + "\n")
    for number in range(2, 4):
        run("rotate-key")
        log = Log(engine, keys)
        assert (log.vkey, len(log.vkeys)) == (first, number)
        assert run("key").split() == log.vkeys
        overlap = log.append([draft()])[0].receipt
        assert signatures(overlap.checkpoint) == 2
        for vkey in log.vkeys[-2:]:
            verify_receipt(overlap, vkey)
        run("rotate-key", "--finish")
        assert [path.name for path in keys.folder.glob("log*.pem")] == [f"log-{number}.pem"]
        alone = Log(engine, keys).append([draft()])[0].receipt
        assert signatures(alone.checkpoint) == 1
        verify_receipt(alone, log.vkeys)
        with pytest.raises(NoteError):
            verify_receipt(alone, first)
        for against in (None, oldest, overlap.checkpoint, alone.checkpoint):
            report = verify(engine, first, against=against, vault=log.vault)
            assert report.problems == ()
        (tmp_path / "proof").write_text(run("proof", "0", "--json"))
        assert json.loads((tmp_path / "proof").read_text())["vkey"] == log.vkeys[-1]
        assert "holds" in run("verify-receipt", str(tmp_path / "proof"))
        run("verify", "--key", str(tmp_path / "first"))
        run("export", str(tmp_path / f"out{number}"))
        assert (tmp_path / f"out{number}" / "key").read_text().split() == log.vkeys
    assert not verify(engine, log.vkeys[-1]).ok  # who starts from a later key cannot vouch for what came before it
    entries = [entry.fields for entry in Reader(engine).latest(kind="key")][::-1]
    assert [(entry["role"], entry["old"], entry["new"]) for entry in entries] == [
        ("log", log.vkeys[0], log.vkeys[1]),
        ("log", log.vkeys[1], log.vkeys[2]),
    ]
    assert entries[0]["from"] == 3
    assert {path.stat().st_mode & 0o077 for path in keys.folder.iterdir()} == {0}


def test_the_checkpoint_over_a_rotation_is_kept(engine: Engine, keys: KeyRing, home: Path, draft: Maker) -> None:
    Log(engine, keys).append([draft()])
    run("rotate-key")
    run("rotate-key", "--finish")
    for _ in range(3):
        Log(engine, keys).append([draft()])
    with reading(engine) as connection:
        rows = connection.execute(select(LogCheckpoint.size, LogCheckpoint.note))
        notes = {row.size: row.note for row in rows}
    assert sorted(notes) == [2, 5]
    assert open_checkpoint(notes[2], log_vkeys(keys, "genguard")[0]).size == 2


def test_a_key_that_the_record_does_not_announce_is_not_followed(engine: Engine, keys: KeyRing, draft: Maker) -> None:
    log = Log(engine, keys)
    log.append([draft()])
    add_key(keys)
    retire(keys)
    Log(engine, keys).append([draft()])
    report = verify(engine, log.vkey)
    assert not report.ok
    assert any("is not signed by this log" in problem.what for problem in report.problems)


def test_a_thief_of_the_database_cannot_announce_a_key(
    engine: Engine, keys: KeyRing, draft: Maker, tmp_path: Path
) -> None:
    """Only a checkpoint by a key that was trusted before can introduce another."""
    log = Log(engine, keys)
    log.append([draft()])
    thief = Log(engine, KeyRing(tmp_path / "thief"))
    thief.append([Draft("key", None, {"role": "log", "old": log.vkey, "new": thief.vkey, "from": 1})])
    thief.append([draft()])
    report = verify(engine, log.vkey)
    assert not report.ok


def test_an_announcement_counts_only_under_a_signature_and_for_this_log(keys: KeyRing, tmp_path: Path) -> None:
    first = log_vkeys(keys, "genguard")[0]
    second = log_vkeys(KeyRing(tmp_path / "b"), "genguard")[0]
    other = log_vkeys(KeyRing(tmp_path / "c"), "another")[0]
    good = {"kind": "key", "role": "log", "old": first, "new": second}
    trust = Trust(first)
    for wrong in (
        {"kind": "check"},
        {"role": "vault"},
        {"old": second},
        {"old": [first]},
        {"new": other},
        {"new": "x"},
        {"new": 3},
    ):
        trust.entry(0, good | wrong)
    trust.signed(10)
    assert trust.vkeys == [first]
    trust.entry(10, good)
    trust.signed(10)
    assert trust.vkeys == [first]
    trust.signed(11)
    trust.signed(12)
    assert trust.vkeys == [first, second]


def test_an_interrupted_rotation_is_taken_up_again(engine: Engine, keys: KeyRing, home: Path, draft: Maker) -> None:
    Log(engine, keys).append([draft()])
    keys.signing_key("log-2")  # made, and then the power failed
    with pytest.raises(ConfigError, match="no rotation is under way"):
        run("rotate-key", "--finish")
    add_key(keys)  # noted, and then it failed again
    assert len(log_vkeys(keys, "genguard")) == 2
    Log(engine, keys).append([draft()])  # whoever starts now signs with both, and verifiers see the old signature
    with pytest.raises(ConfigError, match="no rotation is under way"):
        run("rotate-key", "--finish")
    run("rotate-key")
    assert len(log_vkeys(keys, "genguard")) == 2
    run("rotate-key", "--finish")
    Log(engine, keys).append([draft()])
    assert verify(engine, log_vkeys(keys, "genguard")[0]).ok


def test_the_list_of_keys_is_on_the_disk_with_its_name(keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    log_vkeys(keys, "genguard")
    flushed: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    add_key(keys)
    assert flushed[-2:] == [(keys.folder / "log.keys").stat().st_ino, keys.folder.stat().st_ino]


def test_a_witness_folder_follows(
    engine: Engine, keys: KeyRing, home: Path, draft: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = WitnessSpec(str(home / "elsewhere"))
    monkeypatch.setenv("GUARD_WITNESS", spec.where)
    Log(engine, keys, witness=spec).append([draft()])
    run("rotate-key")
    run("rotate-key", "--finish")
    log = Log(engine, keys, witness=spec)
    log.append([draft()])
    assert log.publish().size == 3
    assert "cosigned 3 entries" in run("witness")
    stranger = Log(engine, KeyRing(home / "stranger"), witness=spec)
    with pytest.raises(WitnessError, match="a folder of its own"):
        stranger.append([draft()])


@pytest.mark.parametrize("text", ["", "AAAA\n", "not base64\n", "\xff\n"])
def test_damaged_key_folders_are_said_to_be(keys: KeyRing, text: str) -> None:
    log_vkeys(keys, "genguard")
    add_key(keys)
    (keys.folder / "log.keys").write_bytes(text.encode("latin-1"))
    with pytest.raises(KeyFileError, match="restore"):
        log_signer(keys, "genguard")


def test_a_signer_of_several_keys_signs_with_each(keys: KeyRing, tmp_path: Path) -> None:
    first, second = keys.signing_key("log"), KeyRing(tmp_path / "b").signing_key("log")
    note = NoteSigner("genguard", first, second).sign("text\n")
    assert signatures(note) == 2
    assert note.startswith(NoteSigner("genguard", first).sign("text\n"))
    with pytest.raises(EvidenceError):
        open_checkpoint(note, NoteSigner("genguard", first).vkey)
