"""Stamps: what is released carries its mark, and a mark that cannot be made is said to be missing, never invented."""

from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from guard.digest import label
from guard.keys import KeyRing
from guard.provenance import manifest
from guard.provenance.certs import development_anchor, identity_from_files, read_anchors, utcnow
from guard.provenance.credentials import State, read
from guard.provenance.inspect import inspect
from guard.provenance.stamp import Stamper, manifest_sha256
from guard.provenance.watermark import image as marks
from guard.provenance.watermark import key_id, key_ring
from guard.types import Content, Image, Layer, PolicyRef, Stamp, StampSpec, Text
from tests.pictures import encoded, scene

Draw = Callable[..., Image]
FACTS = {
    "model": "/home/somebody/models/tiny",
    "revision": "r7",
    "weights": "sha256:cd",
    "params": {"stop": ["secret words"], "max_new_tokens": 5},
    "seed": 3,
}
MARK = Layer("watermark", "applied", "kgw-lefthash-1", {"key_id": "aabb"})


@pytest.fixture
def stamp(keys: KeyRing, policy: PolicyRef) -> Callable[..., tuple[Content, Stamp]]:
    def make(content: Content, **more: object) -> tuple[Content, Stamp]:
        given = {"request_id": "request-1", "policy": policy, "generator": FACTS, "layers": (), **more}
        return Stamper(keys).stamp(content, **given)  # type: ignore[arg-type]

    return make


def test_text_leaves_as_it_is_with_a_manifest(keys: KeyRing, stamp: Callable[..., tuple[Text, Stamp]]) -> None:
    text = Text("An answer.\n")
    same, made = stamp(text, layers=(MARK,), prompt=Text("secret words"))
    assert same == text
    assert made.digest == text.digest
    assert [layer.kind for layer in made.layers] == ["manifest", "watermark"]
    assert made.layers[0].status == "applied"
    assert made.layers[1] is MARK
    assert made.manifest is not None
    assert manifest_sha256(made) == label(made.manifest.encode())
    key = manifest.public_key(keys.signing_key("manifest").public_key())
    assert made.layers[0].detail == {"key_id": key}
    found = manifest.verify(made.manifest, text.text, [key])
    assert found.state is manifest.State.VALID
    assert found.statement["generator"] == {"model": "tiny", "revision": "r7", "weights": "sha256:cd"}
    assert found.statement["watermark"] == {"status": "applied", "algorithm": "kgw-lefthash-1"}
    assert "secret" not in json.dumps(found.statement)


def test_an_image_leaves_with_a_credential(
    draw: Draw, keys: KeyRing, stamp: Callable[..., tuple[Image, Stamp]]
) -> None:
    image = draw()
    signed, made = stamp(image, prompt=Text("secret words"))
    assert signed.data != image.data
    assert made.digest == signed.digest
    assert made.manifest is None
    assert manifest_sha256(made) is None
    layer, mark = made.layers
    assert (mark.kind, mark.status, mark.detail) == ("watermark", "not_applicable", {"reason": "too_small"})
    assert (layer.kind, layer.status, layer.algorithm) == ("manifest", "applied", "c2pa")
    assert layer.detail["development"] is True
    anchor = development_anchor(keys)
    assert anchor is not None
    found = read(signed, [anchor])
    assert found.state is State.TRUSTED
    assert found.generation["model"] == {"name": "tiny", "weights": "sha256:cd"}
    assert b"secret" not in signed.data
    assert b"somebody" not in signed.data


def test_equal_prompts_cannot_be_told_from_the_images(draw: Draw, stamp: Callable[..., tuple[Image, Stamp]]) -> None:
    image, digests = draw(8), []
    for request_id, prompt in (("a", "cat"), ("b", "cat"), ("a", "dog"), ("a", "cat")):
        signed, _ = stamp(image, request_id=request_id, prompt=Text(prompt))
        digests.append(read(signed).generation["prompt"])
    assert len(set(digests)) == 3
    assert digests[0] == digests[3]


def test_an_image_that_cannot_be_signed_is_unchanged(draw: Draw, stamp: Callable[..., tuple[Content, Stamp]]) -> None:
    bitmap, cut = draw(8, "BMP"), dataclasses.replace(draw(), data=draw().data[:300])
    for image, reason in ((bitmap, "unsupported_format"), (cut, "signing_failed"), (Image(b""), "unsupported_format")):
        same, made = stamp(image)
        assert same is image
        assert made.digest == image.digest
        assert made.layers[0] == Layer("manifest", "failed", "c2pa", {"reason": reason})
        assert made.layers[1].status != "applied"


