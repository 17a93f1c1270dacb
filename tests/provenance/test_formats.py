"""Every format that is signed: read back here, and by a verifier that shares no code with the library that signed."""

from __future__ import annotations

import dataclasses
from typing import Any

import encypher_c2pa
import pytest

from guard.errors import ContentError
from guard.keys import KeyRing
from guard.media import content_of
from guard.provenance import library
from guard.provenance.certs import Identity
from guard.provenance.claim import Claim, Lineage, definition
from guard.provenance.credentials import SIGNABLE, State, read, sign
from guard.provenance.inspect import inspect
from guard.provenance.stamp import Stamper
from guard.provenance.verdict import Verdict
from guard.types import Layer, Media, PolicyRef
from tests.provenance.files import FILES, epub

MARK = Layer("watermark", "applied", "tile-1", {"mark_id": "00a1b2c3d4e5", "key_id": "aabbccdd"})


def second_opinion(data: bytes, media_type: str, anchor: str) -> dict[str, Any]:
    """Offline, without the trust lists that it brings along."""
    return dict(
        encypher_c2pa.verify(data, media_type, trust_pem=anchor, no_default_trust=True, telemetry=False, online=False)
    )


def made(kind: str) -> Media:
    content = content_of(FILES[kind]())
    assert content.media_type == kind
    assert isinstance(content, Media)
    return content


def test_the_table_is_whole() -> None:
    assert set(FILES) == SIGNABLE


@pytest.mark.parametrize("kind", FILES)
def test_two_verifiers_agree(kind: str, claim: Claim, identity: Identity, anchor: str, stranger: Identity) -> None:
    full = dataclasses.replace(claim, watermark=MARK, record="genguard")
    signed = sign(made(kind), full, identity)
    found = read(signed, [anchor])
    assert (found.state, found.problems) == (State.TRUSTED, ())
    assert found.ai_generated
    assert found.generation["record"] == "genguard"
    theirs = second_opinion(signed.data, kind, anchor)
    assert (theirs["integrity"], theirs["signature"], theirs["hard_binding"]) == ("valid", "valid", "match")
    assert theirs["trust"]["status"] == "valid_for_supplied_material"
    unknown = sign(made(kind), full, stranger)
    assert read(unknown, [anchor]).state is State.VALID
    assert second_opinion(unknown.data, kind, anchor)["trust"]["status"] != "valid_for_supplied_material"


@pytest.mark.parametrize("kind", FILES)
def test_two_verifiers_see_a_change_and_a_cut(kind: str, claim: Claim, identity: Identity, anchor: str) -> None:
    signed = sign(made(kind), claim, identity)
    at = signed.data.index(b"request-1")
    other = dataclasses.replace(signed, data=signed.data[:at] + b"request-2" + signed.data[at + 9 :])
    assert read(other, [anchor]).problems == ("assertion.hashedURI.mismatch",)
    assert second_opinion(other.data, kind, anchor)["integrity"] == "invalid"
    for end in (len(signed.data) // 3, len(signed.data) - 40):
        cut = dataclasses.replace(signed, data=signed.data[:end])
        try:
            state = read(cut, [anchor]).state
        except ContentError:
            continue
        assert state in (State.INVALID, State.NONE)


@pytest.mark.parametrize("kind", FILES)
def test_a_stamped_file_is_of_its_own_kind(kind: str, keys: KeyRing, policy: PolicyRef) -> None:
    content = made(kind)
    signed, stamp = Stamper(keys).stamp(content, request_id="r", policy=policy, generator={"model": "m"})
    assert type(signed) is type(content)
    layer = stamp.layers[0]
    assert (layer.status, layer.detail["media_type"]) == ("applied", kind)
    assert isinstance(signed, Media)
    assert layer.detail["manifest"] == read(signed).manifest
    assert inspect(signed.data, keys=keys).verdict is Verdict.TRUSTED


def test_on_zip_based_documents_the_verifiers_do_not_agree_so_they_are_not_signed(
    claim: Claim, identity: Identity, anchor: str
) -> None:
    """The library writes the hashes of their parts as a map, where the other reads a list. When this fails, sign them."""
    kind = "application/epub+zip"
    data = library.issue(kind, epub(), definition(claim, identity.expires, Lineage()), identity)
    theirs = second_opinion(data, kind, anchor)["validation_results"]["failure"]
    assert [status["code"] for status in theirs] == ["assertion.collectionHash.malformed"]
    assert kind not in SIGNABLE
