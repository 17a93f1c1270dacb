"""Who may sign, what an authority says of the time, what content was made from; and how each failure ends."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import c2pa  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from guard import Guard, State
from guard.cases import blank_png
from guard.errors import CallerError, ConfigError, IdempotencyConflict, StampError
from guard.keys import KeyRing
from guard.options import AuthoritySpec
from guard.provenance import certs, credentials, library
from guard.provenance.certs import Identity, identity_from_files, identity_from_service
from guard.provenance.claim import Claim, Lineage, definition
from guard.provenance.credentials import issue, read, sign
from guard.provenance.service import LocalService
from guard.provenance.stamp import Stamper
from guard.types import Image, PolicyRef, Request, StampSpec, Text
from tests.audit.tsa import Tsa, pem, serving
from tests.provenance.conftest import Draw
from tests.provenance.test_formats import MARK, second_opinion

OPEN: dict[str, Any] = {"name": "open", "version": "1", "checkers": {}, "rules": []}


def parts(image: Image) -> dict[str, Any]:
    """The active manifest: its assertions by label, and its ingredients."""
    with c2pa.Reader(image.media_type, io.BytesIO(image.data), context=c2pa.Context.from_dict({})) as reader:
        manifest = json.loads(reader.json())["manifests"][reader.get_active_manifest()["label"]]
    return {
        **{it["label"]: it["data"] for it in manifest["assertions"]},
        "ingredients": manifest.get("ingredients", []),
    }


# --- the key -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 2048),
    ],
)
def test_a_service_signs_as_the_key_itself(
    make: Callable[[], Any], own_files: Callable[..., tuple[Path, Path]], draw: Draw, claim: Claim
) -> None:
    files = own_files(make(), until=certs.utcnow() + dt.timedelta(days=9))
    identity = identity_from_service(LocalService(identity_from_files(*files)))
    assert identity.key == ""
    signed = sign(draw(), claim, identity)
    assert read(signed).state is credentials.State.VALID
    assert second_opinion(signed.data, "image/png", certs.read_anchors(files[0]))["signature"] == "valid"


class Broken:
    """A service that answers otherwise."""

    def __init__(self, identity: Identity, answer: bytes | Exception) -> None:
        self.chain, self.answer = identity.chain, answer

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_why_a_service_did_not_sign_is_logged_and_nothing_is_released(
    draw: Draw, identity: Identity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for answer, words in ((ConnectionError("the vault is sealed"), "the vault is sealed"), (bytes(64), "mismatch")):
        caplog.clear()
        with Guard(OPEN, home=tmp_path / "home", c2pa_service=Broken(identity, answer)) as g:
            outcome = g.wrap(lambda _: draw().data)("draw")
        assert (outcome.state, outcome.content, outcome.stamp) == (State.BLOCKED, None, None)
        assert outcome.results[-1].error == "required mark missing; manifest: signing_failed"
        assert words in caplog.text


# --- when --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tsa() -> Iterator[Tsa]:
    with serving(Tsa(moment=certs.utcnow())) as authority:
        yield authority


@pytest.fixture
def authority(tsa: Tsa, tmp_path: Path) -> AuthoritySpec:
    (tmp_path / "tsa.pem").write_bytes(pem(tsa.root))
    return AuthoritySpec(tsa.url, tmp_path / "tsa.pem")


def stamped(keys: KeyRing, policy: PolicyRef, image: Image, how: str, authority: AuthoritySpec | None) -> Any:
    stamper = Stamper(keys, StampSpec(timestamp=how), authority=authority)
    content, stamp = stamper.stamp(image, request_id="r", policy=policy, generator={"model": "m"})
    return content, stamp.layers[0]


def test_the_time_of_an_authority(
    draw: Draw, keys: KeyRing, policy: PolicyRef, tsa: Tsa, authority: AuthoritySpec, anchor: str
) -> None:
    root = pem(tsa.root).decode()
    signed, layer = stamped(keys, policy, draw(), "required", authority)
    found = read(signed, [anchor], stampers=[root])
    assert (found.state, found.stamped) == (credentials.State.TRUSTED, layer.detail["timestamp"])
    assert abs(dt.datetime.fromisoformat(str(found.stamped)) - tsa.moment) < dt.timedelta(seconds=1)
    assert read(signed, [anchor]).stamped is None  # whom nobody trusts says nothing
    # An authority for the time does not vouch for signers.
    assert read(signed, [root], stampers=[root]).state is credentials.State.VALID
    assert second_opinion(signed.data, "image/png", anchor)["integrity"] == "valid"
    assert len(tsa.requests) == 1
    _, layer = stamped(keys, policy, draw(), "none", authority)
    assert "timestamp" not in layer.detail
    assert len(tsa.requests) == 1


def wrong_answer(tsa: Tsa, spec: AuthoritySpec) -> AuthoritySpec:
    tsa.answer = (500, b"no")
    return spec


def other_bytes(tsa: Tsa, spec: AuthoritySpec) -> AuthoritySpec:
    tsa.flip = True
    return spec


def nobody_there(tsa: Tsa, spec: AuthoritySpec) -> AuthoritySpec:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return dataclasses.replace(spec, url=f"http://127.0.0.1:{free.getsockname()[1]}/tsr")


def other_anchors(tsa: Tsa, spec: AuthoritySpec) -> AuthoritySpec:
    spec.anchors.write_bytes(pem(Tsa().root))
    return spec


@pytest.mark.parametrize("fault", [wrong_answer, other_bytes, nobody_there, other_anchors])
def test_an_authority_that_fails(
    fault: Callable[[Tsa, AuthoritySpec], AuthoritySpec],
    draw: Draw,
    keys: KeyRing,
    policy: PolicyRef,
    tsa: Tsa,
    authority: AuthoritySpec,
    anchor: str,
) -> None:
    spec, image = fault(tsa, authority), draw()
    signed, layer = stamped(keys, policy, image, "preferred", spec)
    assert (layer.status, layer.detail["timestamp"]) == ("applied", "missing")
    assert read(signed, [anchor]).state is credentials.State.TRUSTED
    same, layer = stamped(keys, policy, image, "required", spec)
    assert same is image
    assert (layer.status, layer.detail) == ("failed", {"reason": "timestamp_failed"})


def test_without_an_authority(draw: Draw, keys: KeyRing, policy: PolicyRef, tmp_path: Path) -> None:
    _, layer = stamped(keys, policy, draw(), "preferred", None)
    assert layer.detail["timestamp"] == "missing"
    with pytest.raises(ConfigError, match="set GUARD_TSA"):
        Guard({**OPEN, "stamp": {"timestamp": "required"}}, home=tmp_path / "home")


def test_what_a_policy_requires_and_an_authority_does_not_give_is_withheld_and_recorded(
    draw: Draw, tmp_path: Path, tsa: Tsa, authority: AuthoritySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARD_TSA", authority.url)
    monkeypatch.setenv("GUARD_TSA_ANCHORS", str(authority.anchors))
    monkeypatch.setenv("GUARD_TIMESTAMPS", "preferred")  # of checkpoints: the record must go on
    with Guard({**OPEN, "stamp": {"timestamp": "required"}}, home=tmp_path / "home") as g:
        draws = g.wrap(lambda _: draw().data)
        assert draws("draw").state is State.RELEASED
        tsa.answer = (503, b"")
        outcome = draws("draw")
        assert (outcome.state, outcome.content) == (State.BLOCKED, None)
        [entry] = g.ledger.reader.history(outcome.request_id)
        assert g.ledger.details(entry)["results"][-1]["error"] == "required mark missing; manifest: timestamp_failed"
        assert entry.fields["stamp"] is None


# --- from what ---------------------------------------------------------------------------------------------------------


def test_an_image_that_a_model_started_from_keeps_its_credential(
    draw: Draw, claim: Claim, identity: Identity, stranger: Identity, anchor: str
) -> None:
    theirs = sign(draw(), dataclasses.replace(claim, request_id="theirs"), stranger)
    for source in (theirs, draw()):
        made, _ = issue(draw(), claim, identity, source=source)
        found = read(made, [anchor])
        assert (found.state, found.ai_generated) == (credentials.State.TRUSTED, True)
        shown = parts(made)
        [parent] = shown["ingredients"]
        assert parent["relationship"] == "parentOf"
        assert ("active_manifest" in parent) is (source is theirs)
        assert [it["action"] for it in shown["c2pa.actions.v2"]["actions"]] == ["c2pa.opened", "c2pa.edited"]
        assert second_opinion(made.data, "image/png", anchor)["integrity"] == "valid"
    assert b"theirs" in issue(draw(), claim, identity, source=theirs)[0].data


def test_with_a_credential_in_both_both_are_kept(
    draw: Draw, claim: Claim, identity: Identity, stranger: Identity
) -> None:
    source, output = (sign(draw(), dataclasses.replace(claim, request_id=it), stranger) for it in ("source", "output"))
    made, _ = issue(output, claim, identity, source=source)
    assert [it["relationship"] for it in parts(made)["ingredients"]] == ["parentOf", "inputTo"]
    assert b"source" in made.data
    assert b"output" in made.data


def test_what_was_made_from_a_tampered_image_is_not_signed(draw: Draw, claim: Claim, identity: Identity) -> None:
    source = sign(draw(), claim, identity)
    broken = dataclasses.replace(source, data=source.data.replace(b"request-1", b"request-2"))
    with pytest.raises(StampError) as caught:
        issue(draw(), claim, identity, source=broken)
    assert caught.value.reason == "input_contradicted"


def test_from_the_request_to_the_credential(tmp_path: Path, draw: Draw, claim: Claim, stranger: Identity) -> None:
    source, seen = sign(draw(), claim, stranger), []

    def edit(prompt: str, image: Image, strength: float) -> bytes:
        seen.append((prompt, image, strength))
        return blank_png()

    with Guard(OPEN, home=tmp_path / "home") as g:
        outcome = g.wrap(edit)("make it blue", image=source, strength=0.5, id="one")
        assert seen == [("make it blue", source, 0.5)]
        assert isinstance(outcome.content, Image)
        assert parts(outcome.content)["ingredients"][0]["active_manifest"] == read(source).manifest
        [entry] = g.ledger.reader.history("one")
        assert g.ledger.reader.body(entry.seq, "image") == source
        assert g.wrap(edit)("make it blue", image=source, strength=0.5, id="one").replayed
        with pytest.raises(IdempotencyConflict):
            g.wrap(edit)("make it blue", image=draw(), strength=0.5, id="one")
        with pytest.raises(CallerError, match="beside a prompt that is text"):
            g.generate(Request(source, image=source))


def test_the_image_is_checked_as_the_prompt_is(tmp_path: Path, draw: Draw, claim: Claim, identity: Identity) -> None:
    source = sign(draw(), claim, identity)
    broken = dataclasses.replace(source, data=source.data.replace(b"request-1", b"request-2"))
    rules = [{"id": "no", "checker": "provenance", "category": "credential_invalid", "action": "block"}]
    with Guard({**OPEN, "checkers": {"provenance": {}}, "rules": rules}, home=tmp_path / "home") as g:
        outcome = g.wrap(lambda prompt, image: blank_png())("go", image=broken)
        assert (outcome.state, outcome.decision.rules) == (State.BLOCKED, ("no",))
        assert g.wrap(lambda prompt, image: blank_png())("go", image=source).state is State.RELEASED


# --- what it says ------------------------------------------------------------------------------------------------------


def test_a_mark_leads_back_to_the_claim(draw: Draw, claim: Claim, identity: Identity) -> None:
    full = dataclasses.replace(claim, watermark=MARK, record="genguard.example")
    shown = parts(sign(draw(), full, identity))
    assert shown["c2pa.soft-binding"] == {"alg": "org.genguard.tile-1", "blocks": [{"scope": {}, "value": "AKGyw9Tl"}]}
    assert shown["org.genguard.generation"]["record"] == "genguard.example"
    failed = dataclasses.replace(MARK, status="not_applicable")
    assert "c2pa.soft-binding" not in parts(sign(draw(), dataclasses.replace(full, watermark=failed), identity))


# --- whose certificate was not in force ------------------------------------------------------------------------------


def test_a_signer_of_tomorrow_is_told_from_one_of_yesterday(
    draw: Draw, claim: Claim, keys: KeyRing, identity: Identity, anchor: str
) -> None:
    """No library signs with such a certificate, so it takes the place of a good one of the same length."""
    ca_key, ca = certs._pair((keys.folder / certs.AUTHORITY_FILE).read_bytes(), keys.folder)
    key, now, day = ec.generate_private_key(ec.SECP256R1()), certs.utcnow(), dt.timedelta(days=1)
    name = certs._name("genguard DEVELOPMENT other time", key.public_key())

    def certificate(begins: dt.datetime, size: int | None = None) -> tuple[Any, bytes]:
        while True:
            made = certs._certificate(
                name, key.public_key(), (ca.subject, ca_key), begins, begins + day, authority=False
            )
            der = made.public_bytes(serialization.Encoding.DER)
            if size in (None, len(der)):
                return made, der

    good, der = certificate(now)
    for begins, state in ((now + 9 * day, "not_yet_valid"), (now - 9 * day, "expired")):
        _, other = certificate(begins, len(der))
        service = LocalService(certs._identity(key, [good]))
        swapped = Swapping(service, der, other)
        data = library.issue(
            "image/png", draw().data, definition(claim, now, Lineage()), identity_from_service(swapped)
        )
        found = read(Image(data.replace(der, other)), [anchor])
        assert (found.state, found.problems[-1]) == (credentials.State(state), "signingCredential.expired")


class Swapping:
    """Signs for another certificate than it shows."""

    def __init__(self, service: LocalService, shown: bytes, other: bytes) -> None:
        self.chain, self._sign, self._shown, self._other = service.chain, service.sign, shown, other

    def sign(self, data: bytes) -> bytes:
        assert self._shown in data
        return self._sign(data.replace(self._shown, self._other))


# --- made elsewhere ------------------------------------------------------------------------------------------------------


def test_a_file_that_was_made_elsewhere(tmp_path: Path, draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), Guard(OPEN, home=tmp_path / "home") as g:
        outcome = g.stamp(draw(), model="their painter", id="one")
        assert isinstance(outcome.content, Image)
        assert read(outcome.content).generation["model"] == {"name": "their painter", "weights": None}
        assert "prompt" not in read(outcome.content).generation
        [entry] = g.ledger.reader.history("one")
        assert (entry.kind, entry.fields["generator"]["library"]) == ("generation", "elsewhere")
        text = g.stamp("A report.", model="their writer")
        assert isinstance(text.content, Text)
        assert text.content.text.startswith("A report.\ufeff")
