"""Credentials: what is signed is read back, and whatever was changed, moved or made up is told apart."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import c2pa  # type: ignore[import-untyped]
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from guard.errors import ContentError, StampError
from guard.provenance import certs, judge, library
from guard.provenance.certs import Identity, identity_from_files
from guard.provenance.credentials import Claim, Credential, State, read, sign
from guard.types import Image

Draw = Callable[..., Image]

FORMS = ("PNG", "JPEG", "WEBP", "GIF")
BODY = {"PNG": b"IDAT", "JPEG": b"\xff\xda", "WEBP": b"VP8 ", "GIF": b","}


def flipped(image: Image, at: int, bit: int = 0) -> Image:
    data = bytearray(image.data)
    data[at] ^= 1 << bit
    return dataclasses.replace(image, data=bytes(data))


def raw_sign(image: Image, identity: Identity, manifest: dict[str, Any], parent: Image | None = None) -> Image:
    """Sign whatever is asked for, without any of our checks."""
    info = c2pa.C2paSignerInfo(identity.algorithm, identity.chain.encode(), identity.key.encode(), None)
    context = c2pa.Context.from_dict(library.settings(library.Trust()), signer=c2pa.Signer.from_info(info))
    builder = c2pa.Builder(manifest, context=context)
    if parent is not None:
        given = {"title": "parent", "relationship": "parentOf", "instance_id": "parent"}
        builder.add_ingredient(given, parent.media_type, io.BytesIO(parent.data))
    target = io.BytesIO()
    builder.sign(image.media_type, io.BytesIO(image.data), target)
    return dataclasses.replace(image, data=target.getvalue())


def opened(**action: Any) -> dict[str, Any]:
    """The manifest of an edit of a parent."""
    first = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}
    actions = [first, {"action": "c2pa.edited", **action}]
    return {
        "claim_generator_info": [{"name": "another tool", "version": "1"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


# --- what holds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_round_trip(draw: Draw, claim: Claim, identity: Identity, anchor: str, form: str) -> None:
    image = draw(64, form)
    signed = sign(image, claim, identity)
    found = read(signed, [anchor])
    assert found.state is State.TRUSTED
    assert found.ai_generated
    assert found.generator == "genguard"
    assert found.signer is not None
    assert "DEVELOPMENT" in found.signer
    assert found.problems == ()
    assert found.generation == {
        "request_id": "request-1",
        "policy": claim.policy._asdict(),
        "model": {"name": "tiny-painter", "weights": claim.weights},
        "prompt": claim.prompt_digest,
    }
    assert signed.media_type == image.media_type
    before, after = (Pillow.open(io.BytesIO(each.data)).convert("RGB").tobytes() for each in (image, signed))
    assert before == after
    assert len(signed.data) - len(image.data) < 6_000  # no thumbnail


def test_the_manifest_says_what_the_rules_ask_for(draw: Draw, claim: Claim, identity: Identity) -> None:
    moment = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
    signed = sign(draw(), claim, identity, now=lambda: moment)
    with c2pa.Reader("image/png", io.BytesIO(signed.data), context=c2pa.Context.from_dict({})) as reader:
        manifest = json.loads(reader.json())["manifests"][reader.get_active_manifest()["label"]]
    data = {assertion["label"]: assertion["data"] for assertion in manifest["assertions"]}
    [action] = data["c2pa.actions.v2"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert action["softwareAgent"] == {"name": "tiny-painter", "version": "1.0"}
    assert action["when"] == "2026-11-23T12:00:00Z"
    assert data["cawg.training-mining"]["entries"]["cawg.ai_generative_training"] == {"use": "notAllowed"}
    assert data["c2pa.ai-disclosure"]["modelName"] == "tiny-painter"
    assert "thumbnail" not in manifest


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (4096, 4096)])
def test_tiny_and_huge_images(size: tuple[int, int], claim: Claim, identity: Identity, anchor: str) -> None:
    buffer = io.BytesIO()
    Pillow.new("RGBA", size, (10, 200, 30, 128)).save(buffer, "PNG")
    assert read(sign(Image(buffer.getvalue()), claim, identity), [anchor]).state is State.TRUSTED


def test_a_wrong_media_type_is_put_right(draw: Draw, claim: Claim, identity: Identity, anchor: str) -> None:
    jpeg = dataclasses.replace(draw(64, "JPEG"), media_type="image/png")
    signed = sign(jpeg, claim, identity)
    assert signed.media_type == "image/jpeg"
    assert read(dataclasses.replace(signed, media_type="image/webp"), [anchor]).state is State.TRUSTED


def test_hostile_names_stay_text(draw: Draw, claim: Claim, identity: Identity, anchor: str) -> None:
    name = 'x"}]}\u0000\u202e<script>'
    odd = dataclasses.replace(claim, request_id=name, model=name)
    assert read(sign(draw(), odd, identity), [anchor]).generation["request_id"] == name


def test_own_signers_of_other_algorithms(own_files: Callable[..., tuple[Path, Path]], draw: Draw, claim: Claim) -> None:
    files = own_files(ec.generate_private_key(ec.SECP384R1()), until=certs.utcnow() + dt.timedelta(days=20))
    signed = sign(draw(), claim, identity_from_files(*files))
    assert read(signed, [certs.read_anchors(files[0])]).state is State.TRUSTED
    assert read(signed).state is State.VALID


# --- who signed ------------------------------------------------------------------------------------------------------


def test_an_unknown_authority_is_valid_not_trusted(draw: Draw, claim: Claim, stranger: Identity, anchor: str) -> None:
    signed = sign(draw(), claim, stranger)
    found = read(signed, [anchor])
    assert found.state is State.VALID
    assert found.problems == ("signingCredential.untrusted",)
    assert found.ai_generated
    assert read(signed).state is State.VALID


def short_lived(identity: Identity, keys_folder: Path, seconds: float) -> Identity:
    """A signer of the same authority that expires soon."""
    ca_key, ca = certs._pair((keys_folder / certs.AUTHORITY_FILE).read_bytes(), keys_folder)
    key = ec.generate_private_key(ec.SECP256R1())
    until = certs.utcnow() + dt.timedelta(seconds=seconds)
    name = certs._name("genguard DEVELOPMENT short-lived", key.public_key())
    leaf = certs._certificate(name, key.public_key(), (ca.subject, ca_key), certs.utcnow(), until, authority=False)
    return certs._identity(key, [leaf])


def test_an_expired_signer_is_told_from_tampering(
    draw: Draw, claim: Claim, identity: Identity, anchor: str, keys: Any
) -> None:
    brief = short_lived(identity, keys.folder, 2)
    signed = sign(draw(), claim, brief)
    assert read(signed, [anchor]).state is State.TRUSTED
    time.sleep(max(0.0, (brief.expires - certs.utcnow()).total_seconds()) + 1.1)
    found = read(signed, [anchor])
    assert found.state is State.EXPIRED
    assert "signingCredential.expired" in found.problems
    assert read(flipped(signed, len(signed.data) - 60), [anchor]).state is State.INVALID
    with pytest.raises(StampError):
        sign(draw(), claim, brief)


def test_a_key_that_is_not_the_certificates_is_refused(
    draw: Draw, claim: Claim, identity: Identity, stranger: Identity
) -> None:
    with pytest.raises(StampError):
        sign(draw(), claim, dataclasses.replace(identity, key=stranger.key))
    with pytest.raises(StampError):
        sign(draw(), claim, dataclasses.replace(identity, key="nonsense"))
    with pytest.raises(StampError):
        sign(draw(), claim, dataclasses.replace(identity, chain="nonsense"))


# --- what does not hold ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_any_changed_byte_of_the_picture_is_seen(
    draw: Draw, claim: Claim, identity: Identity, anchor: str, form: str
) -> None:
    signed = sign(draw(48, form), claim, identity)
    start = signed.data.rindex(BODY[form]) + 16 if form != "PNG" else signed.data.index(BODY[form]) + 4
    manifest = signed.data.index(b"jumb")
    end = manifest - 12 if manifest > start else len(signed.data)  # not the name of the chunk that holds it
    places = range(start, end, max(1, (end - start) // 80))
    assert len(places) > 40
    states = {read(flipped(signed, place, place % 8), [anchor]).state for place in places}
    assert states == {State.INVALID}


def test_added_bytes_are_seen(draw: Draw, claim: Claim, identity: Identity, anchor: str) -> None:
    signed = sign(draw(), claim, identity)
    longer = dataclasses.replace(signed, data=signed.data + b"more")
    assert read(longer, [anchor]).problems == ("assertion.dataHash.mismatch",)


def test_a_changed_claim_is_seen(draw: Draw, claim: Claim, identity: Identity, anchor: str) -> None:
    signed = sign(draw(), claim, identity)
    found = read(dataclasses.replace(signed, data=signed.data.replace(b"request-1", b"request-2")), [anchor])
    assert found.state is State.INVALID
    assert "assertion.hashedURI.mismatch" in found.problems


def test_a_transplanted_credential_is_seen(draw: Draw, claim: Claim, identity: Identity, anchor: str) -> None:
    """The manifest of one PNG, put into another."""
    signed, other = sign(draw(), claim, identity).data, draw().data
    at = signed.index(b"caBX") - 4
    chunk = signed[at : at + 12 + int.from_bytes(signed[at : at + 4], "big")]
    assert read(Image(other[:33] + chunk + other[33:]), [anchor]).state is State.INVALID


def test_a_copy_saved_again_has_none(draw: Draw, claim: Claim, identity: Identity, anchor: str) -> None:
    signed, buffer = sign(draw(), claim, identity), io.BytesIO()
    Pillow.open(io.BytesIO(signed.data)).save(buffer, "PNG")
    assert read(Image(buffer.getvalue()), [anchor]) == Credential(State.NONE)
    assert read(draw(), [anchor]).state is State.NONE


@pytest.mark.parametrize("data", [b"", b"hello world", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_a_content_error(data: bytes, anchor: str) -> None:
    with pytest.raises(ContentError, match="truncated or malformed"):
        read(Image(data), [anchor])


def test_formats_that_cannot_carry_one(draw: Draw, claim: Claim, identity: Identity) -> None:
    bitmap = draw(8, "BMP")
    assert read(bitmap).problems == ("format.unsupported",)
    with pytest.raises(StampError, match="no credential can be put into"):
        sign(bitmap, claim, identity)
    truncated = dataclasses.replace(draw(), data=draw().data[:500])
    with pytest.raises(StampError):
        sign(truncated, claim, identity)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_file_never_passes(draw: Draw, claim: Claim, identity: Identity, anchor: str, form: str) -> None:
    signed = sign(draw(32, form), claim, identity)
    for end in range(0, len(signed.data), 97):
        try:
            state = read(dataclasses.replace(signed, data=signed.data[:end]), [anchor]).state
        except ContentError:
            continue
        assert state in (State.INVALID, State.NONE)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(1, 255)), min_size=1, max_size=6))
def test_no_damage_makes_it_crash_or_changes_what_it_says(
    cut: list[tuple[float, int]], draw: Draw, claim: Claim, identity: Identity, anchor: str
) -> None:
    """Padding inside the manifest is not bound; wherever the state survives, so does all that it says."""
    whole = _cached(draw, claim, identity)
    data = bytearray(whole.data)
    for place, change in cut:
        data[int(place * len(data))] ^= change
    try:
        found = read(dataclasses.replace(whole, data=bytes(data)), [anchor])
    except ContentError:
        return
    if found.state in (State.TRUSTED, State.VALID):
        assert found.generation["request_id"] == "request-1"
        assert found.ai_generated


_SIGNED: dict[str, Image] = {}


def _cached(draw: Draw, claim: Claim, identity: Identity) -> Image:
    return _SIGNED.setdefault(identity.fingerprint, sign(draw(16, "JPEG"), claim, identity))


# --- inputs ----------------------------------------------------------------------------------------------------------


def test_a_tampered_parent_contradicts(draw: Draw, claim: Claim, identity: Identity, anchor: str) -> None:
    """The library itself says "Trusted" here: only the ingredient tells."""
    parent = sign(draw(), claim, identity)
    broken = flipped(parent, len(parent.data) - 60)
    child = raw_sign(draw(), identity, opened(), broken)
    grandchild = raw_sign(draw(), identity, opened(), child)
    for image in (child, grandchild):
        found = read(image, [anchor])
        assert found.state is State.CONTRADICTED
        assert "ingredient: assertion.dataHash.mismatch" in found.problems


def test_a_parent_damaged_inside_the_file_contradicts(
    draw: Draw, claim: Claim, identity: Identity, anchor: str
) -> None:
    child = raw_sign(draw(), identity, opened(), sign(draw(), claim, identity))
    assert read(child, [anchor]).state is State.TRUSTED
    damaged = dataclasses.replace(child, data=child.data.replace(b"request-1", b"request-2"))
    assert read(damaged, [anchor]).state is State.CONTRADICTED


def test_an_unknown_parent_is_no_contradiction(
    draw: Draw, claim: Claim, identity: Identity, stranger: Identity, anchor: str
) -> None:
    by_stranger = raw_sign(draw(), identity, opened(), sign(draw(), claim, stranger))
    assert read(by_stranger, [anchor]).state is State.TRUSTED
    unsigned = raw_sign(draw(), identity, opened(), draw())
    found = read(unsigned, [anchor])
    assert found.state is State.TRUSTED
    assert not found.ai_generated


def test_an_edit_of_a_generated_image_is_still_generated(
    draw: Draw, claim: Claim, identity: Identity, anchor: str
) -> None:
    child = raw_sign(draw(), identity, opened(), sign(draw(), claim, identity))
    assert read(child, [anchor]).ai_generated


def test_signing_keeps_the_credential_that_is_there(
    draw: Draw, claim: Claim, identity: Identity, stranger: Identity, anchor: str
) -> None:
    theirs = sign(draw(), dataclasses.replace(claim, request_id="theirs"), stranger)
    ours = sign(theirs, claim, identity)
    found = read(ours, [anchor])
    assert found.state is State.TRUSTED
    assert found.generation["request_id"] == "request-1"
    assert b"theirs" in ours.data
    with pytest.raises(StampError, match="made from carries a credential that does not verify"):
        sign(flipped(theirs, len(theirs.data) - 60), claim, identity)


def test_what_an_ingredient_says_went_wrong_is_not_repeated(draw: Draw) -> None:
    """Status codes inside ingredients are written by whoever signed: they may be any text."""
    manifest = {
        "ingredients": [{"validation_status": [{"code": "secret words <b>"}, {"code": "claimSignature.validated"}]}],
        "assertions": [],
    }
    report = {"active_manifest": "a", "manifests": {"a": manifest}, "validation_state": "Trusted"}
    assert judge.judge(report).problems == ("ingredient: unknown",)
    assert judge.judge(report).state is State.CONTRADICTED


def test_manifests_that_refer_in_circles_end() -> None:
    circle = {"ingredients": [{"active_manifest": "b"}], "assertions": []}
    back = {"ingredients": [{"active_manifest": "a"}, {"active_manifest": "gone"}], "assertions": []}
    report = {"active_manifest": "a", "manifests": {"a": circle, "b": back}, "validation_state": "Trusted"}
    assert judge.judge(report).problems == ("ingredient: ingredient.manifest.missing",)


def test_a_credential_has_no_truth_value(draw: Draw) -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(read(draw()))


# --- no network, no traces -------------------------------------------------------------------------------------------


@contextmanager
def counting_server() -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine that notes who asks."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_remote_manifest_is_not_fetched(draw: Draw, identity: Identity, anchor: str) -> None:
    created = copy.deepcopy(opened())
    source = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    created["assertions"][0]["data"]["actions"] = [{"action": "c2pa.created", "digitalSourceType": source}]
    with counting_server() as (url, asked):
        info = c2pa.C2paSignerInfo(identity.algorithm, identity.chain.encode(), identity.key.encode(), None)
        context = c2pa.Context.from_dict(library.settings(library.Trust()), signer=c2pa.Signer.from_info(info))
        builder, target = c2pa.Builder(created, context=context), io.BytesIO()
        builder.set_no_embed()
        builder.set_remote_url(f"{url}/manifest.c2pa")
        builder.sign("image/png", io.BytesIO(draw().data), target)
        found = read(Image(target.getvalue()), [anchor])
        assert found == Credential(State.NONE, problems=("manifest.remote",))
        assert asked == []
        with pytest.raises(c2pa.C2paError):  # the library's own default does fetch, so the server would have noticed
            c2pa.Reader("image/png", io.BytesIO(target.getvalue()))
        assert asked == ["/manifest.c2pa"]


def test_revocation_is_not_asked_for(draw: Draw, claim: Claim, identity: Identity, keys: Any) -> None:
    with counting_server() as (url, asked):
        ca_key, ca = certs._pair((keys.folder / certs.AUTHORITY_FILE).read_bytes(), keys.folder)
        key = ec.generate_private_key(ec.SECP256R1())
        plain = certs._certificate(
            certs._name("DEVELOPMENT", key.public_key()),
            key.public_key(),
            (ca.subject, ca_key),
            certs.utcnow(),
            certs.utcnow() + dt.timedelta(days=1),
            authority=False,
        )
        builder = x509.CertificateBuilder(
            issuer_name=plain.issuer,
            subject_name=plain.subject,
            public_key=plain.public_key(),
            serial_number=plain.serial_number,
            not_valid_before=plain.not_valid_before_utc,
            not_valid_after=plain.not_valid_after_utc,
            extensions=list(plain.extensions),
        )
        where = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"{url}/ocsp")
        )
        leaf = builder.add_extension(x509.AuthorityInformationAccess([where]), critical=False).sign(
            ca_key, hashes.SHA256()
        )
        signed = sign(draw(), claim, certs._identity(key, [leaf, ca]))
        assert read(signed, [certs._pem(ca)]).state is State.TRUSTED
        assert asked == []
        fetching = library.settings(library.Trust([certs._pem(ca)]))
        fetching["verify"] = {"ocsp_fetch": True, "remote_manifest_fetch": False}
        with c2pa.Reader("image/png", io.BytesIO(signed.data), context=c2pa.Context.from_dict(fetching)):
            pass
        assert asked  # so the library would have asked, had we let it


def test_threads_sign_at_once(draw: Draw, claim: Claim, identity: Identity, anchor: str) -> None:
    image = draw()

    def one(number: int) -> bool:
        signed = sign(image, dataclasses.replace(claim, request_id=f"r{number}"), identity)
        found = read(signed, [anchor])
        return found.state is State.TRUSTED and found.generation["request_id"] == f"r{number}"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(40)))


def test_nothing_is_left_behind(
    draw: Draw, claim: Claim, identity: Identity, anchor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.chdir(scratch)
    monkeypatch.setenv("TMPDIR", str(scratch))
    image = draw(512)

    def work(times: int) -> tuple[int, int]:
        for _ in range(times):
            read(sign(image, claim, identity), [anchor])
            with pytest.raises(ContentError):
                read(dataclasses.replace(image, data=image.data[:5000]), [anchor])
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE")

    files, memory = work(15)
    more_files, more_memory = work(80)
    assert list(scratch.iterdir()) == []
    assert more_files == files
    assert more_memory - memory < 25_000_000  # 80 images of 0.65 MB, several copies each
