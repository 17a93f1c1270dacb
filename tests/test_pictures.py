"""Decoding what nobody vouches for, and covering parts of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image as Pil

from guard import pictures
from guard.errors import ContentError, MissingExtra
from guard.types import Image, Region
from tests.pictures import bomb, encoded, moving, scene


def opened(image: Image) -> Any:
    return Pil.open(io.BytesIO(image.data))


def steepest(picture: Any) -> int:
    """The greatest step from a pixel to its neighbour."""
    import numpy as np

    return int(np.abs(np.diff(np.asarray(picture, int), axis=1)).max())


@pytest.mark.parametrize("side", [7_000, 20_000, 200_000])
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    import tracemalloc

    image = bomb(side, side)
    tracemalloc.start()
    try:
        with pytest.raises(ContentError, match=r"more than 40000000|does not decode \(DecompressionBombError\)"):
            pictures.frames(image)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_limits_are_named() -> None:
    image = encoded(scene(1))
    with pytest.raises(
        ContentError, match="the image has 320 × 240 pixels in 1 frames, more than 76799: raise max_pixels"
    ):
        pictures.frames(image, max_pixels=76_799)
    assert len(pictures.frames(image, max_pixels=76_800)) == 1
    film = moving([scene(seed, (32, 24)) for seed in range(5)])
    with pytest.raises(ContentError, match="5 frames, and 4 are looked at"):
        pictures.frames(film, max_frames=4)
    with pytest.raises(ContentError, match="in 5 frames, more than 3839"):
        pictures.frames(film, max_pixels=5 * 32 * 24 - 1)
    assert len(pictures.frames(film)) == 5


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_cut_off_images_do_not_decode(kind: str) -> None:
    whole = encoded(scene(1), kind)
    assert [frame.size for frame in pictures.frames(whole)] == [(320, 240)]
    for share in (0.9, 0.3, 0.01):
        with pytest.raises(ContentError):
            pictures.frames(Image(whole.data[: int(len(whole.data) * share)]))


@pytest.mark.parametrize("data", [b"", b"no image", b"RIFF\0\0\0\0WAVEfmt ", b"%PDF-1.7", b"BM" + bytes(60)])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ContentError, match="no image that is supported"):
        pictures.frames(Image(data))


def test_pictures_are_as_shown() -> None:
    picture = scene(1)
    exif = Pil.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    [frame] = pictures.frames(encoded(picture, "JPEG", exif=exif))
    assert frame.size == (240, 320)
    [view] = pictures.views(frame)
    assert view.mode == "RGB"
    clear = Pil.new("RGBA", (4, 4), (255, 255, 255, 0))
    white, black = pictures.views(clear)
    assert (white.getpixel((0, 0)), black.getpixel((0, 0))) == ((255, 255, 255), (0, 0, 0))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("blur", [False, True])
def test_a_region_is_covered_and_the_rest_is_kept(kind: str, blur: bool) -> None:
    image, region = encoded(scene(1), kind), Region(40, 30, 120, 60)
    cover = pictures.covered(image, [] if blur else [region], [region] if blur else [])
    assert cover.media_type == image.media_type
    before, after = pictures.frames(image)[0].convert("RGB"), pictures.frames(cover)[0].convert("RGB")
    inside, box = (44, 34, 156, 86), (0, 100, 320, 240)
    if not blur:
        assert max(after.crop(inside).tobytes()) < 30
    assert steepest(before.crop(inside)) > 100
    assert steepest(after.crop(inside)) < 30
    kept = [abs(x - y) for x, y in zip(before.crop(box).tobytes(), after.crop(box).tobytes(), strict=True)]
    assert sum(kept) / len(kept) < (6 if kind in ("JPEG", "GIF") else 0.01)


def test_a_blur_keeps_no_detail() -> None:
    noise = Pil.effect_noise((200, 40), 200).convert("RGB")
    [blurred] = pictures.frames(pictures.covered(encoded(noise), [], [Region(0, 0, 200, 40)]))
    assert steepest(noise) > 150
    assert steepest(blurred.convert("RGB")) < 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_every_frame_is_covered(kind: str) -> None:
    film = moving([scene(seed) for seed in range(4)], kind)
    cover = pictures.covered(film, [Region(0, 0, 320, 100)])
    found = pictures.frames(cover)
    assert len(found) >= 1
    assert opened(cover).n_frames == 4
    for frame in found:
        assert max(frame.convert("RGB").crop((2, 2, 318, 96)).tobytes()) < 30


def test_metadata_goes() -> None:
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    said.add_text("Comment", "4111 1111 1111 1111")
    exif = Pil.Exif()
    exif[0x010E] = "4111 1111 1111 1111"
    for image in (encoded(scene(1), "PNG", pnginfo=said), encoded(scene(1), "JPEG", exif=exif)):
        assert b"4111" in image.data
        assert b"4111" not in pictures.covered(image, [Region(0, 0, 9, 9)]).data


def test_what_is_not_in_the_picture_is_not_covered() -> None:
    for region in (Region(320, 0, 9, 9), Region(0, 240, 9, 9), Region(-9, 0, 9, 9), Region(5, 5, 0, 9)):
        with pytest.raises(ContentError, match="not in the picture"):
            pictures.covered(encoded(scene(1)), [region])
    [frame] = pictures.frames(pictures.covered(encoded(scene(1)), [Region(-9, -9, 20, 20)]))
    assert frame.getpixel((10, 10)) == (0, 0, 0, 255)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    image = encoded(scene(1))
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtra, match=r"pip install 'genguard\[imagery\]'"):
        pictures.frames(image)
