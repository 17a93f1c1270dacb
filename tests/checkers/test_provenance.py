"""The provenance checker: each state of a credential is one finding, and no credential is no finding."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pillow
from pydantic import ValidationError

from guard.checkers.provenance import ProvenanceChecker
from guard.digest import label
from guard.errors import ContentError, KeyFileError
from guard.keys import KeyRing
from guard.plugins import build_checker
from guard.provenance import credentials, library
from guard.provenance.certs import AUTHORITY_FILE, development_anchor, development_identity
from guard.provenance.claim import PARENT, Claim, Lineage, definition
from guard.settings import load
from guard.types import Image, Item, PolicyRef, Stage, Text

CLAIM = Claim("request-1", PolicyRef("default", "1", "sha256:ab"), "tiny")
Signed = Callable[[], Image]


def plain(side: int = 32) -> Image:
    buffer = io.BytesIO()
    Pillow.effect_noise((side, side), 60).convert("RGB").save(buffer, "PNG")
    return Image(buffer.getvalue())


def signed(keys: KeyRing) -> Image:
    return credentials.sign(plain(), CLAIM, development_identity(keys))


def broken(image: Image) -> Image:
    return Image(image.data[:-60] + bytes([image.data[-60] ^ 1]) + image.data[-59:])


def findings(checker: ProvenanceChecker, *images: Image) -> list[list[tuple[str, float]]]:
    items = [Item(image, Stage.INPUT) for image in images]
    return [[(each.category, each.score) for each in found] for found in checker.check(items)]


def test_each_state_of_a_credential(tmp_path: Path) -> None:
    ours, theirs = KeyRing(tmp_path / "ours"), KeyRing(tmp_path / "theirs")
    checker = ProvenanceChecker(keys=ours)
    mine, foreign = signed(ours), signed(theirs)
    assert findings(checker, plain(), mine, foreign, broken(mine), broken(foreign)) == [
        [],
        [("ai_generated", 1.0)],
        [("ai_generated", 0.8), ("credential_untrusted", 0.5)],
        [("credential_invalid", 1.0)],
        [("credential_invalid", 1.0)],
    ]


def test_an_image_made_from_a_tampered_one(tmp_path: Path) -> None:
    keys = KeyRing(tmp_path)
    identity, parent = development_identity(keys), broken(signed(keys))
    manifest = definition(CLAIM, identity.expires, Lineage(carried=True))
    ingredient = library.Ingredient(PARENT, "parentOf", "image/png", parent.data)
    data = library.issue("image/png", plain().data, manifest, identity, ingredients=[ingredient])
    found = findings(ProvenanceChecker(keys=keys), Image(data))
    assert found == [[("ai_generated", 0.8), ("credential_contradicted", 1.0)]]


def test_both_stages_and_other_contents(tmp_path: Path) -> None:
    keys = KeyRing(tmp_path)
    image = broken(signed(keys))
    checker = ProvenanceChecker(keys=keys)
    items = [Item(Text("credential"), Stage.INPUT), Item(image, Stage.INPUT), Item(image, Stage.OUTPUT)]
    assert [[each.category for each in found] for found in checker.check(items)] == [
        [],
        ["credential_invalid"],
        ["credential_invalid"],
    ]
    assert checker.check([]) == []
    assert checker.kinds == {"image", "audio", "video", "document"}


def test_anchors_of_others_can_be_trusted(tmp_path: Path) -> None:
    theirs = KeyRing(tmp_path / "theirs")
    image = signed(theirs)
    anchor = development_anchor(theirs)
    assert anchor is not None
    (tmp_path / "anchor.pem").write_text(anchor)
    checker = build_checker("provenance", {"anchors": [str(tmp_path / "anchor.pem")]})
    assert isinstance(checker, ProvenanceChecker)
    assert findings(checker, image) == [[("ai_generated", 1.0)]]
    assert checker.version == f"{ProvenanceChecker.version} anchors {label(anchor.encode())}"  # which the record keeps


def test_the_local_authority_is_found_through_the_settings_even_when_made_later() -> None:
    checker = ProvenanceChecker()
    image = signed(KeyRing(load().keys))
    assert findings(checker, image) == [[("ai_generated", 1.0)]]


def test_looking_makes_no_authority(tmp_path: Path) -> None:
    findings(ProvenanceChecker(keys=KeyRing(tmp_path)), plain())
    assert not (tmp_path / AUTHORITY_FILE).exists()


def test_what_cannot_be_parsed_is_an_error_and_not_clean(tmp_path: Path) -> None:
    checker = ProvenanceChecker(keys=KeyRing(tmp_path))
    for data in (b"", b"secret words", signed(KeyRing(tmp_path)).data[:900]):
        with pytest.raises(ContentError) as caught:
            findings(checker, Image(data))
        assert "secret" not in str(caught.value)


def test_params_are_strict(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        build_checker("provenance", {"anchor": "x"})
    with pytest.raises(KeyFileError, match="cannot read"):
        build_checker("provenance", {"anchors": [str(tmp_path / "missing.pem")]})
