"""The log's key changes: old and new sign side by side, the record says so, and a verifier with the first key follows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.backends.openssl.backend import backend
from sqlalchemy import Engine, select, update
from typer.testing import CliRunner

from guard.audit.checkpoint import (
    ED25519,
    ML_DSA_44,
    NoteKey,
    NoteSigner,
    open_checkpoint,
    parse_signature,
    split_note,
)
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.audit.receipt import verify_receipt
from guard.audit.rotation import add_keys, log_signer, log_vkeys, retire
from guard.audit.verify import verify
from guard.cli import audit, evidence
from guard.errors import (
    ConfigError,
    EvidenceError,
    KeyFileError,
    NoteError,
    OperationError,
    RecordError,
    WitnessError,
)
from guard.keys import KeyRing
from guard.options import Signatures, WitnessSpec
from guard.store.engine import reading, writing
from guard.store.tables import LogCheckpoint
from tests.audit.readers import verified

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
    assert [(entry["role"], entry.get("old"), entry.get("new"), entry.get("alone")) for entry in entries] == [
        ("log", log.vkeys[0], log.vkeys[1], None),
        ("log", None, None, log.vkeys[1:2]),
        ("log", log.vkeys[1], log.vkeys[2], None),
        ("log", None, None, log.vkeys[2:3]),
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
    assert sorted(notes) == [2, 3, 6]
    assert open_checkpoint(notes[2], log_vkeys(keys, "genguard")[0]).size == 2


def test_a_key_that_the_record_does_not_announce_is_not_followed(engine: Engine, keys: KeyRing, draft: Maker) -> None:
    log = Log(engine, keys)
    log.append([draft()])
    add_keys(keys, Signatures.ED25519)
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
    with pytest.raises(RecordError, match="not signed with a key of this key folder"):
        thief.append([draft()])
    thief._ours = True  # whoever steals a database does not run our checks
    thief.append([Draft("key", None, {"role": "log", "old": log.vkey, "new": thief.vkey, "from": 1})])
    thief.append([draft()])
    report = verify(engine, log.vkey)
    assert not report.ok


def test_an_interrupted_rotation_is_taken_up_again(engine: Engine, keys: KeyRing, home: Path, draft: Maker) -> None:
    Log(engine, keys).append([draft()])
    keys.signing_key("log-2")  # made, and then the power failed
    with pytest.raises(ConfigError, match="no rotation is under way"):
        run("rotate-key", "--finish")
    add_keys(keys, Signatures.ED25519)  # noted, and then it failed again
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
    add_keys(keys, Signatures.ED25519)
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
    assert log.publish().size == 4
    assert "cosigned 4 entries" in run("witness")
    stranger = Log(engine, KeyRing(home / "stranger"), witness=spec)
    with pytest.raises(WitnessError, match="a folder of its own"):
        stranger.append([draft()])


# --- ML-DSA-44 beside Ed25519 ---


def kinds(note: str) -> list[int]:
    """The kinds of the log's signatures, by their sizes."""
    return [{64: 1, 2428: 6}[len(parse_signature(line)[2])] for line in split_note(note)[1]]


def strip(engine: Engine, size: int) -> None:
    """Cut the ML-DSA line off a stored checkpoint."""
    with writing(engine) as connection:
        where = LogCheckpoint.size == size
        note = connection.execute(select(LogCheckpoint.note).where(where)).scalar_one()
        text, lines = split_note(note)
        assert kinds(note) == [1, 6]
        connection.execute(update(LogCheckpoint).where(where).values(note=f"{text}\n{lines[0]}\n"))


