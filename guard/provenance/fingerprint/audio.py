"""Sounds: 32 bits for every 46 ms, after Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002).

Each bit says whether the energy of a band, against the next one, rose or fell since the frame before; 33 bands lie between 300
and 2,000 Hz, evenly in octaves. Frames of 0.37 s overlap, so where a recording is cut hardly matters. Withstands: another
volume, sample rate of 8 kHz and more, 8 bits, mono, noise of 20 dB, cuts that leave some five seconds. Does not: another speed
or pitch. Only WAV (PCM) is read.
"""

from __future__ import annotations

import base64
import io
import struct
import wave
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.types import Audio

ALGORITHM = "band-energy-32"
HOP, FRAME = 0.0464, 0.3715  # seconds
FEWEST = 64  # frames, three seconds, that must agree
SAME = 0.35  # share of bits that may differ (the paper's threshold)
LONGEST = 600  # seconds that are looked at
_LOWEST, _HIGHEST, _BANDS = 300.0, 2000.0, 33
_SILENT = 1e-4  # of full scale, root mean square
_TYPES = {1: "u1", 2: "<i2", 4: "<i4"}

Frames = NDArray[np.uint32]


def frames(sound: Audio) -> Frames:
    """The bits of each frame, zero where it is silent; none for what is no PCM, or too short."""
    decoded = _samples(sound.data)
    if decoded is None:
        return np.empty(0, np.uint32)
    samples, rate = decoded
    size = round(FRAME * rate)
    starts = (np.arange(max(0, int((len(samples) - size) / (HOP * rate)) + 1)) * HOP * rate).round().astype(int)
    if len(starts) <= FEWEST:
        return np.empty(0, np.uint32)
    edges = np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1) * size / rate
    window, energies, loud = np.hanning(size), [], []
    for block in np.array_split(starts, -(-len(starts) // 64)):
        part = samples[block[:, None] + np.arange(size)]
        loud.append(np.sqrt((part**2).mean(axis=1)) > _SILENT)
        power = np.abs(np.fft.rfft(part * window, axis=1)) ** 2
        sums = np.concatenate([np.zeros((len(block), 1)), power.cumsum(axis=1)], axis=1)
        # A band's edge lies between two frequencies of the transform: whose share it takes must not depend on the rate.
        whole = np.floor(edges).astype(int)
        at_edges = sums[:, whole] + (edges - whole) * power[:, whole]
        energies.append(np.diff(at_edges, axis=1))
    bands = np.concatenate(energies)
    rises = np.diff(-np.diff(bands, axis=1), axis=0) > 0
    bits = np.ascontiguousarray(np.packbits(rises, axis=1)).view(">u4").ravel().astype(np.uint32)
    bits[~np.concatenate(loud)[1:]] = 0
    return bits if np.count_nonzero(bits) > FEWEST else np.empty(0, np.uint32)


def _samples(data: bytes) -> tuple[NDArray[np.float64], int] | None:
    """Mono samples of at most 1 and their rate in Hz; None for what is no PCM."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            raw = file.readframes(min(file.getnframes(), LONGEST * rate))
    except (wave.Error, EOFError, struct.error):
        return None
    if rate < 2 * _HIGHEST or width not in (1, 2, 3, 4) or not channels:
        return None
    whole = len(raw) - len(raw) % (width * channels)
    if width == 3:  # the upper two of three bytes say enough
        values: Any = np.frombuffer(raw[:whole], np.uint8).reshape(-1, 3)[:, 1:].copy().view("<i2").ravel() / 2**15
    else:
        values = np.frombuffer(raw[:whole], _TYPES[width]).astype(float)
        values = values / 128 - 1 if width == 1 else values / 2 ** (8 * width - 1)
    return values.reshape(-1, channels).mean(axis=1), rate


def likeness(left: Frames, right: Frames) -> float:
    """The least share of bits that differ where the two are laid over each other; 1 where too little overlaps."""
    if min(len(left), len(right)) < FEWEST:
        return 1.0
    order = np.argsort(right)
    place = np.searchsorted(right[order], left)
    hit = (place < len(right)) & (right[order][np.minimum(place, len(right) - 1)] == left) & (left != 0)
    offsets = np.unique(np.flatnonzero(hit) - order[place[hit]])
    return min((_differing(left, right, int(offset)) for offset in offsets), default=1.0)


def _differing(left: Frames, right: Frames, offset: int) -> float:
    start, end = max(0, offset), min(len(left), len(right) + offset)
    if end - start < FEWEST:
        return 1.0
    one, other = left[start:end], right[start - offset : end - offset]
    return float(np.bitwise_count(one ^ other).mean()) / 32


def probes(found: Frames) -> NDArray[np.uint64]:
    """What to look for: every frame, and every one that differs from it in one bit."""
    some = np.unique(found[found != 0])
    flipped = some[:, None] ^ (np.uint32(1) << np.arange(32, dtype=np.uint32))
    return np.unique(np.concatenate([some, flipped.ravel()])).astype(np.uint64)


def pack(found: Frames) -> str:
    """Base64 of the little-endian numbers."""
    return base64.b64encode(found.astype("<u4").tobytes()).decode()


def unpack(packed: str) -> Frames:
    """The inverse of `pack`."""
    return np.frombuffer(base64.b64decode(packed), "<u4").astype(np.uint32)
