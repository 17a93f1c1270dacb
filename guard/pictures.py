"""Decoding images that nobody vouches for, and covering parts of them. Sizes are checked before pixels are decoded.

Pictures are as they are shown: turned as their EXIF data says. Regions are in these pixels.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from guard import media
from guard.errors import ContentError, MissingExtra
from guard.types import Image, Region

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 40_000_000  # of all frames together
MAX_FRAMES = 64
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
_CELLS = 3  # rows of a blurred region: too few to read a line of text from
_LOSSY: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}


def frames(image: Image, *, max_pixels: int = MAX_PIXELS, max_frames: int = MAX_FRAMES) -> list[Picture]:
    """All frames of an image, as RGBA. Raises ContentError for what is no image, is too large, or does not decode."""
    return [frame for frame, _ in _decoded(image, max_pixels, max_frames)]


def views(frame: Picture) -> Iterator[Picture]:
    """The frame as it looks, in RGB; where it is see-through, on white and on black, because things hide on either."""
    see_through = frame.getchannel("A").getextrema()[0] != 255
    for colour in ("white", "black") if see_through else ("white",):
        ground = _pil().new("RGBA", frame.size, colour)
        ground.alpha_composite(frame)
        yield ground.convert("RGB")


def covered(image: Image, filled: Sequence[Region], blurred: Sequence[Region] = ()) -> Image:
    """The image with regions filled in black or blurred beyond reading, in each frame, and without metadata.

    Raises ContentError for a region that is not in the picture: what cannot be covered must not pass as covered.
    """
    decoded = _decoded(image, MAX_PIXELS, MAX_FRAMES)
    for picture, _ in decoded:
        for region in blurred:
            _blur(picture, _box(picture, region))
        for region in filled:
            picture.paste((0, 0, 0, 255), _box(picture, region))
    kind = _FORMATS[str(media.media_type(image.data))]
    pictures = [picture if kind != "JPEG" else picture.convert("RGB") for picture, _ in decoded]
    options: dict[str, Any] = dict(_LOSSY.get(kind, {}))
    if len(pictures) > 1:
        options |= {"save_all": True, "append_images": pictures[1:], "duration": [length for _, length in decoded]}
        options |= {"loop": 0}
    buffer = io.BytesIO()
    pictures[0].save(buffer, kind, **options)
    return Image(buffer.getvalue(), image.media_type)


def _decoded(image: Image, max_pixels: int, max_frames: int) -> list[tuple[Picture, int]]:
    """Frames with the milliseconds for which each is shown."""
    with opened(image, max_pixels, max_frames) as (picture, count):
        return list(_shown(picture, count))


@contextlib.contextmanager
def opened(image: Image, max_pixels: int = MAX_PIXELS, max_frames: int = MAX_FRAMES) -> Iterator[tuple[Any, int]]:
    """The image as its file holds it, not decoded yet, and its number of frames. Raises ContentError, while it is used too."""
    pil = _pil()
    kind = media.media_type(image.data)
    if kind not in _FORMATS:
        raise ContentError("the bytes are no image that is supported (PNG, JPEG, WebP, GIF)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pil.DecompressionBombWarning)  # ours is the stricter limit
            with pil.open(io.BytesIO(image.data), formats=[_FORMATS[kind]]) as picture:
                count = getattr(picture, "n_frames", 1)
                _check_size(picture.width, picture.height, count, max_pixels, max_frames)
                yield picture, count
    except (OSError, ValueError, SyntaxError, EOFError, pil.DecompressionBombError) as error:
        raise ContentError(f"the image does not decode ({type(error).__name__})") from None


def _check_size(width: int, height: int, count: int, max_pixels: int, max_frames: int) -> None:
    if count > max_frames:
        raise ContentError(
            f"the image has {count} frames, and {max_frames} are looked at: raise max_frames or refuse it"
        )
    if width * height * count > max_pixels:
        raise ContentError(
            f"the image has {width} × {height} pixels in {count} frames, more than {max_pixels}: raise max_pixels or shrink it"
        )


def _shown(opened: Any, count: int) -> Iterator[tuple[Picture, int]]:
    from PIL import ImageOps

    for number in range(count):
        opened.seek(number)
        length = int(opened.info.get("duration", 0) or 0)
        yield ImageOps.exif_transpose(opened).convert("RGBA"), length


def _box(picture: Picture, region: Region) -> tuple[int, int, int, int]:
    left, top = max(region.x, 0), max(region.y, 0)
    right, bottom = min(region.x + region.width, picture.width), min(region.y + region.height, picture.height)
    if left >= right or top >= bottom:
        raise ContentError("a region to be covered is not in the picture")
    return left, top, right, bottom


def _blur(picture: Picture, box: tuple[int, int, int, int]) -> None:
    """Replace a region by the mean colours of a few cells, smoothed."""
    from PIL.Image import Resampling

    left, top, right, bottom = box
    width, height = right - left, bottom - top
    cells = (max(1, round(width * _CELLS / height / 2)) if height else 1, min(_CELLS, height))
    coarse = picture.crop(box).resize(cells, Resampling.BOX)
    picture.paste(coarse.resize((width, height), Resampling.BICUBIC), box)


def _pil() -> Any:
    try:
        import PIL.Image
    except ModuleNotFoundError as error:
        raise MissingExtra("looking at images", "imagery") from error
    return PIL.Image
