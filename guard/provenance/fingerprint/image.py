"""Pictures: two perceptual hashes, which find candidates, and a small picture of each, which settles whether it is one.

PDQ (`guard.pdq`) survives compression, resizing, blur and colours; pHash (the signs of the lowest 8 × 8 frequencies of a
32 × 32 picture against their median) also slight turns and trimmed edges. Neither survives a real crop. The thumbnail does:
the candidate, at the scale that its watermark tells, is looked for in it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guard import pdq, pictures
from guard.digest import JSON
from guard.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

ALGORITHM = "pdq+phash+thumbnail-96"
SIDE = 96  # pixels of the thumbnail's longer side
_SMALLEST = 12  # pixels of the thumbnail that a crop must cover on each side to be told apart
_FLAT = 2.0  # levels of deviation below which there is nothing to compare
_QUALITY = 95
# Correlations, as the bench part `recover` found them: of parts of one picture, and of pictures of one kind that are two.
_ALIKE, _UNLIKE = 0.9, 0.8
_SAME_DETAIL, _OTHER_DETAIL = 0.85, 0.5
_SMOOTH_ALIKE = 0.99  # where there is too little detail to go by
_SOFT, _COARSE = 0.8, 8.0  # pixels: smoothed by the one, less what is left of it by the other, is detail
_FAINT = 0.8  # levels of deviation below which there is no detail


@dataclass(frozen=True, slots=True)
class Print:
    """A picture's fingerprint: 32 bytes of PDQ, 8 of pHash, its size in pixels, and its thumbnail in grey (JPEG)."""

    pdq: bytes
    phash: bytes
    width: int
    height: int
    thumbnail: Image = field(repr=False)

    def data(self) -> dict[str, JSON]:
        """For the sealed body; the thumbnail is one of its own."""
        return {"pdq": self.pdq.hex(), "phash": self.phash.hex(), "size": [self.width, self.height]}


@dataclass(frozen=True, slots=True)
class View:
    """How a candidate shows the original: pixels of it for one of the original, degrees turned, whether mirrored.

    `scale` None: nobody knows, so it is taken to be the whole picture.
    """

    scale: float | None = None
    rotation: float = 0.0
    flipped: bool = False


@dataclass(frozen=True, slots=True)
class Likeness:
    """How well a candidate fits an original: correlations up to 1 of all that is seen, and of its detail if it has any.

    Large patches of light and dark are alike in many pictures. Detail is not, and it is what a part must share.
    """

    whole: float
    detail: float | None

    @property
    def same(self) -> bool | None:
        """Whether it shows the original; None: it cannot be told, as with mists and skies."""
        if self.whole >= _ALIKE and self.detail is not None and self.detail >= _SAME_DETAIL:
            return True
        if self.whole >= _SMOOTH_ALIKE and (self.detail is None or self.detail >= _OTHER_DETAIL):
            return True
        if self.whole < _UNLIKE or (self.detail is not None and self.detail < _OTHER_DETAIL):
            return False
        return None


def of(image: Image) -> Print | None:
    """The fingerprint of an image's first frame; None for one that shows next to nothing. Raises ContentError, MissingExtra."""
    picture = opened(image)
    grey = _grey(picture)
    if grey.std() < _FLAT:
        return None
    hashes, _ = pdq.hashes(picture, turned=False)
    buffer = io.BytesIO()
    small = picture.convert("L")
    small.thumbnail((SIDE, SIDE))
    small.save(buffer, "JPEG", quality=_QUALITY)
    thumbnail = Image(buffer.getvalue(), "image/jpeg")
    return Print(bytes(hashes[0]), phash(picture), picture.width, picture.height, thumbnail)


def opened(image: Image) -> Picture:
    """The first frame as it looks on white, in RGB."""
    return next(pictures.views(pictures.frames(image)[0]))


def phash(picture: Picture) -> bytes:
    """8 bytes."""
    import numpy as np
    from PIL.Image import Resampling

    small = np.asarray(picture.convert("L").resize((32, 32), Resampling.BOX), float)
    order, place = np.arange(8)[:, None], np.arange(32)[None, :]
    wave = np.cos(np.pi / 64 * order * (2 * place + 1))
    low = (wave @ small @ wave.T).ravel()
    return bytes(np.packbits(low > np.median(low[1:])))


def turned_hashes(picture: Picture) -> tuple[Any, Any]:
    """PDQ (8, 32) and pHash (8, 8) of the picture, its quarter turns and mirror images, in the same order."""
    import numpy as np

    hashes, _ = pdq.hashes(picture)
    return hashes, np.stack([np.frombuffer(phash(side), np.uint8) for side in turns(picture)])


