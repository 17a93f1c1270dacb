"""Marks in images: what they survive, what they refuse, and how they look. The table is `python -m tests.bench marks`."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from PIL import ImageEnhance

from guard.provenance.watermark import image as marks
from guard.provenance.watermark import key_id
from guard.types import Image
from tests.bench import imagery
from tests.pictures import bomb, encoded, moving, scene, written

KEY, OTHER = b"k" * 32, b"o" * 32
KEYS = {"image-mark": KEY}
MARK = bytes.fromhex("0123456789ab")


def shown(image: Image) -> Any:
    return Pil.open(io.BytesIO(image.data))


def psnr(left: Any, right: Any) -> float:
    error = np.square(np.asarray(left, float) - np.asarray(right, float)).mean()
    return float(10 * np.log10(255**2 / error))


@pytest.fixture(scope="module")
def marked() -> list[tuple[Any, Any]]:
    """Pictures of four kinds, without and with the mark."""
    pairs = []
    for _, pixels in imagery.pictures(4, 384, seed=3):
        plain = Pil.fromarray(pixels)
        image, layer = marks.embed(encoded(plain), MARK, KEY)
        assert layer.status == "applied"
        assert layer.detail == {"mark_id": MARK.hex(), "key_id": key_id(KEY)}
        pairs.append((plain, shown(image).convert("RGB")))
    return pairs


def test_nobody_sees_it(marked: list[tuple[Any, Any]]) -> None:
    for plain, picture in marked:
        assert psnr(plain, picture) >= 40  # at 512², and there 41: the bench measures it


Change = Callable[[Any], Any]


def jpeg(picture: Any, quality: int) -> Any:
    return shown(encoded(picture, "JPEG", quality=quality))


def middle(picture: Any, keep: float) -> Any:
    """So much of the picture, from an odd corner."""
    width, height = (round(size * keep**0.5) for size in picture.size)
    left, top = (picture.width - width) // 3, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


PLAIN: dict[str, Change] = {
    "as it is": lambda p: p,
    "jpeg 50": lambda p: jpeg(p, 50),
    "half of it": lambda p: middle(p, 0.5),
    "mirrored": lambda p: p.transpose(Pil.Transpose.FLIP_LEFT_RIGHT),
    "contrast": lambda p: ImageEnhance.Contrast(p).enhance(1.3),
}
SEARCHED: dict[str, tuple[Change, float, float, bool]] = {
    "screenshot": (lambda p: jpeg(p.resize((346, 346)), 75), 346 / 384, 0.0, False),
    "half the size": (lambda p: p.resize((192, 192)), 0.5, 0.0, False),
    "turned and mirrored": (
        lambda p: p.transpose(Pil.Transpose.FLIP_LEFT_RIGHT).rotate(5, Pil.Resampling.BICUBIC),
        1.0,
        5.0,
        True,
    ),
    "cut, turned, made larger": (
        lambda p: middle(p.rotate(-90).rotate(2, Pil.Resampling.BICUBIC), 0.6).resize((386, 386)),
        1.3,
        -88.0,
        False,
    ),
}


@pytest.mark.parametrize("change", PLAIN)
def test_it_is_read_from_what_was_compressed_cut_or_mirrored(change: str, marked: list[tuple[Any, Any]]) -> None:
    for _, picture in marked:
        found = marks.detect(encoded(PLAIN[change](picture)), KEYS)
        assert found is not None
        assert (found.mark_id, found.key_id, found.flipped) == (MARK, key_id(KEY), change == "mirrored")


@pytest.mark.parametrize("change", SEARCHED)
def test_a_search_tells_what_became_of_the_picture(change: str, marked: list[tuple[Any, Any]]) -> None:
    change_it, scale, rotation, flipped = SEARCHED[change]
    for _, picture in marked[:2]:
        image = encoded(change_it(picture))
        assert marks.detect(image, KEYS) is None
        found = marks.detect(image, KEYS, search=True)
        assert found is not None
        assert (found.mark_id, found.flipped) == (MARK, flipped)
        assert found.scale == pytest.approx(scale, rel=0.006)
        assert found.rotation == pytest.approx(rotation, abs=0.3)


def test_what_has_no_mark_of_ours_gives_none(marked: list[tuple[Any, Any]]) -> None:
    plain, picture = marked[0]
    assert marks.detect(encoded(picture), {"other": OTHER}, search=True) is None
    assert marks.detect(encoded(plain), KEYS, search=True) is None
    flat = encoded(Pil.new("RGB", (300, 300), "grey"))
    assert marks.detect(flat, KEYS, search=True) is None


def test_older_keys_are_tried_too(marked: list[tuple[Any, Any]]) -> None:
    found = marks.detect(encoded(marked[0][1]), {"image-mark-2": OTHER, "image-mark": KEY})
    assert found is not None
    assert found.key_id == key_id(KEY)


def test_marks_that_follow_each_other_differ_in_their_pattern() -> None:
    """The residuals of pictures with random identities share little, so an average shows little."""
    plain = scene(1, (256, 256)).convert("L")
    before = np.asarray(plain, float)
    parts = []
    for number in range(4):
        image, layer = marks.embed(encoded(plain), bytes([number] * 6), KEY)
        assert layer.status == "applied"
        parts.append((np.asarray(shown(image), float) - before).ravel())
    assert abs(np.corrcoef(parts) - np.eye(4)).max() < 0.4


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "L", {}),
        ("PNG", "LA", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("JPEG", "RGB", {"quality": 90, "subsampling": 2}),
        ("JPEG", "L", {"quality": 85}),
        ("WEBP", "RGB", {"quality": 85}),
        ("WEBP", "RGBA", {"lossless": True}),
    ],
)
def test_formats_and_modes_stay(kind: str, mode: str, options: dict[str, Any]) -> None:
    picture = scene(5, (400, 300)).convert(mode)
    if "A" in mode:
        picture.putalpha(Pil.linear_gradient("L").resize(picture.size))
    image, layer = marks.embed(encoded(picture, kind, **options), MARK, KEY)
    assert layer.status == "applied", layer
    after = shown(image)
    assert image.media_type == f"image/{kind.lower()}"
    assert (after.format, after.size) == (kind, picture.size)
    assert after.mode == ("RGB" if mode == "P" else mode)
    if "A" in mode:
        assert np.array_equal(np.asarray(after.getchannel("A")), np.asarray(picture.getchannel("A")))
    found = marks.detect(image, KEYS)
    assert found is not None
    assert found.mark_id == MARK


def test_the_colour_profile_and_the_orientation_stay() -> None:
    exif = Pil.Exif()
    exif[0x0112] = 6
    image, layer = marks.embed(encoded(scene(2), "JPEG", icc_profile=b"profile", exif=exif), MARK, KEY)
    assert layer.status == "applied"
    assert shown(image).info["icc_profile"] == b"profile"
    assert shown(image).getexif()[0x0112] == 6


@pytest.mark.parametrize(
    ("image", "status", "reason"),
    [
        (moving([scene(1), scene(2)]), "not_applicable", "unsupported_format"),
        (moving([scene(1), scene(2)], "WEBP"), "not_applicable", "animated"),
        (encoded(scene(1), "GIF"), "not_applicable", "unsupported_format"),
        (encoded(scene(1, (127, 400))), "not_applicable", "too_small"),
        (encoded(Pil.new("I;16", (300, 300))), "not_applicable", "unsupported_mode"),
        (encoded(scene(1).convert("CMYK"), "JPEG"), "not_applicable", "unsupported_mode"),
        (encoded(Pil.effect_noise((128, 128), 200)), "not_applicable", "did_not_take"),
        (bomb(30_000, 30_000), "failed", "does_not_decode"),
        (Image(b"no image"), "not_applicable", "unsupported_format"),
        (Image(encoded(scene(1)).data[:300]), "failed", "does_not_decode"),
    ],
)
def test_what_takes_no_mark_stays_as_it_was(image: Image, status: str, reason: str) -> None:
    same, layer = marks.embed(image, MARK, KEY)
    assert same is image
    assert (layer.kind, layer.status, layer.detail) == ("watermark", status, {"reason": reason})


def test_a_large_picture_needs_little_memory() -> None:
    """Beyond the pixels themselves: 12 million of them, 36 MB, are marked and read with bands of some rows."""
    picture = Pil.fromarray(imagery.pictures(1, 500, seed=8)[0][1]).resize((4000, 3000))
    tracemalloc.start()
    result = marks._marked(picture, MARK, KEY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * 36e6
    cut = result.crop((1111, 777, 2111, 1777))
    assert marks.detect(encoded(cut, compress_level=1), KEYS) is not None


def test_text_on_paper_takes_it() -> None:
    image, layer = marks.embed(encoded(written(*["A page of quite some text."] * 8)), MARK, KEY)
    assert layer.status == "applied"
    assert marks.detect(image, KEYS) is not None
