"""RFC 3161 time stamps over checkpoints, by an authority on this machine."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update
from typer.testing import CliRunner

from guard.audit.checkpoint import Checkpoint, NoteKey, NoteSigner, open_checkpoint, own_note, split_note
from guard.audit.cosign import cosignatures
from guard.audit.draft import Draft
from guard.audit.export import export
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.audit.receipt import verify_receipt
from guard.audit.timestamp import Anchors, Authority, answer_in, stamps
from guard.audit.vouched import Known
from guard.audit.witness import witness_vkeys
from guard.cli import audit
from guard.errors import ConfigError, EvidenceError, MissingExtra, NoteError, TimestampError
from guard.keys import KeyRing
from guard.options import AuthoritySpec, WitnessSpec
from guard.store.engine import open_engine, reading, upgrade, writing
from guard.store.tables import LogCheckpoint, LogCosignature
from guard.types import Ack
from tests.audit.readers import verified
from tests.audit.tsa import NOW, Tsa, pem, serving

Maker = Callable[..., Draft]
TEXT = Checkpoint("genguard", 5, bytes(32)).text


@pytest.fixture
def tsa() -> Iterator[Tsa]:
    with serving(Tsa()) as authority:
        yield authority


def spec_for(tsa: Tsa, folder: Path, *, required: bool = True) -> AuthoritySpec:
    (folder / "tsa.pem").write_bytes(pem(tsa.root))
    return AuthoritySpec(tsa.url, folder / "tsa.pem", required)


@pytest.fixture
def spec(tsa: Tsa, tmp_path: Path) -> AuthoritySpec:
    return spec_for(tsa, tmp_path)


@pytest.fixture
def note(keys: KeyRing) -> str:
    return NoteSigner("genguard", keys.signing_key("log"), keys.ml_dsa_key("safe")).sign(TEXT)


# --- the format ---


def test_a_stamp_is_one_more_line_of_the_note(tsa: Tsa, spec: AuthoritySpec, note: str, keys: KeyRing) -> None:
    authority = Authority(spec)
    line = authority.stamp(note)
    assert authority.name == f"rfc3161/127.0.0.1:{tsa.url.split(':')[2]}"
    assert list(stamps(note + line, authority.anchors)) == [(authority.name, NOW)]
    assert open_checkpoint(note + line, NoteSigner("genguard", keys.signing_key("log")).vkey).size == 5
    assert own_note(note + line) == note  # what is stamped: text and signatures, both kinds
    answer = answer_in(line.removesuffix("\n"))
    assert answer is not None
    assert authority.anchors.stamped_at(note, answer) == NOW
    with pytest.raises(NoteError, match="Mismatch"):
        authority.anchors.stamped_at(note.replace("\n5\n", "\n6\n"), answer)
    assert all(answer_in(other) is None for other in split_note(note)[1])


def test_openssl_agrees(spec: AuthoritySpec, note: str, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl on this machine")
    answer = answer_in(Authority(spec).stamp(note)[:-1])
    (tmp_path / "a.tsr").write_bytes(answer or b"")
    for data, status in ((note, 0), (note + "x", 1)):
        (tmp_path / "note").write_text(data)
        command = [openssl, "ts", "-verify", "-in", str(tmp_path / "a.tsr"), "-data", str(tmp_path / "note")]
        command += ["-CAfile", str(spec.anchors)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == status


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"flip": True}, "Mismatch between messages"),
        ({"forget_nonce": True}, "Nonce mismatch"),
        ({"moment": NOW + timedelta(days=4000)}, "verifying certificates"),
        ({"moment": NOW - timedelta(days=2)}, "verifying certificates"),
        ({"answer": (200, b"")}, "ASN.1"),
        ({"answer": (200, b"<html>")}, "ASN.1"),
        ({"answer": (200, bytes.fromhex("30053003020102"))}, "does not hold"),  # a rejection, which carries no token
        ({"answer": (503, b"")}, "HTTP 503"),
        ({"answer": (302, b"")}, "HTTP 302"),
    ],
)
def test_a_bad_answer_is_no_stamp(
    tsa: Tsa, spec: AuthoritySpec, note: str, wrong: dict[str, object], words: str
) -> None:
    for name, value in wrong.items():
        setattr(tsa, name, value)
    with pytest.raises(TimestampError, match=words):
        Authority(spec).stamp(note)
    assert len(tsa.requests) == 1


@pytest.mark.parametrize("embed_root", [False, True])
@pytest.mark.parametrize("name", ["Test TSA", "Somebody else"])
def test_an_authority_that_vouches_for_itself_is_not_believed(
    spec: AuthoritySpec, note: str, name: str, embed_root: bool
) -> None:
    with serving(Tsa(name=name, embed_root=embed_root)) as other:
        with pytest.raises(TimestampError, match="not to be trusted"):
            Authority(AuthoritySpec(other.url, spec.anchors)).stamp(note)
        assert Authority(spec_for(other, spec.anchors.parent)).stamp(note)


def test_a_certificate_for_something_else_stamps_nothing(note: str, tmp_path: Path) -> None:
    with serving(Tsa(purpose=ExtendedKeyUsageOID.SERVER_AUTH)) as tsa:
        authority = Authority(spec_for(tsa, tmp_path))
        with pytest.raises(TimestampError, match="not to be trusted"):
            authority.stamp(note)


def test_certificates_are_judged_at_the_time_of_the_stamp(note: str, tmp_path: Path) -> None:
    with serving(Tsa(days=1, moment=NOW - timedelta(hours=23))) as tsa:  # which has expired long ago, or will have
        assert Authority(spec_for(tsa, tmp_path)).stamp(note)


def test_an_authority_that_is_away_is_said_to_be(spec: AuthoritySpec, note: str) -> None:
    with pytest.raises(TimestampError, match="cannot be reached"):
        Authority(AuthoritySpec("http://127.0.0.1:9/", spec.anchors)).stamp(note)


def test_anchors_are_roots_in_a_file(tsa: Tsa, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Anchors.read(tmp_path / "none.pem")
    for wrong, words in ((b"", "no PEM"), (b"x", "no PEM"), (pem(tsa.certificate), "no root")):
        with pytest.raises(ConfigError, match=words):
            Anchors(wrong)
    Anchors(pem(tsa.certificate, tsa.root))


@pytest.mark.parametrize("url", ["", "ftp://host/", "http://", "http://user:secret@host/", "http://host/?a=b"])
def test_an_authority_has_a_plain_url(spec: AuthoritySpec, url: str) -> None:
    with pytest.raises(ConfigError, match="GUARD_TSA must be a plain URL") as caught:
        Authority(AuthoritySpec(url, spec.anchors))
    assert "secret" not in str(caught.value)


def test_names_are_names_of_keys(spec: AuthoritySpec) -> None:
    for url, name in (
        ("http://time.example", "rfc3161/time.example"),
        ("https://time.example:8443/a/b/", "rfc3161/time.example:8443/a/b"),
        ("http://[::1]:80/a+b c", "rfc3161/[::1]:80/a%2Bb%20c"),
    ):
        authority = Authority(AuthoritySpec(url, spec.anchors))
        assert authority.name == name
        assert NoteKey(name, 255, b"").vkey.startswith(name)


def test_the_extra_is_named_when_it_is_missing(
    spec: AuthoritySpec, engine: Engine, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(MissingExtra, match=r"genguard\[timestamps\]"):
        Log(engine, keys, authority=spec)


ANSWER = Tsa()
ROOT = Anchors(pem(ANSWER.root))


def _answer() -> bytes:
    import rfc3161_client as client

    request = client.TimestampRequestBuilder().data(TEXT.encode()).hash_algorithm(client.HashAlgorithm.SHA256).build()
    return ANSWER.stamp(request.as_bytes())


GOOD = _answer()


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_moves_the_time_or_crashes(at: int, change: int) -> None:
    """Some bytes of the envelope are signed by nobody, such as its version; they do not say when."""
    assert ROOT.stamped_at(TEXT, GOOD) == NOW
    changed = bytearray(GOOD)
    changed[at] ^= change
    try:
        assert ROOT.stamped_at(TEXT, bytes(changed)) == NOW
    except NoteError:
        return


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(NoteError):
        ROOT.stamped_at(TEXT, data)


# --- the log ---


def stamped_sizes(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        query = select(LogCosignature.size).where(LogCosignature.witness.startswith("rfc3161/"))
        return list(connection.execute(query.order_by(LogCosignature.size)).scalars())


def test_a_log_is_stamped_at_its_start_and_when_it_catches_up(
    engine: Engine, keys: KeyRing, tsa: Tsa, spec: AuthoritySpec, draft: Maker, reader: Reader
) -> None:
    log = Log(engine, keys, authority=spec)
    for _ in range(3):
        log.append([draft()])
    assert (stamped_sizes(engine), tsa.requests) == ([], [])  # not one for each entry: it is somebody else's service
    log.catch_up()
    log.catch_up()
    assert (stamped_sizes(engine), len(tsa.requests)) == ([3], 1)
    log.append([draft()])
    again = Log(engine, keys, authority=spec)
    again.compare()
    again.append([draft()])
    assert (stamped_sizes(engine), len(tsa.requests)) == ([3, 4], 2)
    with reading(engine) as connection:  # what is stamped is never thinned out
        sizes = list(connection.execute(select(LogCheckpoint.size).order_by(LogCheckpoint.size)).scalars())
    assert sizes == [3, 4, 5]
    anchors = Anchors.read(spec.anchors)
    receipt = reader.receipt(2)
    assert receipt is not None
    assert (verify_receipt(receipt, log.vkeys).size, dict(stamps(receipt.checkpoint, anchors)).popitem()[1]) == (4, NOW)
    report = verified(engine, log.vkey, known=Known(anchors=anchors))
    assert (report.ok, report.vouched, report.unchecked) == (True, 2, 0)
    assert verified(engine, log.vkey).unchecked == 2


def test_a_stamp_that_is_required_and_not_to_be_had_is_an_error(
    engine: Engine, keys: KeyRing, tsa: Tsa, spec: AuthoritySpec, draft: Maker
) -> None:
    Log(engine, keys).append([draft()])
    log = Log(engine, keys, authority=spec)
    tsa.answer = (503, b"")
    for _ in range(2):
        with pytest.raises(TimestampError, match="HTTP 503"):
            log.append([draft()])
    assert Reader(engine).size() == 1
    tsa.answer = None
    log.append([draft()])
    assert stamped_sizes(engine) == [1]


def test_a_stamp_that_is_preferred_is_missed_loudly(
    engine: Engine, keys: KeyRing, tsa: Tsa, tmp_path: Path, draft: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    Log(engine, keys).append([draft()])
    log = Log(engine, keys, authority=spec_for(tsa, tmp_path, required=False))
    tsa.answer = (503, b"")
    with caplog.at_level(logging.WARNING):
        log.append([draft()])
        log.append([draft()])
    [record] = caplog.records
    assert record.getMessage().startswith(
        "the newest checkpoint has no time stamp: the time stamp authority answered HTTP 503"
    )
    assert stamped_sizes(engine) == []


def test_beside_a_witness_one_checkpoint_carries_both(
    engine: Engine, keys: KeyRing, spec: AuthoritySpec, draft: Maker, tmp_path: Path, reader: Reader
) -> None:
    witness = WitnessSpec(str(tmp_path / "w"))
    log = Log(engine, keys, witness=witness, authority=spec)
    log.append([draft()])
    log.append([draft()], ack=Ack.WITNESSED)
    log.catch_up()
    note = reader.checkpoint() or ""
    anchors, vkeys = Anchors.read(spec.anchors), witness_vkeys(witness)
    assert [vkey for vkey, _ in cosignatures(note, vkeys)] == vkeys
    assert len(list(stamps(note, anchors))) == 1
    assert verified(engine, log.vkey, known=Known(vkeys, anchors)).vouched == 2
    log.publish()  # signs the same checkpoint again, and takes nothing away
    assert verified(engine, log.vkey, known=Known(vkeys, anchors)).vouched == 2


@pytest.mark.parametrize("change", ["moved", "forged", "garbage", "id", "renamed"])
def test_a_stored_time_stamp_that_is_wrong_is_named(
    engine: Engine, keys: KeyRing, tsa: Tsa, spec: AuthoritySpec, draft: Maker, change: str
) -> None:
    log = Log(engine, keys, authority=spec)
    for _ in range(2):
        log.append([draft()])
        log.catch_up()
    name = Authority(spec).name
    with reading(engine) as connection:
        rows = {row.size: row.line for row in connection.execute(select(LogCosignature.size, LogCosignature.line))}
        note = connection.execute(select(LogCheckpoint.note).where(LogCheckpoint.size == 2)).scalar_one()
    with serving(Tsa(name="Thief", embed_root=True)) as thief:
        forged = Authority(spec_for(thief, spec.anchors.parent)).stamp(note)
    (spec.anchors).write_bytes(pem(tsa.root))
    lines = {
        "moved": rows[1],
        "forged": f"\u2014 {name} {rows[2].split(' ')[2][:8]}{forged.split(' ')[2][8:]}",
        "garbage": f"\u2014 {name} {rows[2].split(' ')[2][:8]}AAAA\n",
        "id": f"\u2014 {name} AAAA{rows[2].split(' ')[2][4:]}",
        "renamed": rows[2].replace("rfc3161/", "rfc3161/x"),
    }
    with writing(engine) as connection:
        connection.execute(update(LogCosignature).where(LogCosignature.size == 2).values(line=lines[change]))
    report = verified(engine, log.vkey, known=Known(anchors=Anchors.read(spec.anchors)))
    assert (report.ok, report.vouched, len(report.problems)) == (False, 1, 1)
    assert f"what '{name}' signed under the checkpoint at 2 entries does not hold" in str(report.problems[0])
    log.catch_up()  # a stored row is not believed: it is asked for again
    assert len(tsa.requests) == 3
    assert verified(engine, log.vkey, known=Known(anchors=Anchors.read(spec.anchors))).ok


def test_an_export_holds_what_others_signed(
    engine: Engine, keys: KeyRing, spec: AuthoritySpec, draft: Maker, tmp_path: Path
) -> None:
    log = Log(engine, keys, witness=WitnessSpec(str(tmp_path / "w")), authority=spec)
    for _ in range(2):
        log.append([draft()])
        log.catch_up()
    log.append([draft()])
    export(engine, log.vkeys, tmp_path / "out")
    folder = tmp_path / "out" / "vouched"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("1-2.tsr", "1.cosigned", "1.note"),
        *("2-2.tsr", "2.cosigned", "2.note"),
    ]
    for size in (1, 2):
        signed = (folder / f"{size}.note").read_text()
        assert open_checkpoint(signed, log.vkeys).size == size
        assert Anchors.read(spec.anchors).stamped_at(signed, (folder / f"{size}-2.tsr").read_bytes()) == NOW
        assert (folder / f"{size}.cosigned").read_text().startswith(signed)


# --- the commands ---


def run(*words: str) -> str:
    result = CliRunner().invoke(audit.app, list(words))
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_commands_show_stamps(
    tsa: Tsa, spec: AuthoritySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(os.environ["GUARD_HOME"])
    engine = open_engine(f"sqlite:///{home}/guard.db")
    upgrade(engine)
    log = Log(engine, KeyRing(home / "keys"))
    log.append([Draft("check", None, {}) for _ in range(4)])
    monkeypatch.setenv("GUARD_TSA", tsa.url)
    with pytest.raises(ConfigError, match="GUARD_TSA_ANCHORS"):
        run("witness")
    monkeypatch.setenv("GUARD_TSA_ANCHORS", str(spec.anchors))
    name = Authority(spec).name
    lines = run("witness").splitlines()
    assert lines[0].startswith("record   4 entries")
    assert lines[1].startswith("stamped  4 entries, root ")
    assert lines[1].endswith(f", 2026-11-24 12:00:00 UTC by {name}")
    monkeypatch.setenv("GUARD_WITNESS", str(tmp_path / "w"))
    data = json.loads(run("witness", "--json"))
    assert (data["authority"], data["stamped"], data["size"]) == (name, "2026-11-24T12:00:00+00:00", 4)
    assert len(tsa.requests) == 1
    assert "and checked: 2" in run("verify")
    (tmp_path / "proof").write_text(run("proof", "3"))
    (tmp_path / "early").write_text(run("proof", "3").rpartition("\u2014 rfc3161/")[0])
    assert f"stamped by {name} 2026-11-24 12:00:00 UTC" in run("verify-receipt", str(tmp_path / "proof"))
    for variable in ("GUARD_TSA", "GUARD_TSA_ANCHORS"):
        monkeypatch.delenv(variable)
    assert "stamped by" not in run("verify-receipt", str(tmp_path / "proof"))
    given = ("--tsa-anchors", str(spec.anchors))
    assert "stamped by" in run("verify-receipt", str(tmp_path / "proof"), *given)
    with pytest.raises(EvidenceError, match="no time stamp under it"):
        run("verify-receipt", str(tmp_path / "early"), *given)
    assert "not checked: 1" in run("verify")
    assert "and checked: 2" in run("verify", *given)
    monkeypatch.setenv("GUARD_TSA", "http://127.0.0.1:9/")
    monkeypatch.setenv("GUARD_TSA_ANCHORS", str(spec.anchors))
    monkeypatch.setenv("GUARD_TIMESTAMPS", "preferred")
    assert "stamped  nothing yet" in run("witness")
    monkeypatch.setenv("GUARD_TIMESTAMPS", "required")
    with pytest.raises(TimestampError):
        run("witness")
    engine.dispose()