def test_a_log_that_begins_with_both_signs_with_both(engine: Engine, keys: KeyRing, home: Path, draft: Maker) -> None:
    log = Log(engine, keys, signatures=Signatures.BOTH)
    assert [NoteKey.parse(vkey).kind for vkey in log.vkeys] == [ED25519, ML_DSA_44]
    entry = log.append([draft()])[0]
    assert kinds(entry.receipt.checkpoint) == [1, 6]
    assert sorted(path.name for path in keys.folder.glob("log*")) == ["log.keys", "log.ml-dsa.pem", "log.pem"]
    assert {path.stat().st_mode & 0o077 for path in keys.folder.iterdir()} == {0}
    for trusted in (log.vkeys, log.vkeys[0], log.vkeys[1]):
        verify_receipt(entry.receipt, trusted)
        assert verified(engine, trusted, entry.receipt.checkpoint).ok
    again = Log(engine, keys)  # without the setting: what signed from the start goes on signing
    assert (again.vkeys, kinds(again.append([draft()])[0].receipt.checkpoint)) == (log.vkeys, [1, 6])
    assert run("key").split() == log.vkeys
    assert "holds" in run("verify")
    run("export", str(home / "out"))
    with pytest.raises(ConfigError, match="no rotation is under way"):
        run("rotate-key", "--finish")
    for lost in ("log.ml-dsa.pem", "log.pem"):  # it does not go on with what is left
        (keys.folder / lost).rename(keys.folder / "away")
        with pytest.raises(KeyFileError, match=f"{lost} is missing"):
            Log(engine, keys)
        (keys.folder / "away").rename(keys.folder / lost)


@pytest.mark.parametrize("size", [200, 300])
def test_a_stripped_ml_dsa_line_is_found(engine: Engine, keys: KeyRing, draft: Maker, size: int) -> None:
    log = Log(engine, keys, signatures=Signatures.BOTH)
    for count in (200, 100):
        log.append([draft() for _ in range(count)])
    strip(engine, size)
    report = verified(engine, log.vkeys)
    assert not report.ok
    assert all("no ML-DSA-44 signature" in str(problem) or "not covered" in str(problem) for problem in report.problems)
    assert f"at {size} entries" in str(report.problems[0])
    assert verified(engine, log.vkeys[0]).ok  # who knows only the other key sees nothing amiss
    receipt = Reader(engine).receipt(299)
    assert receipt is not None
    verify_receipt(receipt, log.vkeys[0])
    if size == 300:
        with pytest.raises(NoteError, match="no ML-DSA-44 signature"):
            verify_receipt(receipt, log.vkeys)


