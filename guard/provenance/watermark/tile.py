"""The pattern of an image mark: a square tile, repeated over the picture, whose spectrum carries pilots and data.

A tile of 128 × 128 pixels holds about 1,080 frequencies of a band that survives JPEG and halving. Two dozen are pilots: strong,
at places and with phases that the key chooses; they give shift, scale, rotation and mirroring away to whoever holds the key.
The others carry the coded bits, each spread over half a dozen signs. Keys come in variants, and a picture's mark uses the one
that its identity picks: an average over many pictures shows each variant's pilots at a fraction of their strength.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.digest import keyed
from guard.provenance.watermark import coding
from guard.provenance.watermark.coding import Reals

SIDE = 128  # pixels of a tile
LOW, HIGH = 4.5, 27.0  # the band, in periods a tile
VARIANTS = 16
PILOTS = 24
PILOT_BAND = (10.0, 26.0)
PILOT_GAIN = 3.0  # amplitude of a pilot over that of a data sign

Integers = NDArray[np.intp]
Spectrum = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Where a key and variant put what. Frequencies are whole periods a tile, from one half plane.

    `pilots` P × 2 (y, x) with complex `tones`; `data` D × 2 with `signs` 2 D (real and imaginary parts in turn) and `bit`
    2 D, the coded bit that each sign carries.
    """

    pilots: Integers
    tones: Spectrum
    data: Integers
    signs: Reals
    bit: Integers

    def tile(self, amplitudes: Reals) -> Reals:
        """The tile (mean 0, deviation 1) whose coded bits have these signed amplitudes."""
        spectrum = np.zeros((SIDE, SIDE // 2 + 1), np.complex64)
        chips = (self.signs * amplitudes[self.bit]).reshape(-1, 2)
        spectrum[self.data[:, 0], self.data[:, 1]] = chips[:, 0] + 1j * chips[:, 1]
        spectrum[self.pilots[:, 0], self.pilots[:, 1]] = self.tones * PILOT_GAIN
        made = np.fft.irfft2(spectrum, (SIDE, SIDE))
        return np.asarray(made / made.std(), np.float32)

    def soft(self, chips: Spectrum) -> Reals:
        """Soft values of the coded bits, from what was received at `data`."""
        parts = np.stack([chips.real, chips.imag], 1).ravel() * self.signs
        return np.bincount(self.bit, parts, coding.CODED).astype(np.float32)


@functools.lru_cache(maxsize=256)
def pattern(key: bytes, variant: int) -> Pattern:
    """The pattern of a key in one variant. Made of raw Philox bits: they are the same in every version of numpy."""
    seed = keyed(key, "watermark-tile", bytes([variant]))
    raw = np.random.Philox(key=int.from_bytes(seed[:16], "big"))
    places = _band()
    radius = np.hypot(places[:, 0], places[:, 1])
    order = np.argsort(raw.random_raw(len(places)), kind="stable")
    places, radius = places[order], radius[order]
    able = np.flatnonzero((radius >= PILOT_BAND[0]) & (radius <= PILOT_BAND[1]))[:PILOTS]
    rest = np.delete(places, able, 0)
    tones = np.exp(2j * np.pi * (raw.random_raw(PILOTS) / 2.0**64)) * np.sqrt(2)
    signs = np.where(raw.random_raw(2 * len(rest)) >> np.uint64(63), 1, -1)
    bit = np.argsort(raw.random_raw(2 * len(rest)), kind="stable") % coding.CODED
    return Pattern(places[able], tones.astype(np.complex64), rest, signs.astype(np.float32), bit)


def variant_of(mark_id: bytes, key: bytes) -> int:
    """Which variant carries an identity."""
    return keyed(key, "watermark-variant", mark_id)[0] % VARIANTS


@functools.cache
def _band() -> Integers:
    """All frequencies of the band in the half plane x > 0."""
    y, x = np.mgrid[-SIDE // 2 : SIDE // 2, 1 : SIDE // 2]
    radius = np.hypot(y, x)
    inside = (radius >= LOW) & (radius <= HIGH)
    return np.stack([y[inside], x[inside]], 1)
