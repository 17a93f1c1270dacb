"""An imperceptible mark in images: 48 bits, read back without the original, and without any downloaded model.

`embed` adds a keyed pattern (`tile`) to the brightness, more where the picture hides it, and reads it back, from the finished
file and from a JPEG of quality 50: a mark that did not take is not claimed. `detect` reads it from pictures that were
compressed, cut or mirrored; with `search` also from those that were scaled (0.4 to 1.6) or turned (by any angle).

False payloads: one key is given at most `DECODINGS` attempts at a picture, each of which passes with probability 2**-32
without the key, whatever the picture (`coding`): below 1e-8 for a key, below 1e-6 for a ring of 100 keys.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from guard import media, pictures
from guard.digest import JSON
from guard.errors import ContentError
from guard.provenance.watermark import coding, key_id
from guard.provenance.watermark.coding import Reals
from guard.provenance.watermark.search import CLOSE, UNSCALED, Folded, Hypothesis, Plane, hypotheses, received, unscaled
from guard.provenance.watermark.signal import activity, whiten
from guard.provenance.watermark.tile import SIDE, Pattern, pattern, variant_of
from guard.types import Image, Layer

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

ID_SIZE = coding.ID_SIZE  # bytes of a mark
ALGORITHM = "org.genguard.tilemark.1"
DECODINGS = UNSCALED + CLOSE
_PSNR = 41.5  # decibels at 512 × 512; larger pictures need less of a mark, smaller ones more
_WINDOW = 1024  # pixels in the middle of a picture that are looked at
_BAND = 128  # rows that are worked on at once, so that a large picture needs little memory
_HALO = 8  # rows beyond a band that its filters see
_ROOM = 1.0  # grey levels between the brightest or darkest pixel and the end of the scale
_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
_MODES = {"RGB": "RGB", "RGBA": "RGBA", "L": "L", "LA": "LA", "1": "L", "P": "RGB", "PA": "RGBA"}


@dataclass(frozen=True, slots=True)
class Found:
    """A mark, under which key, and what became of the picture: mirrored, then turned by degrees, then scaled."""

    mark_id: bytes
    key_id: str
    scale: float = 1.0
    rotation: float = 0.0
    flipped: bool = False


def embed(image: Image, mark_id: bytes, key: bytes) -> tuple[Image, Layer]:
    """The image with the mark of 6 bytes in it, in the same media type; unchanged, with the reason, where it takes none."""
    if media.media_type(image.data) not in _TYPES:
        return image, Layer("watermark", "not_applicable", ALGORITHM, {"reason": "unsupported_format"})
    try:
        with pictures.opened(image) as (picture, count):
            reason = _unfit(picture, count)
            marked = None if reason else _encoded(image, picture, _marked(_plain(picture), mark_id, key))
    except ContentError:
        return image, Layer("watermark", "failed", ALGORITHM, {"reason": "does_not_decode"})
    if marked is not None and not _takes(marked, mark_id, key):
        reason = "did_not_take"
    if marked is None or reason:
        return image, Layer("watermark", "not_applicable", ALGORITHM, {"reason": reason})
    detail: dict[str, JSON] = {"mark_id": mark_id.hex(), "key_id": key_id(key)}
    return marked, Layer("watermark", "applied", ALGORITHM, detail)


def detect(image: Image, keys: Mapping[str, bytes], *, search: bool = False) -> Found | None:
    """The mark of one of `keys` (by name), or None: which says nothing about where the image is from.

    `search` costs up to two seconds instead of a fiftieth of one. Raises ContentError where the image does not decode.
    """
    with pictures.opened(image) as (picture, count):
        if _unfit(picture, count):
            return None
        white = whiten(_luma(_middle(picture)))
    return _read(white, list(keys.values()), search=search)


def _read(white: Reals, keys: list[bytes], *, search: bool) -> Found | None:
    for key in keys:
        for guess, soft in unscaled(white, key):
            if found := _decoded(soft, guess, key):
                return found
    if search:
        plane = Plane(white)
        for key in keys:
            for guess in hypotheses(plane, key):
                if found := _decoded(received(plane, guess, key), guess, key):
                    return found
    return None


def _decoded(soft: Reals, guess: Hypothesis, key: bytes) -> Found | None:
    mark_id = coding.decode(soft, key)
    if mark_id is None or variant_of(mark_id, key) != guess.variant:
        return None
    at = guess.geometry
    return Found(mark_id, key_id(key), at.scale, at.rotation, at.flipped)


# --- pictures ------------------------------------------------------------------------------------------------------


def _unfit(picture: Any, count: int) -> str:
    """Why a picture cannot carry a mark, or nothing."""
    if count > 1:
        return "animated"
    if picture.mode not in _MODES:
        return "unsupported_mode"
    return "too_small" if min(picture.size) < SIDE else ""


def _plain(picture: Picture) -> Picture:
    """The picture with one number for each pixel and channel."""
    see_through = picture.mode == "P" and "transparency" in picture.info
    return picture.convert("RGBA" if see_through else _MODES[picture.mode])


def _middle(picture: Picture) -> Picture:
    """The middle of a picture, from a corner of a tile where nothing moved."""
    left, top = (max(0, (size - _WINDOW) // 2 // SIDE * SIDE) for size in picture.size)
    return picture.crop((left, top, min(left + _WINDOW, picture.width), min(top + _WINDOW, picture.height)))


def _luma(picture: Picture) -> Reals:
    return np.asarray(_plain(picture).convert("L"), np.float32)


def _encoded(image: Image, source: Any, marked: Picture) -> Image:
    """A picture as a file of the image's type, with its colour profile and Exif data. Credentials are made later."""
    kind = media.media_type(image.data)
    options: dict[str, Any] = {
        name: source.info[name] for name in ("icc_profile", "exif", "dpi") if name in source.info
    }
    if kind == "image/jpeg":
        from PIL import JpegImagePlugin

        options |= {"qtables": source.quantization, "subsampling": JpegImagePlugin.get_sampling(source)}
    elif kind == "image/webp":
        options |= {"lossless": True} if b"VP8L" in image.data[12:64] else {"quality": 90}
    buffer = io.BytesIO()
    marked.save(buffer, source.format, **options)
    return Image(buffer.getvalue(), image.media_type)


