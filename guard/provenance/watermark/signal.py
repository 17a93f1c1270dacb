"""Between pixels and frequencies: how much a picture hides, and what is left of it when its own structure is taken away."""

from __future__ import annotations

import numpy as np

from guard.provenance.watermark.coding import Reals
from guard.provenance.watermark.tile import SIDE, Spectrum

CLIP = 2.5


def box(values: Reals, radius: int) -> Reals:
    """The mean over a square of 2 radius + 1 pixels; what is beyond the edge counts as the edge. `radius` is a power of two."""
    for axis in (0, 1):
        line = np.moveaxis(
            np.pad(values, [(radius, radius) if side == axis else (0, 0) for side in (0, 1)], mode="edge"), axis, 0
        )
        total, width = line, 1
        while width < 2 * radius:  # sums of 2, 4, 8 … neighbours, each from two of the last
            total = total[:-width] + total[width:]
            width *= 2
        values = np.moveaxis(total[: values.shape[axis]] + line[2 * radius :], 0, axis)
    return np.asarray(values * np.float32(1 / (2 * radius + 1) ** 2))


def activity(luma: Reals, radius: int = 4) -> Reals:
    """The standard deviation around each pixel."""
    mean = box(luma, radius)
    rest = luma - mean
    return np.sqrt(box(rest * rest, radius))


def whiten(luma: Reals) -> Reals:
    """The picture without its slow parts, at even strength everywhere, and with its edges cut down."""
    rest = luma - box(luma, 4)
    rest /= np.sqrt(box(rest * rest, 4)) + 1.0
    return np.clip(rest, -CLIP, CLIP, out=rest)


def fold(white: Reals) -> Reals:
    """All tiles laid on each other. SIDE × SIDE."""
    height, width = white.shape
    padded = np.zeros((-(-height // SIDE) * SIDE, -(-width // SIDE) * SIDE), np.float32)
    padded[:height, :width] = white
    return np.asarray(padded.reshape(padded.shape[0] // SIDE, SIDE, -1, SIDE).sum((0, 2)))


def evened(values: Reals, radius: int) -> Spectrum:
    """The spectrum (rows from the most negative frequency on), each value divided by what is usual around it."""
    spectrum = np.fft.fftshift(np.fft.rfft2(values), axes=0)
    usual = box(np.square(np.abs(spectrum)), radius)
    return np.asarray(spectrum / np.sqrt(usual + np.float32(1e-6)), np.complex64)
