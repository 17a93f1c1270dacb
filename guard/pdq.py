"""PDQ, the perceptual hash of images that block lists are exchanged in: 256 bits, of which near-duplicates share most.

Follows the paper "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (Facebook, 2019): luminance,
two passes of a box filter, 64 × 64 samples, the lowest 16 × 16 frequencies without the constant one, each against their median.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SIDE, LOW = 64, 16
BITS = LOW * LOW
LARGEST = 1024  # pixels of the longer side; larger pictures are reduced first, which moves a few bits


def hashes(picture: Picture, *, turned: bool = True) -> tuple[Any, int]:
    """Array (1 or 8, 32) of uint8, and the quality from 0 (flat) to 100. `turned`: also all quarter turns and mirror images.

    The first bit in memory is the highest: the bytes in hexadecimal are the usual form.
    """
    import numpy as np

    samples = _samples(_luminance(picture))
    sides = [np.rot90(side, turn) for side in (samples, samples[:, ::-1]) for turn in range(4)] if turned else [samples]
    return np.stack([_bits(side) for side in sides]), _quality(samples)


def distances(left: Any, right: Any) -> Any:
    """Array (left, right): in how many bits hashes differ."""
    import numpy as np

    return np.bitwise_count(left[:, None, :] ^ right[None, :, :]).sum(axis=2, dtype=np.int32)


def _luminance(picture: Picture) -> Any:
    import numpy as np

    if max(picture.size) > LARGEST:
        picture = picture.copy()
        picture.thumbnail((LARGEST, LARGEST))
    return np.asarray(picture.convert("RGB"), float) @ (0.299, 0.587, 0.114)


def _samples(values: Any) -> Any:
    """64 × 64 samples of the smoothed picture."""
    import numpy as np

    for _ in range(2):
        values = _box_mean(_box_mean(values, 1), 0)
    rows, columns = (((np.arange(SIDE) + 0.5) * size / SIDE).astype(int) for size in values.shape)
    return values[np.ix_(rows, columns)]


def _box_mean(values: Any, axis: int) -> Any:
    """Running means along an axis, over a window of a 128th of it, cut off at the edges."""
    import numpy as np

    size = values.shape[axis]
    window = -(-size // (2 * SIDE))
    half = (window + 2) // 2
    sums = np.insert(values.cumsum(axis=axis), 0, 0, axis=axis)
    ends = np.minimum(np.arange(size) + half, size)
    begins = np.maximum(np.arange(size) - (window - half), 0)
    means = np.take(sums, ends, axis) - np.take(sums, begins, axis)
    return means / np.expand_dims(ends - begins, 1 - axis)


def _bits(samples: Any) -> Any:
    import numpy as np

    order, place = np.arange(1, LOW + 1)[:, None], np.arange(SIDE)[None, :]
    wave = np.sqrt(2 / SIDE) * np.cos(np.pi / (2 * SIDE) * order * (2 * place + 1))
    low = (wave @ samples @ wave.T).ravel()
    median = np.sort(low)[BITS // 2 - 1]
    return np.packbits((low > median)[::-1])


def _quality(samples: Any) -> int:
    """How much the picture changes from sample to sample."""
    import numpy as np

    steps = [np.abs((np.diff(samples, axis=axis) * 100 / 255).astype(int)).sum() for axis in (0, 1)]
    return min(int(sum(steps) / 90), 100)