def _takes(marked: Image, mark_id: bytes, key: bytes) -> bool:
    """Whether the mark is read back from the file, and from a JPEG of quality 50 of it."""
    with pictures.opened(marked) as (picture, _):
        middle = _middle(_plain(picture))
    buffer = io.BytesIO()
    middle.convert("RGB" if middle.mode in ("RGB", "RGBA") else "L").save(buffer, "JPEG", quality=50)
    again = Image(buffer.getvalue(), "image/jpeg")
    with pictures.opened(again) as (picture, _):
        readings = [_read(whiten(_luma(view)), [key], search=False) for view in (middle, picture)]
    return all(found is not None and found.mark_id == mark_id for found in readings)


# --- marking -------------------------------------------------------------------------------------------------------


def _marked(picture: Picture, mark_id: bytes, key: bytes) -> Picture:
    import PIL.Image

    known, word = pattern(key, variant_of(mark_id, key)), coding.encode(mark_id, key).astype(np.float32)
    decibels = min(max(_PSNR + 5 * np.log10(picture.width * picture.height / 512**2), 40.0), 46.0)
    pixels = np.array(picture)
    colours = pixels.reshape(picture.height, picture.width, -1)
    channels = colours.shape[2] - (picture.mode in ("RGBA", "LA"))
    moved, power = 0.0, 0.0
    for top, mask in _masks(picture):
        part = colours[top : top + len(mask), :, :channels]
        moved += float(np.square(_held(part) - part).mean(dtype=np.float64)) * len(mask) / picture.height
        power += float(np.square(mask).mean(dtype=np.float64)) * len(mask) / picture.height
    strength = np.float32(np.sqrt((255**2 * 10 ** (-decibels / 10) - moved) / power))
    tile = known.tile(_balanced(_luma(_middle(picture)), known, word, strength)) * strength
    for top, mask in _masks(picture):
        part = colours[top : top + len(mask), :, :channels]
        part[:] = np.clip(np.rint(_held(part) + (_laid(tile, top, mask.shape) * mask)[..., None]), 0, 255)
    return PIL.Image.fromarray(pixels)


def _held(pixels: NDArray[np.uint8]) -> Reals:
    """Pixels a little away from black and white: there half of a mark would be cut off, and compression take the rest."""
    return np.asarray(np.clip(pixels, _ROOM, 255 - _ROOM, dtype=np.float32))


def _masks(picture: Picture) -> Iterator[tuple[int, Reals]]:
    """How much of the mark each pixel takes, in bands of rows with their first row."""
    for top in range(0, picture.height, _BAND):
        first, last = max(0, top - _HALO), min(picture.height, top + _BAND + _HALO)
        luma = _luma(picture.crop((0, first, picture.width, last)))
        yield top, _mask(luma)[top - first :][:_BAND]


def _mask(luma: Reals) -> Reals:
    """More where there is much going on already."""
    return np.asarray(1 + np.minimum(activity(luma) / np.float32(20), np.float32(1)))


def _laid(tile: Reals, top: int, shape: tuple[int, ...]) -> Reals:
    """The tile over the whole width, for rows from `top` on."""
    rows = np.roll(tile, -(top % SIDE), 0)
    return np.tile(rows, (shape[0] // SIDE + 1, shape[1] // SIDE + 1))[: shape[0], : shape[1]]


def _balanced(luma: Reals, known: Pattern, word: Reals, strength: np.float32) -> Reals:
    """Signed amplitudes of the coded bits, stronger where the picture itself speaks against a bit (mean square 1)."""
    mark = _laid(known.tile(word), 0, luma.shape) * (_mask(luma) * strength)
    alone, both = (known.soft(Folded(whiten(view)).at(known.data)) * word for view in (luma, luma + mark))
    reach = float((both - alone).mean())
    low, high = 0.0, 8 * reach + float(np.abs(alone).max())
    amplitudes = np.ones_like(word)
    for _ in range(30):
        goal = (low + high) / 2
        amplitudes = np.clip((goal - alone) / reach, 0.4, 2.5)
        low, high = (goal, high) if float(np.square(amplitudes).mean()) < 1 else (low, goal)
    return np.asarray(amplitudes * word, np.float32)
