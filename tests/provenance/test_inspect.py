"""Inspection: every kind of evidence leads to its verdict, none to more than it shows, and looking changes nothing."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.keys import KeyRing
from guard.provenance import manifest
from guard.provenance.certs import Identity
from guard.provenance.credentials import Claim, sign
from guard.provenance.inspect import inspect, sidecar_manifest
from guard.provenance.stamp import Stamper
from guard.provenance.verdict import SUMMARY, Evidence, Inspection, Mark, Verdict, conclude
from guard.store.engine import open_engine, upgrade
from guard.types import Content, Image, PolicyRef, Text

Draw = Callable[..., Image]
ANSWER = Text("Your parcel arrives on Tuesday.")


@pytest.fixture
def log(keys: KeyRing, tmp_path: Path) -> Iterator[Log]:
    engine = open_engine(f"sqlite:///{tmp_path / 'guard.db'}")
    upgrade(engine)
    yield Log(engine, keys)
    engine.dispose()


@pytest.fixture
def reader(log: Log) -> Reader:
    return Reader(log.engine, log.vault)


def record(log: Log, kind: str = "generation", state: str = "released", **bodies: Content) -> int:
    fields = {"state": state, "decision": {"action": "allow", "rules": []}, "generator": None}
    return log.append([Draft(kind, f"request-{len(bodies)}-{kind}-{state}", fields, bodies)])[0].seq


def stamped(keys: KeyRing, text: Text, policy: PolicyRef) -> str:
    _, stamp = Stamper(keys).stamp(text, request_id="r", policy=policy, generator={"model": "m"})
    assert stamp.manifest is not None
    return stamp.manifest


def statuses(found: Inspection) -> dict[str, str]:
    return {each.layer: each.status for each in found.evidence}


def again(image: Image, form: str = "PNG") -> bytes:
    """Saved anew, as chat programs do: the picture stays, the credential goes."""
    buffer = io.BytesIO()
    Pillow.open(io.BytesIO(image.data)).save(buffer, form, compress_level=1)
    return buffer.getvalue()


# --- the verdict -----------------------------------------------------------------------------------------------------


def test_verdicts_have_no_truth_value_and_never_deny() -> None:
    for verdict in Verdict:
        with pytest.raises(TypeError, match="neither true nor false"):
            bool(verdict)
        for claim in ("not AI", "not made by", "human", "authentic", "genuine"):
            assert claim not in SUMMARY[verdict]
    assert "says nothing about origin" in SUMMARY[Verdict.NO_EVIDENCE]
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(Inspection(Verdict.TRUSTED, "text", None, "", ()))


def test_a_broken_claim_outweighs_everything_else() -> None:
    good = [
        Evidence("credential", "trusted", ""),
        Evidence("manifest", "valid", ""),
        Evidence("record", "released", ""),
        Evidence("watermark", "detected", ""),
    ]
    for layer, status in (("credential", "invalid"), ("credential", "contradicted"), ("manifest", "altered")):
        for order in itertools.permutations([*good, Evidence(layer, status, "")]):
            assert conclude(order) is Verdict.CONTRADICTED
    for count, verdict in ((4, "trusted"), (3, "trusted"), (2, "recovered"), (1, "probable"), (0, "no_evidence")):
        assert conclude(good[4 - count :]).value == verdict


@pytest.mark.parametrize(
    ("layer", "status", "verdict"),
    [
        ("credential", "valid", Verdict.VALID),
        ("credential", "expired", Verdict.VALID),
        ("credential", "none", Verdict.NO_EVIDENCE),
        ("credential", "unreadable", Verdict.NO_EVIDENCE),
        ("manifest", "unknown_signer", Verdict.VALID),
        ("manifest", "malformed", Verdict.NO_EVIDENCE),
        ("record", "made", Verdict.RECOVERED),
        ("record", "checked", Verdict.NO_EVIDENCE),
        ("record", "asked", Verdict.NO_EVIDENCE),
        ("watermark", "none", Verdict.NO_EVIDENCE),
    ],
)
def test_one_piece_of_evidence(layer: str, status: str, verdict: Verdict) -> None:
    assert conclude([Evidence(layer, status, "")]) is verdict


# --- images ----------------------------------------------------------------------------------------------------------


def test_images(
    draw: Draw, claim: Claim, identity: Identity, stranger: Identity, keys: KeyRing, log: Log, reader: Reader
) -> None:
    original = draw()
    ours, theirs = sign(original, claim, identity), sign(original, claim, stranger)
    stripped = again(ours)
    record(log, release=ours, output=original)
    record(log, "check", output=Image(stripped))
    broken = ours.data[:-60] + bytes([ours.data[-60] ^ 1]) + ours.data[-59:]
    cases = (
        (ours.data, "trusted", "trusted", "released"),
        (theirs.data, "valid", "valid", "none"),
        (broken, "contradicted", "invalid", "none"),
        (original.data, "recovered", "none", "made"),
        (stripped, "no_evidence", "none", "checked"),
        (again(ours, "JPEG"), "no_evidence", "none", "none"),
        (ours.data[:700], "no_evidence", "unreadable", "none"),
    )
    for data, verdict, credential, seen in cases:
        found = inspect(data, keys=keys, reader=reader)
        assert (found.verdict.value, statuses(found)) == (verdict, {"credential": credential, "record": seen})
    assert inspect(ours.data, keys=keys).evidence[0].details["ai_generated"] is True


def test_the_record_vouches_for_a_signer_that_nobody_knows(
    draw: Draw, claim: Claim, stranger: Identity, keys: KeyRing, log: Log, reader: Reader
) -> None:
    """After the key folder was lost, say."""
    signed = sign(draw(), claim, stranger)
    record(log, release=signed)
    assert inspect(signed.data, keys=keys, reader=reader).verdict is Verdict.RECOVERED


# --- text ------------------------------------------------------------------------------------------------------------


def test_texts(keys: KeyRing, policy: PolicyRef, log: Log, reader: Reader, tmp_path: Path) -> None:
    ours = stamped(keys, ANSWER, policy)
    theirs = stamped(KeyRing(tmp_path / "else"), ANSWER, policy)
    data = ANSWER.data
    cases: tuple[tuple[bytes, str | None, str, str], ...] = (
        (data, ours, "trusted", "valid"),
        (data + b"\r\n", ours, "trusted", "valid"),
        (b"\xef\xbb\xbf" + data, ours, "trusted", "valid"),
        (data, theirs, "valid", "unknown_signer"),
        (data.upper(), ours, "contradicted", "altered"),
        (data.upper(), theirs, "contradicted", "altered"),
        (data, "scribble", "no_evidence", "malformed"),
        (data, None, "no_evidence", "none"),
    )
    for given_, sidecar, verdict, status in cases:
        found = inspect(given_, keys=keys, sidecar=sidecar)
        assert (found.verdict.value, statuses(found)["manifest"]) == (verdict, status)
    record(log, release=ANSWER)
    for given_ in (data, data + b"\n", b"\xef\xbb\xbf" + data + b"\r\n"):
        assert inspect(given_, keys=keys, reader=reader).verdict is Verdict.RECOVERED
    assert inspect(data + b" ", keys=keys, reader=reader).verdict is Verdict.NO_EVIDENCE
    trusting = [manifest.public_key(KeyRing(tmp_path / "else").signing_key("manifest").public_key())]
    assert inspect(data, keys=keys, sidecar=theirs, public_keys=trusting).verdict is Verdict.TRUSTED


def test_what_the_record_says_about_origin(keys: KeyRing, log: Log, reader: Reader) -> None:
    def seen(text: str) -> str:
        return statuses(inspect(text.encode(), keys=keys, reader=reader))["record"]

    record(log, prompt=Text("asked"), output=Text("raw"), release=Text("clean"))
    held = record(log, state="held", output=Text("waiting"), release=Text("waiting"))
    record(log, "check", release=Text("elsewhere"), output=Text("elsewhere"))
    assert [seen(word) for word in ("asked", "raw", "clean", "elsewhere", "never")] == [
        "asked",
        "made",
        "released",
        "checked",
        "none",
    ]
    assert seen("waiting") == "made"
    strangers = [
        statuses(inspect(word.encode(), keys=keys, reader=reader, released_only=True))["record"]
        for word in ("asked", "raw", "clean", "elsewhere", "waiting")
    ]
    assert strangers == ["none", "none", "released", "none", "none"]
    request = reader.entry(held)
    assert request is not None
    for ruling, status in (("reject", "made"), ("approve", "released")):
        log.append([Draft("ruling", request.request_id, {"of": held, "ruling": ruling}, {})])
        assert seen("waiting") == status
    record(log, state="blocked", prompt=Text("clean"))  # the best of several entries counts
    assert seen("clean") == "released"


def test_a_damaged_record_is_said_to_be(keys: KeyRing, log: Log, reader: Reader) -> None:
    record(log, release=ANSWER)
    with log.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE log_body SET ciphertext = x'00'")
    found = inspect(ANSWER.data, keys=keys, reader=reader)
    assert statuses(found)["record"] == "unreadable"
    assert found.verdict is Verdict.NO_EVIDENCE


def test_watermarks_are_only_probable(keys: KeyRing) -> None:
    for detected, verdict in ((True, Verdict.PROBABLE), (False, Verdict.NO_EVIDENCE)):

        def detect(text: str, answer: bool = detected) -> Mark:
            return Mark(answer, "kgw", {"seen": text})

        found = inspect(ANSWER.data, keys=keys, watermark=detect)
        assert found.verdict is verdict
        assert found.evidence[1].details == {"seen": ANSWER.text}


def test_a_sidecar_may_be_the_manifest_the_stamp_or_the_outcome(keys: KeyRing, policy: PolicyRef) -> None:
    bare = stamped(keys, ANSWER, policy)
    stamp = {"digest": "sha256:…", "layers": [], "manifest": bare}
    for sidecar in (bare, bare + "\n", json.dumps(stamp, indent=2), json.dumps({"content": "x", "stamp": stamp})):
        assert inspect(ANSWER.data, keys=keys, sidecar=sidecar).verdict is Verdict.TRUSTED
    for empty in (json.dumps({**stamp, "manifest": None}), json.dumps({"stamp": {**stamp, "manifest": None}})):
        assert sidecar_manifest(empty) is None
    for scribble in ("", "[]", "null", '{"stamp": 3}', "[" * 100_000):
        assert statuses(inspect(b"x", keys=keys, sidecar=scribble))["manifest"] == "malformed"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.tuples(st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"ID3"]), st.binary()).map(
            b"".join
        ),
        st.binary(max_size=60).map(lambda rest: b"RIFF" + rest[:4].ljust(4) + b"WEBP" + rest),
    ),
    sidecar=st.none() | st.text(),
)
def test_any_file_can_be_inspected(data: bytes, sidecar: str | None, keys: KeyRing, reader: Reader) -> None:
    found = inspect(data, keys=keys, reader=reader, sidecar=sidecar)
    assert found.verdict in (Verdict.NO_EVIDENCE, Verdict.CONTRADICTED)
    json.dumps(found.data())


def test_looking_makes_no_keys(keys: KeyRing, draw: Draw) -> None:
    inspect(draw().data, keys=keys)
    inspect(b"text", keys=keys, sidecar="{}")
    assert not keys.folder.exists()
