"""An inaudible mark in sounds (PCM WAV): who made it, as a number of 8 bits. There is no room for an identity of each sound.

Loudness goes up and down by a little, less where it is great, in cells of 96 ms × 94 Hz between 250 and 4,750 Hz, in one of
256 keyed patterns of 4.6 s that repeat. `detect` measures the cells, lays the periods on each other and tries every pattern at
every place.

False alarms: for a sound made without the key the signs of a pattern are as good as random, so a correlation exceeds z times
its deviation with probability below exp(-z²/2), whatever the sound (Hoeffding's inequality). The threshold holds the sum over
all that is tried below 1e-6.
"""

from __future__ import annotations

import functools
import io
import math
import wave
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.digest import JSON, keyed
from guard.provenance.watermark import key_id
from guard.provenance.watermark.coding import Reals
from guard.provenance.watermark.signal import box
from guard.types import Audio, Layer

ALGORITHM = "org.genguard.soundmark.1"
PROVIDERS = 256
SNR = 25.5  # decibels of the sound over the mark
FALSE_ALARMS = 1e-6
_RATE = 16_000  # hertz; whatever the sound's own rate, the mark is made and read at this one
_FRAME, _HOP = 1024, 256
_CELL = 6  # frames, and bins, of a cell
_BANDS, _PERIOD, _LOWEST = 48, 48, 16  # cells; the lowest bin
_SHORTEST, _LONGEST = 8, 30 * 60  # seconds
_BLOCK = 32 * _PERIOD * _CELL * _HOP  # samples that are worked on at once: some two minutes
_EVEN, _MOST = 0.35, 5.0  # how much more quiet places change than loud ones, and the most
_WINDOW = np.sqrt(np.hanning(_FRAME + 1)[:-1]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Found:
    """Whose mark it is, under which key."""

    provider: int
    key_id: str


@dataclass(frozen=True, slots=True)
class _Sound:
    """Samples × channels between -1 and 1."""

    samples: Reals
    rate: int
    width: int  # bytes of a sample


def provider(key: bytes) -> int:
    """The number of a deployment: it follows from its key."""
    return keyed(key, "watermark-provider", b"")[0]


def embed(audio: Audio, number: int, key: bytes) -> tuple[Audio, Layer]:
    """The sound with the mark of a provider (0 to 255) in it; unchanged, with the reason, where it takes none."""
    sound = _decoded(audio)
    if isinstance(sound, str):
        return audio, Layer("watermark", "not_applicable", ALGORITHM, {"reason": sound})
    marked = _marked(sound, number, key)
    chance = np.random.default_rng(0)
    low = _low(marked)
    noise = chance.normal(0, 0.1 * float(low.std()), len(low)).astype(np.float32)
    if not all(found == number for found in (_read(low, key, 1), _read(low + noise, key, 1))):
        return audio, Layer("watermark", "not_applicable", ALGORITHM, {"reason": "did_not_take"})
    detail: dict[str, JSON] = {"provider": number, "key_id": key_id(key)}
    return _encoded(marked, audio), Layer("watermark", "applied", ALGORITHM, detail)


def detect(audio: Audio, keys: Mapping[str, bytes]) -> Found | None:
    """The mark of one of `keys` (by name), or None: which says nothing about where the sound is from."""
    sound = _decoded(audio)
    if isinstance(sound, str):
        return None
    low = _low(sound)
    for key in keys.values():
        number = _read(low, key, len(keys))
        if number is not None:
            return Found(number, key_id(key))
    return None


# --- files ---------------------------------------------------------------------------------------------------------


def _decoded(audio: Audio) -> _Sound | str:
    """The sound, or why it cannot carry a mark."""
    try:
        with wave.open(io.BytesIO(audio.data)) as file:
            rate, width, channels, count = (
                file.getframerate(),
                file.getsampwidth(),
                file.getnchannels(),
                file.getnframes(),
            )
            if width == 1 or rate < _RATE // 2:
                return "unsupported_mode"
            if not _SHORTEST * rate <= count <= _LONGEST * rate:
                return "too_short" if count < _SHORTEST * rate else "too_long"
            data = file.readframes(count)
    except (wave.Error, EOFError):
        return "unsupported_format"
    raw = np.frombuffer(data[: len(data) // (width * channels) * width * channels], np.uint8).reshape(-1, width)
    wide = np.zeros((len(raw), 4), np.uint8)
    wide[:, 4 - width :] = raw  # little-endian: the high bytes
    samples = wide.view("<i4").reshape(-1, channels).astype(np.float32) / np.float32(2**31)
    return _Sound(samples, rate, width)


def _encoded(sound: _Sound, audio: Audio) -> Audio:
    top = 2 ** (8 * sound.width - 1)
    whole = np.clip(np.rint(sound.samples.astype(np.float64) * top), -top, top - 1).astype("<i4")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(sound.samples.shape[1])
        file.setsampwidth(sound.width)
        file.setframerate(sound.rate)
        file.writeframes(whole.view(np.uint8).reshape(-1, 4)[:, : sound.width].tobytes())
    return Audio(buffer.getvalue(), audio.media_type)


def _resampled(samples: Reals, count: int) -> Reals:
    """Samples × channels as `count` samples, by way of the spectrum."""
    spectrum = np.fft.rfft(samples, axis=0)[: count // 2 + 1]
    return np.asarray(np.fft.irfft(spectrum, count, axis=0) * (count / len(samples)), np.float32)


def _low(sound: _Sound) -> Reals:
    """Two minutes of the sound at most, as one channel at the rate of the mark."""
    part = sound.samples[: _BLOCK * sound.rate // _RATE].mean(1, keepdims=True)
    return _resampled(part, round(len(part) * _RATE / sound.rate))[:, 0]


# --- the mark ------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _patterns(key: bytes) -> NDArray[np.int8]:
    """Signs: providers × time cells × bands. Made of raw Philox bits, which are the same in every version of numpy."""
    raw = np.random.Philox(key=int.from_bytes(keyed(key, "watermark-sound", b"")[:16], "big"))
    words = raw.random_raw(PROVIDERS * _PERIOD * _BANDS // 64)
    bits = np.unpackbits(words.astype("<u8").view(np.uint8)).reshape(PROVIDERS, _PERIOD, _BANDS)
    return np.asarray(1 - 2 * bits.astype(np.int8))


def _frames(samples: Reals) -> NDArray[np.complex64]:
    """Spectra of overlapping windows. Frames × bins."""
    views = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    return np.asarray(np.fft.rfft(views * _WINDOW), np.complex64)


def _marked(sound: _Sound, number: int, key: bytes) -> _Sound:
    added = np.zeros_like(sound.samples)
    step = _BLOCK * sound.rate // _RATE
    for start in range(0, len(added), step):
        part = sound.samples[start : start + step]
        low = _resampled(part, max(1, round(len(part) * _RATE / sound.rate)))
        change = np.stack([_change(channel, _patterns(key)[number]) for channel in low.T], 1)
        added[start : start + step] = _resampled(change, len(part))
    loud, quiet = (float(np.square(each, dtype=np.float64).mean()) for each in (sound.samples, added))
    gain = np.float32(math.sqrt(loud / max(quiet, 1e-20)) * 10 ** (-SNR / 20))
    return _Sound(sound.samples + added * gain, sound.rate, sound.width)


def _change(samples: Reals, signs: NDArray[np.int8]) -> Reals:
    """What makes cells louder where the sign is positive, and softer elsewhere."""
    padded = np.pad(samples, (_FRAME, _FRAME + -len(samples) % _HOP))
    spectra = _frames(padded)
    cells = np.kron(signs, np.ones((_CELL, _CELL), np.float32))
    lead = _FRAME // _HOP  # frames before the sound begins
    times = (np.arange(len(spectra)) - lead) % len(cells)
    gains = np.zeros(spectra.shape, np.float32)
    band = slice(_LOWEST, _LOWEST + cells.shape[1])
    power = box(np.square(np.abs(spectra[:, band])), 2)
    gains[:, band] = cells[times] * np.clip((power / (power.mean() + 1e-12) + 1e-9) ** -_EVEN, 0.2, _MOST)
    parts = np.fft.irfft(spectra * gains).astype(np.float32) * _WINDOW
    made = np.zeros(len(padded), np.float32)
    for place in range(_FRAME // _HOP):
        target = made[place * _HOP :][: len(parts) * _HOP].reshape(len(parts), _HOP)
        target += parts[:, place * _HOP : (place + 1) * _HOP]
    return made[_FRAME : _FRAME + len(samples)]


def _read(low: Reals, key: bytes, keys: int) -> int | None:
    """The provider whose pattern fits beyond chance, if any; `keys` are tried in all."""
    spectra = np.fft.fft(_patterns(key), axis=1).conj()  # shifts in time at once
    levels = np.log(np.abs(_frames(low)[:, _LOWEST : _LOWEST + _BANDS * _CELL]) + np.float32(1e-5))
    best, number = 0.0, 0
    for phase in range(_CELL):
        whole = (len(levels) - phase) // _CELL
        cells = levels[phase : phase + whole * _CELL].reshape(whole, _CELL, _BANDS, _CELL).mean((1, 3))
        cells = cells - box(cells, 1)
        cells = np.clip(cells / (np.sqrt(box(cells * cells, 4)) + np.float32(0.05)), -2.5, 2.5)
        periods = np.zeros((-(-whole // _PERIOD) * _PERIOD, _BANDS), np.float32)
        periods[:whole] = cells
        folded = periods.reshape(-1, _PERIOD, _BANDS).sum(0)
        fit = np.fft.ifft((np.fft.fft(folded, axis=0) * spectra).sum(2), axis=1).real
        score = float(fit.max() / (np.sqrt(np.square(folded).sum()) + 1e-9))
        if score > best:
            best, number = score, int(fit.max(1).argmax())
    tried = keys * PROVIDERS * _PERIOD * _CELL
    return number if best > math.sqrt(2 * math.log(tried / FALSE_ALARMS)) else None