def test_a_log_gets_its_second_kind_by_a_rotation(
    engine: Engine, keys: KeyRing, home: Path, draft: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = Log(engine, keys)
    early = stale.append([draft() for _ in range(3)])[0].receipt
    monkeypatch.setenv("GUARD_SIGNATURES", "ed25519+ml-dsa-44")
    with pytest.raises(ConfigError, match="guard audit rotate-key"):
        Log(engine, keys, signatures=Signatures.BOTH)
    assert "new key genguard+" in run("rotate-key")
    assert sorted(path.name for path in keys.folder.glob("log*")) == ["log-2.ml-dsa.pem", "log.keys", "log.pem"]
    log = Log(engine, keys, signatures=Signatures.BOTH)
    first, safe = log.vkeys
    over = Reader(engine).checkpoint()
    assert kinds(log.append([draft()])[0].receipt.checkpoint) == kinds(over or "") == [1, 6]
    assert kinds(stale.append([draft()])[0].receipt.checkpoint) == [
        1
    ]  # not restarted yet: that is what the overlap is for
    assert verify(engine, first).ok
    assert "newest checkpoint" in str(verify(engine, log.vkeys).problems[0])  # which somebody could have stripped
    log.append([draft()])
    assert verify(engine, log.vkeys).ok
    run("rotate-key", "--finish")
    assert sorted(path.name for path in keys.folder.glob("log*")) == ["log-2.ml-dsa.pem", "log.keys", "log.pem"]
    with pytest.raises(RecordError, match="restart it; nothing was recorded"):
        stale.append([draft()])
    late = log.append([draft()])[0].receipt
    assert kinds(late.checkpoint) == [1, 6]
    for trusted in ([first], [first, safe]):
        for against in (None, early.checkpoint, late.checkpoint):
            assert verified(engine, trusted, against).problems == ()
    verify_receipt(late, log.vkeys)
    with pytest.raises(NoteError, match="no ML-DSA-44 signature"):
        verify_receipt(early, log.vkeys)
    assert run("verify-receipt", _file(home, run("proof", "0"))).startswith("holds")  # a newer proof of the same entry
    strip(engine, Reader(engine).size())
    for trusted in ([first], [first, safe]):  # the record itself has said since when both must sign
        assert not verified(engine, trusted).ok


def _file(home: Path, text: str) -> str:
    (home / "proof").write_text(text)
    return str(home / "proof")


def test_both_kinds_change_together(engine: Engine, keys: KeyRing, home: Path, draft: Maker) -> None:
    log = Log(engine, keys, signatures=Signatures.BOTH)
    log.append([draft()])
    born = log.vkeys
    run("rotate-key")
    assert kinds(Reader(engine).checkpoint() or "") == [1, 6, 1, 6]
    run("rotate-key", "--finish")
    assert sorted(path.name for path in keys.folder.glob("*.pem")) == ["log-2.ml-dsa.pem", "log-2.pem"]
    log = Log(engine, keys)
    assert (len(log.vkeys), log.vkeys[:2]) == (4, born)
    assert kinds(log.append([draft()])[0].receipt.checkpoint) == [1, 6]
    assert verified(engine, born).problems == ()
    assert verified(engine, born[0]).ok
    assert "holds" in run("verify")
    assert run("rotate-key", "--finish").startswith(
        "0 older private keys"
    )  # which says the same twice, and does no harm
    assert verify(engine, born).ok


def test_an_end_that_was_interrupted_is_finished(
    engine: Engine, keys: KeyRing, home: Path, draft: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    Log(engine, keys).append([draft()])
    run("rotate-key")
    monkeypatch.setattr(evidence, "retire", lambda _: 1 / 0)  # recorded, and then the power failed
    with pytest.raises(ZeroDivisionError):
        run("rotate-key", "--finish")
    monkeypatch.undo()
    monkeypatch.setenv("GUARD_STORE", engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("GUARD_HOME", str(home))
    assert run("rotate-key", "--finish").startswith("1 older private keys destroyed")
    assert len(Reader(engine).latest(kind="key")) == 2


def test_a_machine_without_the_algorithm_says_so(
    engine: Engine, keys: KeyRing, home: Path, draft: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(engine, keys, signatures=Signatures.BOTH)
    receipt = log.append([draft()])[0].receipt
    monkeypatch.setattr(backend, "mldsa_supported", lambda: False)
    verify_receipt(receipt, log.vkeys[0])  # Ed25519 needs nothing
    assert verify(engine, log.vkeys[0]).ok
    for attempt in (
        lambda: verify_receipt(receipt, log.vkeys),
        lambda: verify(engine, log.vkeys),
        lambda: KeyRing(home / "new").ml_dsa_key("log"),
        lambda: Log(engine, KeyRing(home / "new"), signatures=Signatures.BOTH),
    ):
        with pytest.raises(OperationError, match="cannot do ML-DSA-44"):
            attempt()
    result = CliRunner().invoke(audit.app, ["verify"])
    assert result.exit_code == audit.UNCHECKED


def test_an_ed25519_key_is_no_ml_dsa_key(keys: KeyRing) -> None:
    keys.signing_key("a")
    keys.ml_dsa_key("b")
    with pytest.raises(KeyFileError, match="not an ML-DSA-44 key"):
        keys.ml_dsa_key("a")
    with pytest.raises(KeyFileError, match="not an Ed25519 key"):
        keys.signing_key("b")


@pytest.mark.parametrize("text", ["", "AAAA\n", "not base64\n", "\xff\n"])
def test_damaged_key_folders_are_said_to_be(keys: KeyRing, text: str) -> None:
    log_vkeys(keys, "genguard")
    add_keys(keys, Signatures.ED25519)
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
