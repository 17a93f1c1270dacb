"""Witnesses: they sign only what extends what they signed before, and a log that went back stops."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from sqlalchemy import Engine, delete, insert, select
from typer.testing import CliRunner

from guard.audit import merkle
from guard.audit.checkpoint import ML_DSA_44, Checkpoint, NoteKey, NoteSigner, open_checkpoint, split_note
from guard.audit.cosign import cosignatures
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.publish import keep
from guard.audit.read import Reader
from guard.audit.receipt import verify_receipt
from guard.audit.verify import verify
from guard.audit.witness import Conflict, FileWitness, HttpWitness, Witness, open_witness, witness_vkeys
from guard.cli import audit
from guard.errors import ConfigError, WitnessError
from guard.keys import KeyRing
from guard.options import WitnessSpec
from guard.store.engine import open_engine, reading, writing
from guard.store.tables import LogCheckpoint, LogCosignature
from guard.types import Ack
from tests.audit.tlog_witness import NOW, TlogWitness, serving

Maker = Callable[..., Draft]


class Grown:
    """A log in memory: checkpoints and proofs of any two sizes."""

    def __init__(self, keys: KeyRing, leaves: Sequence[bytes], origin: str = "genguard") -> None:
        self.signer = NoteSigner(origin, keys.signing_key("log"))
        self.origin = origin
        self._hashes = [merkle.leaf_hash(leaf) for leaf in leaves]

    def note(self, size: int) -> str:
        tree = merkle.CompactRange()
        for hashed in self._hashes[:size]:
            tree.append(hashed)
        return self.signer.sign(Checkpoint(self.origin, size, tree.root()).text)

    def proof(self, old: int, size: int) -> list[bytes]:
        def read(level: int, index: int) -> bytes:
            return merkle.perfect_root(self._hashes[index << level : (index + 1) << level])

        return merkle.consistency_proof(old, size, read) if old else []


@pytest.fixture
def grown(keys: KeyRing) -> Grown:
    return Grown(keys, [b"leaf %d" % number for number in range(40)])


@pytest.fixture
def service() -> Iterator[TlogWitness]:
    with serving(TlogWitness()) as witness:
        yield witness


@pytest.fixture(params=["folder", "http"])
def spec(request: pytest.FixtureRequest, tmp_path: Path, keys: KeyRing) -> WitnessSpec:
    """A fresh witness of either kind that knows the log."""
    if request.param == "folder":
        return WitnessSpec(str(tmp_path / "elsewhere"))
    service: TlogWitness = request.getfixturevalue("service")
    service.know(NoteSigner("genguard", keys.signing_key("log")).vkey)
    return WitnessSpec(service.url, service.vkey)


@pytest.fixture
def witness(spec: WitnessSpec, grown: Grown) -> Witness:
    return open_witness(spec, grown.signer.vkey)


# --- the protocol, by either witness ---


def test_a_witness_follows_a_log_that_grows(witness: Witness, grown: Grown) -> None:
    assert witness.latest() is None
    old = 0
    for size in (0, 0, 1, 1, 7, 16, 17, 40):
        note = grown.note(size)
        line = witness.add_checkpoint(old, grown.proof(old, size), note)
        [(vkey, seconds)] = cosignatures(note + line, [witness.vkey])
        assert vkey == witness.vkey
        assert seconds >= NOW
        latest = witness.latest()
        assert latest is not None
        assert open_checkpoint(latest, grown.signer.vkey).size == size
        assert list(cosignatures(latest, [witness.vkey])) == [(vkey, seconds)]
        old = size


def test_a_witness_never_goes_back(witness: Witness, grown: Grown) -> None:
    witness.add_checkpoint(0, [], grown.note(20))
    for old, size in ((0, 10), (0, 30), (10, 30), (19, 20)):
        with pytest.raises(Conflict) as caught:
            witness.add_checkpoint(old, grown.proof(old, size), grown.note(size))
        assert caught.value.size == 20
    with pytest.raises(WitnessError):  # a proof cannot lead to fewer entries
        witness.add_checkpoint(20, [], grown.note(10))
    latest = witness.latest()
    assert latest is not None
    assert open_checkpoint(latest, grown.signer.vkey).size == 20


def test_a_witness_does_not_sign_a_fork(witness: Witness, grown: Grown, keys: KeyRing) -> None:
    witness.add_checkpoint(0, [], grown.note(20))
    other = Grown(keys, [b"another %d" % number for number in range(40)])
    for size, proof in ((30, other.proof(20, 30)), (30, grown.proof(20, 30)), (30, []), (20, [])):
        with pytest.raises(WitnessError, match="another history"):
            witness.add_checkpoint(20, proof, other.note(size))
    with pytest.raises(WitnessError, match="another history"):
        witness.add_checkpoint(20, grown.proof(20, 30)[:-1], grown.note(30))
    assert witness.add_checkpoint(20, grown.proof(20, 30), grown.note(30))


def test_a_witness_wants_the_logs_own_signature(witness: Witness, grown: Grown, tmp_path: Path) -> None:
    stranger = Grown(KeyRing(tmp_path / "stranger"), [b"x"])
    with pytest.raises(WitnessError):
        witness.add_checkpoint(0, [], stranger.note(1))
    with pytest.raises(WitnessError):
        witness.add_checkpoint(0, [], Grown(KeyRing(tmp_path / "stranger"), [b"x"], "another").note(1))
    assert witness.latest() is None


# --- the folder ---


def test_the_folder_is_private_and_remembers_over_restarts(tmp_path: Path, grown: Grown) -> None:
    folder = tmp_path / "deep" / "folder"
    first = FileWitness(folder, grown.signer.vkey)
    first.add_checkpoint(0, [], grown.note(3))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o077 for path in [folder, *files]} == {0}
    assert sorted(path.name for path in files) == ["checkpoint", "key", "lock", "witness.pem"]
    again = FileWitness(folder, grown.signer.vkey)
    assert (again.name, again.vkey) == (first.name, first.vkey)
    with pytest.raises(Conflict):
        again.add_checkpoint(0, [], grown.note(5))


def test_logs_of_other_origins_share_a_folder(tmp_path: Path, grown: Grown, keys: KeyRing) -> None:
    other = Grown(keys, [b"y"], "genguard-2")
    FileWitness(tmp_path, grown.signer.vkey).add_checkpoint(0, [], grown.note(3))
    FileWitness(tmp_path, other.signer.vkey).add_checkpoint(0, [], other.note(1))
    with pytest.raises(WitnessError, match="a folder of its own"):
        stranger = Grown(KeyRing(tmp_path / "stranger"), [b"x"])
        FileWitness(tmp_path, stranger.signer.vkey).add_checkpoint(0, [], stranger.note(1))


@pytest.mark.parametrize("change", ["size", "cut", "empty", "binary"])
def test_a_changed_folder_is_noticed(tmp_path: Path, grown: Grown, change: str) -> None:
    witness = FileWitness(tmp_path, grown.signer.vkey)
    witness.add_checkpoint(0, [], grown.note(3))
    [place] = tmp_path.glob("*/checkpoint")
    text = place.read_text()
    changed = {
        "size": text.replace("\n3\n", "\n2\n"),
        "cut": text.rpartition("\u2014 ")[0],
        "empty": "",
        "binary": "\xff",
    }
    place.write_text(changed[change], "latin-1" if change == "binary" else "utf-8")
    with pytest.raises(WitnessError):
        witness.add_checkpoint(3, grown.proof(3, 5), grown.note(5))


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path, grown: Grown) -> None:
    witness = FileWitness(tmp_path / "w", grown.signer.vkey)
    [state] = [tmp_path / "w" / name for name in [witness._place.name]]
    state.write_text("a file where a folder should be")
    with pytest.raises(WitnessError, match="GUARD_WITNESS"):
        witness.add_checkpoint(0, [], grown.note(1))


def test_of_many_at_once_each_step_is_signed_once(tmp_path: Path, grown: Grown) -> None:
    """Threads race from the same state: whoever is late must be told, and no size may be signed from an older state."""
    answers: list[tuple[int, int | str]] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        witness = FileWitness(tmp_path, grown.signer.vkey)
        start.wait()
        try:
            answers.append((number, witness.add_checkpoint(0, [], grown.note(number + 1))))
        except Conflict as conflict:
            answers.append((number, conflict.size))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [number for number, answer in answers if isinstance(answer, str)]
    assert {answer for _, answer in answers if isinstance(answer, int)} == {winner + 1}


# --- HTTP ---


def test_an_http_witness_needs_a_key_and_a_plain_url(service: TlogWitness, grown: Grown) -> None:
    with pytest.raises(ConfigError, match="GUARD_WITNESS_KEY"):
        open_witness(WitnessSpec(service.url), grown.signer.vkey)
    with pytest.raises(ConfigError, match="GUARD_WITNESS_KEY"):
        HttpWitness(service.url, grown.signer.vkey, grown.signer.vkey)
    for url in ("http://", "http://user:secret@host/", "http://host/?a=b"):
        with pytest.raises(ConfigError) as caught:
            HttpWitness(url, service.vkey, grown.signer.vkey)
        assert "secret" not in str(caught.value)
    with pytest.raises(WitnessError, match="guard audit key"):
        HttpWitness(service.url, service.vkey, grown.signer.vkey).add_checkpoint(0, [], grown.note(1))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"", "another key"),
        (200, b"\xff\n", "does not hold"),
        (200, b"nonsense\n", "does not hold"),
        (409, b"many\n", "without saying"),
        (409, b"-1\n", "without saying"),
        (302, b"", "HTTP 302"),
        (500, b"x" * 100_000, "HTTP 500"),
    ],
)
def test_a_bad_answer_is_no_cosignature(
    service: TlogWitness, grown: Grown, status: int, body: bytes, words: str
) -> None:
    service.know(grown.signer.vkey)
    service.answer = (status, body)
    with pytest.raises(WitnessError, match=words):
        HttpWitness(service.url, service.vkey, grown.signer.vkey).add_checkpoint(0, [], grown.note(1))
    assert len(service.requests) == 1


def test_a_cosignature_of_something_else_is_refused(service: TlogWitness, grown: Grown) -> None:
    service.know(grown.signer.vkey)
    for text, seconds in ((split_note(grown.note(2))[0], NOW), (split_note(grown.note(1))[0], 0)):
        service.answer = (200, service.cosign(text, seconds).encode())
        with pytest.raises(WitnessError, match="does not hold"):
            HttpWitness(service.url, service.vkey, grown.signer.vkey).add_checkpoint(0, [], grown.note(1))


def test_a_witness_that_is_away_is_said_to_be(grown: Grown, service: TlogWitness) -> None:
    away = HttpWitness("http://127.0.0.1:9/x", service.vkey, grown.signer.vkey)
    with pytest.raises(WitnessError, match="cannot be reached"):
        away.add_checkpoint(0, [], grown.note(1))


# --- the log ---


@pytest.fixture
def watched(engine: Engine, keys: KeyRing, spec: WitnessSpec) -> Log:
    return Log(engine, keys, witness=spec)


def signed_sizes(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return list(connection.execute(select(LogCosignature.size).order_by(LogCosignature.size)).scalars())


def test_witnessed_receipts_carry_the_cosigned_note(
    watched: Log, spec: WitnessSpec, draft: Maker, reader: Reader
) -> None:
    witness = open_witness(spec, watched.vkey)
    watched.append([draft()])
    assert signed_sizes(watched.engine) == []
    appended = watched.append([draft(), draft()], ack=Ack.WITNESSED)
    assert signed_sizes(watched.engine) == [3]
    for entry in appended:
        verify_receipt(entry.receipt, watched.vkey)
        assert [vkey for vkey, _ in cosignatures(entry.receipt.checkpoint, [witness.vkey])] == [witness.vkey]
    plain = watched.append([draft()])[0].receipt
    assert list(cosignatures(plain.checkpoint, [witness.vkey])) == []
    for seq, cosigned in (
        (0, 1),
        (2, 1),
        (3, 0),
    ):  # a receipt made later is under a cosigned checkpoint where there is one
        receipt = reader.receipt(seq)
        assert receipt is not None
        verify_receipt(receipt, watched.vkey)
        assert len(list(cosignatures(receipt.checkpoint, [witness.vkey]))) == cosigned
    late = watched.witnessed(3)
    verify_receipt(late, watched.vkey)
    assert list(cosignatures(late.checkpoint, [witness.vkey]))
    asked = watched.witnessed(3)
    assert asked == late  # the stored one is used again
    assert verify(watched.engine, watched.vkey, vault=watched.vault).ok


@pytest.mark.parametrize("line", ["\u2014 nobody AAAAAAAA\n", "nonsense", "right name, wrong signature"])
def test_a_row_that_somebody_wrote_does_not_stand_for_the_witness(
    watched: Log, spec: WitnessSpec, draft: Maker, line: str
) -> None:
    witness = open_witness(spec, watched.vkey)
    [entry] = watched.append([draft()])
    if line.startswith("right"):
        line = watched.publish().note.splitlines(keepends=True)[-1].replace("AAAA", "AAAB", 1)
    with writing(watched.engine) as connection:
        connection.execute(delete(LogCosignature))
        connection.execute(insert(LogCosignature), [{"size": 1, "witness": witness.name, "line": line}])
    receipt = watched.witnessed(entry.seq)
    assert list(cosignatures(receipt.checkpoint, [witness.vkey]))
    verify_receipt(receipt, watched.vkey)


def test_a_cosigned_checkpoint_is_never_thinned_out(watched: Log, draft: Maker) -> None:
    for number in range(6):
        watched.append([draft()], ack=Ack.WITNESSED if number in (1, 3) else Ack.SEQUENCED)
    with reading(watched.engine) as connection:
        sizes = list(connection.execute(select(LogCheckpoint.size).order_by(LogCheckpoint.size)).scalars())
    assert sizes == [2, 4, 6]
    assert signed_sizes(watched.engine) == [2, 4]


def test_a_checkpoint_that_was_thinned_out_while_the_witness_signed_comes_back(
    watched: Log, engine: Engine, draft: Maker
) -> None:
    watched.append([draft()])
    publisher = watched._witness()
    _, note, proof = publisher._submission(publisher._told)
    line = publisher.witness.add_checkpoint(publisher._told, proof, note)
    watched.append([draft()])  # replaces the checkpoint that is just being signed
    keep(engine, publisher.witness.name, note, line)
    with reading(engine) as connection:
        assert list(connection.execute(select(LogCheckpoint.size).order_by(LogCheckpoint.size)).scalars()) == [1, 2]
    assert verify(engine, watched.vkey).ok
    assert watched.publish().size == 2


def test_without_a_witness_nothing_waits_for_one(log: Log, draft: Maker) -> None:
    with pytest.raises(ConfigError, match="GUARD_WITNESS"):
        log.append([draft()], ack=Ack.WITNESSED)
    with pytest.raises(ConfigError, match="GUARD_WITNESS"):
        log.publish()
    log.catch_up()
    assert Reader(log.engine).size() == 0


def test_threads_that_wait_share_questions_and_all_get_cosigned_receipts(
    watched: Log, spec: WitnessSpec, draft: Maker
) -> None:
    witness = open_witness(spec, watched.vkey)
    receipts = []

    def work() -> None:
        for _ in range(3):
            [entry] = watched.append([draft()], ack=Ack.WITNESSED)
            receipts.append(entry.receipt)

    def publish() -> None:
        for _ in range(6):
            sizes.append(watched.publish().size)

    sizes: list[int] = []
    threads = [threading.Thread(target=work) for _ in range(6)]
    threads += [threading.Thread(target=publish) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sizes) == 12
    assert sorted(receipt.entry for receipt in receipts) == list(range(18))
    for receipt in receipts:
        verify_receipt(receipt, watched.vkey)
        assert list(cosignatures(receipt.checkpoint, [witness.vkey]))
    assert verify(watched.engine, watched.vkey).ok


def test_two_writers_share_a_witness(engine: Engine, url: str, keys: KeyRing, spec: WitnessSpec, draft: Maker) -> None:
    """Each may find that the other has published more meanwhile, which is no roll-back."""
    logs = [Log(engine, keys, witness=spec), Log(open_engine(url), keys, witness=spec)]
    errors: list[BaseException] = []

    def work(log: Log) -> None:
        try:
            for _ in range(8):
                log.append([draft()], ack=Ack.WITNESSED)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logs[1].engine.dispose()
    assert errors == []
    assert verify(engine, logs[0].vkey).size == 16


# --- a log that went back ---


def cut(engine: Engine, keys: KeyRing, spec: WitnessSpec | None, draft: Maker, kept: int, lost: int) -> Log:
    """A log whose witness signed `kept + lost` entries and whose database was then put back to the first `kept`."""
    log = Log(engine, keys, witness=spec)
    for _ in range(kept):
        log.append([draft()])
    assert engine.url.database is not None
    with writing(engine) as connection:  # a SQLite file alone can be copied; the last WAL frames move into it
        connection.execute(delete(LogCosignature))
    engine.dispose()
    shutil.copy(engine.url.database, engine.url.database + ".old")
    if os.path.exists(engine.url.database + "-wal"):
        shutil.copy(engine.url.database + "-wal", engine.url.database + ".old-wal")
    for _ in range(lost):
        log.append([draft()])
    log.catch_up()
    engine.dispose()
    for suffix in ("", "-wal"):
        if os.path.exists(engine.url.database + ".old" + suffix):
            os.replace(engine.url.database + ".old" + suffix, engine.url.database + suffix)
        elif os.path.exists(engine.url.database + suffix):
            os.unlink(engine.url.database + suffix)
    if os.path.exists(engine.url.database + "-shm"):
        os.unlink(engine.url.database + "-shm")
    return log


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kept", [0, 3])
def test_a_restored_backup_refuses_to_go_on(
    engine: Engine, keys: KeyRing, spec: WitnessSpec, draft: Maker, kept: int
) -> None:
    log = cut(engine, keys, spec, draft, kept, 2)
    assert verify(engine, log.vkey).ok  # nothing inside the database can show it
    again = Log(engine, keys, witness=spec)
    for _ in range(2):
        with pytest.raises(WitnessError, match=rf"signed {kept + 2} entries .* has {kept}: .*GUARD_ORIGIN"):
            again.append([draft()])
    assert Reader(engine).size() == kept
    anew = Log(engine, keys)
    for _ in range(3):  # somebody goes on without the witness, and now has more entries than it signed
        anew.append([draft()])
    with pytest.raises(WitnessError, match="another history"):
        Log(engine, keys, witness=spec).append([draft()])


def test_a_log_that_is_longer_goes_on(engine: Engine, keys: KeyRing, spec: WitnessSpec, draft: Maker) -> None:
    log = Log(engine, keys, witness=spec)
    log.append([draft()], ack=Ack.WITNESSED)
    for _ in range(3):
        log.append([draft()])
    again = Log(engine, keys, witness=spec)
    assert again.append([draft()])[0].seq == 4
    assert signed_sizes(engine) == [1, 4]
    again.catch_up()
    again.catch_up()
    assert signed_sizes(engine) == [1, 4, 5]


def test_what_the_witness_did_not_sign_is_durable_and_said_to_be(
    engine: Engine, keys: KeyRing, service: TlogWitness, draft: Maker
) -> None:
    log = Log(engine, keys, witness=WitnessSpec(service.url, service.vkey))
    service.know(log.vkey)
    log.append([draft()], ack=Ack.WITNESSED)
    service.answer = (503, b"")
    with pytest.raises(WitnessError, match=r"HTTP 503.*yet the entry is durable"):
        log.append([draft()], ack=Ack.WITNESSED)
    assert log.append([draft()])[0].seq == 2  # what need not be witnessed goes on
    with pytest.raises(WitnessError, match="HTTP 503"):
        log.witnessed(1)
    service.answer = None
    verify_receipt(log.witnessed(1), log.vkey)


# --- the command ---


def test_the_command_shows_both_sides_and_cosigns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.environ["GUARD_HOME"])
    engine = open_engine(f"sqlite:///{home}/guard.db")
    from guard.store.engine import upgrade

    upgrade(engine)
    log = Log(engine, KeyRing(home / "keys"))
    log.append([Draft("check", None, {}) for _ in range(4)])
    with pytest.raises(ConfigError, match="GUARD_WITNESS"):
        run("witness")
    monkeypatch.setenv("GUARD_WITNESS", str(tmp_path / "w"))
    first = run("witness").splitlines()
    assert first[0].startswith("record   4 entries, root ")
    assert first[1] == "witness  nothing yet"
    assert first[2].startswith("cosigned 4 entries")
    assert first[2].endswith(" UTC")
    log.append([Draft("check", None, {})])
    data = json.loads(run("witness", "--json"))
    assert (data["before"], data["size"]) == (4, 5)
    assert list(cosignatures(data["checkpoint"], [data["vkey"]]))
    assert run("checkpoint") == data["checkpoint"]
    assert "signed by others under its checkpoints, and checked: 2\n" in run("verify")
    monkeypatch.delenv("GUARD_WITNESS")
    assert "not checked: 2; name them with --witness-key" in run("verify")
    assert "and checked: 2" in run("verify", "--witness-key", data["vkey"])
    assert json.loads(run("verify", "--json", "--witness-key", data["vkey"]))["vouched"] == 2
    engine.dispose()


def test_the_keys_of_a_configured_witness_are_known_without_making_any(tmp_path: Path, service: TlogWitness) -> None:
    assert witness_vkeys(None) == []
    assert witness_vkeys(WitnessSpec(str(tmp_path / "w"))) == []
    assert not (tmp_path / "w").exists()
    key = NoteSigner("genguard", KeyRing(tmp_path).signing_key("log")).vkey
    assert witness_vkeys(WitnessSpec(str(tmp_path / "w"))) == []
    assert [FileWitness(tmp_path / "w", key).vkey] == witness_vkeys(WitnessSpec(str(tmp_path / "w")))
    spec = WitnessSpec(service.url, f"{service.vkey} {TlogWitness().vkey}")  # it has changed its key
    assert witness_vkeys(spec)[0] == open_witness(spec, key).vkey == service.vkey
    assert len(witness_vkeys(spec)) == 2


def test_a_witness_over_http_may_sign_with_ml_dsa(service: TlogWitness, grown: Grown) -> None:
    private = MLDSA44PrivateKey.generate()
    key = NoteKey(service.name, ML_DSA_44, private.public_key().public_bytes_raw())
    text = split_note(grown.note(1))[0]
    service.answer = (200, (service.cosign(text) + key.line(text, private, NOW)).encode())
    line = HttpWitness(service.url, key.vkey, grown.signer.vkey).add_checkpoint(0, [], grown.note(1))
    assert list(cosignatures(grown.note(1) + line, [key.vkey])) == [(key.vkey, NOW)]


def run(*words: str) -> str:
    result = CliRunner().invoke(audit.app, list(words))
    if result.exception is not None:
        raise result.exception
    return result.output
