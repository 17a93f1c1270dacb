"""Text manifests: every change to the text or the statement is seen, and nothing that a reader cannot see matters."""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
import unicodedata
from typing import Literal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, example, given
from hypothesis import strategies as st

from guard.digest import label
from guard.errors import StampError
from guard.provenance import manifest
from guard.provenance.manifest import State, normalise, public_key, sign, statement, verify
from guard.types import PolicyRef

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KNOWN = [public_key(KEY.public_key())]
TEXT = "Ihre Bestellung wird morgen geliefert – schöne Grüße, Zoë.\nZweite Zeile."
texts = st.text(st.characters(codec=None), max_size=200)  # lone surrogates included


def made(text: str, key: Ed25519PrivateKey = KEY, request_id: str = "request-1") -> str:
    payload = statement(
        text,
        request_id=request_id,
        policy=PolicyRef("default", "1.0.0", "sha256:ab"),
        generator={"model": "tiny", "weights": "sha256:cd"},
        watermark=None,
        created=dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
        salt="00" * 16,
    )
    return sign(payload, key)


@given(texts)
@example("")
@example("\ud800 lone")
@example("\ufeffmark in front")
@example("\x00\r\n\r\n")
def test_every_text_holds_under_its_own_manifest(text: str) -> None:
    found = verify(made(text), text, KNOWN)
    assert found.state is State.VALID
    assert found.statement["ai_generated"] is True
    assert found.statement["request_id"] == "request-1"


@given(texts, texts)
@example("a", "a ")
@example("a", "\na")
@example("a\nb", "a\n\nb")
@example("a", "a\u200b")
@example("a", "a\x00")
@example("file", "ﬁle")
@example("\ud800", "\udc00")
@example("\ud83d\ude00", "\U0001f600")
def test_another_text_is_seen(left: str, right: str) -> None:
    assume(normalise(left) != normalise(right))
    assert verify(made(left), right, KNOWN).state is State.ALTERED


@given(texts, st.data())
def test_one_character_more_less_or_other_is_seen(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    added = data.draw(st.characters(codec=None, exclude_characters="\r\n"))
    changed = data.draw(st.sampled_from([text[:at] + added + text[at:], text[:at] + text[at + 1 :]]))
    same = normalise(changed) == normalise(text)
    assert (verify(made(text), changed, KNOWN).state is State.VALID) is same
    if same:  # then nobody could see the difference either
        assert unicodedata.normalize("NFC", changed.replace("\r\n", "\n")).rstrip("\r\n") == unicodedata.normalize(
            "NFC", text.replace("\r\n", "\n")
        ).rstrip("\r\n")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_editors_and_mail_change_does_not_matter(form: Literal["NFC", "NFD"]) -> None:
    statement_ = made(TEXT)
    text = unicodedata.normalize(form, TEXT)
    for changed in (text, text + "\n", text + "\r\n\n", text.replace("\n", "\r\n")):
        assert verify(statement_, changed, KNOWN).state is State.VALID
    for changed in (text.upper(), " " + text, text + " ", unicodedata.normalize("NFKC", text + "ﬁ")):
        assert verify(statement_, changed, KNOWN).state is State.ALTERED


@given(st.data())
def test_any_change_to_the_manifest_is_seen(data: st.DataObject) -> None:
    good = made(TEXT)
    at = data.draw(st.integers(0, len(good) - 1))
    char = data.draw(st.characters())
    kind = data.draw(st.sampled_from(["replace", "insert", "delete"]))
    changed = good[:at] + ("" if kind == "delete" else char) + good[at + (kind != "insert") :]
    assume(changed.strip("\r\n") != good)
    assert verify(changed, TEXT, KNOWN).state is not State.VALID


def test_every_single_bit_of_the_manifest_counts() -> None:
    good = made(TEXT).encode()
    for place in range(len(good)):
        for bit in range(7):
            changed = bytearray(good)
            changed[place] ^= 1 << bit
            if bytes(changed).strip(b"\r\n") != good:
                assert verify(changed.decode(), TEXT, KNOWN).state is not State.VALID


def test_another_key_is_unknown_and_still_checked() -> None:
    other = made(TEXT, Ed25519PrivateKey.generate())
    assert verify(other, TEXT, KNOWN).state is State.UNKNOWN_SIGNER
    assert verify(other, TEXT + "!", KNOWN).state is State.ALTERED
    assert verify(other, TEXT, []).state is State.UNKNOWN_SIGNER


def test_a_signature_moved_to_another_statement_is_seen() -> None:
    first, second = json.loads(made(TEXT)), json.loads(made(TEXT, request_id="request-2"))
    first["payload"] = second["payload"]
    found = verify(json.dumps(first, sort_keys=True, separators=(",", ":")), TEXT, KNOWN)
    assert found.state is State.ALTERED
    assert not found.statement


@given(
    st.one_of(
        st.text(max_size=300),
        st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=8).map(json.dumps),
    )
)
@example("")
@example("null")
@example('{"signatures":[{"keyid":1,"sig":""}],"payload":""}')
@example('{"signatures":{},"payload":[]}')
@example("[" * 60_000)
@example("1" * 5_000)
def test_nonsense_is_malformed(text: str) -> None:
    assert verify(text, TEXT, KNOWN).state is State.MALFORMED


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"\xff", b"[" * 30_000, b'{"format":"another/1"}', b'"genguard.text-manifest/1"']
)
def test_a_well_signed_payload_that_is_no_statement_is_malformed(payload: bytes) -> None:
    signed = manifest._envelope(payload, KNOWN[0], KEY.sign(manifest._to_be_signed(payload)))
    assert verify(signed, TEXT, KNOWN).state is State.MALFORMED


@pytest.mark.parametrize("name", ["", "ed25519:", "ed25519:AAAA", "rsa:abc", "ed25519:" + "é" * 44, "\ud800"])
def test_a_key_that_is_none_is_malformed(name: str) -> None:
    good = json.loads(made(TEXT))
    data, sig = base64.b64decode(good["payload"]), base64.b64decode(good["signatures"][0]["sig"])
    assert verify(manifest._envelope(data, name, sig), TEXT, KNOWN).state is State.MALFORMED


def test_the_signed_bytes_are_the_dsse_encoding() -> None:
    """So that any DSSE tool can check a manifest without our code."""
    envelope = json.loads(made(TEXT))
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    encoded = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
    KEY.public_key().verify(base64.b64decode(envelope["signatures"][0]["sig"]), encoded)
    assert json.loads(payload)["text_sha256"] == label(TEXT.encode())


def test_absurd_runs_of_marks_cost_no_time() -> None:
    """Unicode normalisation is quadratic in them: 32,000 took two seconds."""
    hostile = "a" + "\u0315\u0300\u0f73" * 60_000
    started = time.perf_counter()
    assert verify(made(hostile), hostile, KNOWN).state is State.VALID
    assert verify(made(hostile), hostile[:-1], KNOWN).state is State.ALTERED
    assert time.perf_counter() - started < 2


def test_a_statement_that_could_not_be_read_back_is_not_made() -> None:
    with pytest.raises(StampError, match="shorter ids"):
        made(TEXT, request_id="x" * manifest.MAX_SIZE)


def test_a_verdict_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(verify(made(TEXT), TEXT, KNOWN))