def test_keys_that_others_can_read_make_no_mark(
    draw: Draw, keys: KeyRing, stamp: Callable[..., tuple[Content, Stamp]], caplog: pytest.LogCaptureFixture
) -> None:
    stamp(draw())
    stamp(Text("first"))
    for file in keys.folder.iterdir():
        file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        for content in (draw(), Text("an answer that stays private")):
            same, made = stamp(content)
            assert same == content
            assert made.manifest is None
            assert made.layers[0].status == "failed"
            assert made.layers[0].detail == {"reason": "key_file"}
    assert "chmod 600" in caplog.text
    assert "private" not in caplog.text


def test_without_the_library_the_mark_fails_and_text_is_still_signed(keys: KeyRing) -> None:
    """In a process of its own, in which c2pa cannot be imported."""
    code = """
import sys; sys.modules["c2pa"] = None
from pathlib import Path
from guard.keys import KeyRing
from guard.provenance.stamp import Stamper
from guard.provenance.inspect import inspect
from guard.types import Image, PolicyRef, Text
keys = KeyRing(Path(sys.argv[1]))
for content in (Image(b"\\x89PNG\\r\\n\\x1a\\n"), Text("x")):
    _, made = Stamper(keys).stamp(content, request_id="r", policy=PolicyRef("p", "1", "d"), generator={})
    print(made.layers[0].status, made.layers[0].detail.get("reason"))
print(inspect(b"\\x89PNG\\r\\n\\x1a\\n", keys=keys).evidence[0].status)
"""
    command = [sys.executable, "-c", code, str(keys.folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["failed missing_extra", "applied None", "not_looked"]
    assert "genguard[images]" in answer.stderr


def test_own_certificates_sign(
    draw: Draw, keys: KeyRing, policy: PolicyRef, own_files: Callable[..., tuple[Path, Path]]
) -> None:
    chain, key = own_files(ec.generate_private_key(ec.SECP256R1()), until=utcnow() + timedelta(days=9))
    stamper = Stamper(keys, signer=identity_from_files(chain, key))
    signed, made = stamper.stamp(draw(), request_id="r", policy=policy, generator={})
    assert isinstance(signed, Image)
    assert made.layers[0].detail["development"] is False
    assert read(signed, [read_anchors(chain)]).state is State.TRUSTED
    assert development_anchor(keys) is None
    with_anchor = inspect(signed.data, keys=keys, anchors=[read_anchors(chain)])
    assert with_anchor.verdict.value == "trusted"


def test_a_picture_is_marked_before_it_is_signed_and_the_credential_names_the_mark(
    draw: Draw, keys: KeyRing, stamp: Callable[..., tuple[Image, Stamp]]
) -> None:
    signed, made = stamp(encoded(scene(4, (384, 384))))
    credential, mark = made.layers
    assert (credential.status, mark.status) == ("applied", "applied")
    found = marks.detect(signed, key_ring(keys, "image-mark"))
    assert found is not None
    assert mark.detail == {"mark_id": found.mark_id.hex(), "key_id": found.key_id}
    assert b"c2pa.soft-binding" in signed.data
    assert read(signed).state is State.VALID
    again, second = stamp(encoded(scene(4, (384, 384))))
    assert second.layers[1].detail["mark_id"] != mark.detail["mark_id"]
    same, third = stamp(again)  # its credential binds these very pixels
    assert third.layers[1].detail == {"reason": "carries_a_credential"}
    assert read(same).state is State.VALID


def test_the_newest_key_marks_and_a_policy_may_leave_marks_out(draw: Draw, keys: KeyRing, policy: PolicyRef) -> None:
    image, given = encoded(scene(4, (384, 384))), {"request_id": "r", "policy": policy, "generator": FACTS}
    older = keys.secret("image-mark")
    newer = keys.secret("image-mark-2")
    signed, made = Stamper(keys).stamp(image, **given)  # type: ignore[arg-type]
    assert made.layers[1].detail["key_id"] == key_id(newer)
    assert isinstance(signed, Image)
    assert marks.detect(signed, {"image-mark": older}) is None
    _, made = Stamper(keys, StampSpec(watermark=False)).stamp(image, **given)  # type: ignore[arg-type]
    assert [layer.kind for layer in made.layers] == ["manifest"]