def turns(picture: Picture) -> list[Picture]:
    """The picture, its quarter turns (anticlockwise), and those of its mirror image: the order of `pdq.hashes`."""
    from PIL.Image import Transpose

    quarters = (None, Transpose.ROTATE_90, Transpose.ROTATE_180, Transpose.ROTATE_270)
    mirrored = picture.transpose(Transpose.FLIP_LEFT_RIGHT)
    return [side.transpose(turn) if turn is not None else side for side in (picture, mirrored) for turn in quarters]


def likeness(candidate: Picture, thumbnail: Image, size: tuple[int, int], view: View = View()) -> Likeness | None:
    """How well a candidate fits into the thumbnail of an original of `size`; None: it is too small a part, or flat.

    The candidate may be a part of the original.
    """
    import numpy as np
    from PIL.Image import Resampling, Transpose

    ground = np.asarray(opened(thumbnail).convert("L"), float)
    shown = candidate.convert("L")
    if view.rotation:
        shown = _upright(shown, view.rotation)
    if view.flipped:
        shown = shown.transpose(Transpose.FLIP_LEFT_RIGHT)
    high, wide = ground.shape
    fit = (wide, high)
    if view.scale is not None:
        factor = wide / size[0] / view.scale
        fit = (min(wide, round(shown.width * factor)), min(high, round(shown.height * factor)))
    if min(fit) < _SMALLEST:
        return None
    patch = shown.resize(fit, Resampling.BOX if fit[0] <= shown.width else Resampling.BILINEAR)
    seen = [smoothed(values, _SOFT) for values in (ground, np.asarray(patch, float))]
    detail = [values - smoothed(values, _COARSE) for values in seen]
    whole = correlation(*seen, flat=_FLAT)
    return None if whole is None else Likeness(whole, correlation(*detail, flat=_FAINT))


def _upright(picture: Picture, degrees: float) -> Picture:
    """Turned back, and cut down to what has no empty corners (the largest centred rectangle of the same shape)."""
    import math

    from PIL.Image import Resampling

    turned = picture.rotate(-degrees, resample=Resampling.BICUBIC)
    angle = math.radians(abs(degrees) % 180)
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    long = max(picture.size) / min(picture.size)
    share = 1 / (cosine + sine * long)
    wide, high = picture.width * share, picture.height * share
    left, top = (picture.width - wide) / 2, (picture.height - high) / 2
    return turned.crop((math.ceil(left), math.ceil(top), math.floor(left + wide), math.floor(top + high)))


def smoothed(values: Any, deviation: float) -> Any:
    """Gaussian means, of what lies within the picture."""
    import numpy as np

    def weights(count: int) -> Any:
        apart = np.subtract.outer(np.arange(count), np.arange(count))
        found = np.exp(-0.5 * (apart / deviation) ** 2)
        return found / found.sum(axis=1, keepdims=True)

    high, wide = values.shape
    return weights(high) @ values @ weights(wide).T


def correlation(ground: Any, patch: Any, *, flat: float) -> float | None:
    """The largest normalised correlation of a patch with the places of a picture where it fits.

    None for a patch that deviates less than `flat`; places in the picture that do are passed over.
    """
    import numpy as np

    if patch.std() < flat:
        return None
    patch = patch - patch.mean()
    high, wide = (side + 1 - part for side, part in zip(ground.shape, patch.shape, strict=True))
    spectrum = np.fft.rfft2(ground - ground.mean()) * np.conj(np.fft.rfft2(patch, ground.shape))
    shared = np.fft.irfft2(spectrum, ground.shape)[:high, :wide]
    count = patch.size
    sums, squares = (_windows(values, patch.shape) for values in (ground, ground**2))
    spread = np.sqrt(np.maximum(squares - sums**2 / count, 0))
    sound = spread > flat / 2 * count**0.5
    if not sound.any():
        return None
    return float((shared[sound] / (spread[sound] * np.sqrt((patch**2).sum()))).max())


def _windows(values: Any, shape: tuple[int, int]) -> Any:
    """Sums over all windows of a shape."""
    import numpy as np

    total = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    high, wide = shape
    return total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]


def _grey(picture: Picture) -> Any:
    import numpy as np

    small = picture.convert("L")
    small.thumbnail((SIDE, SIDE))
    return np.asarray(small, float)
