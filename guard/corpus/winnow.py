"""Which stretches of a text are its fingerprints (Schleimer, Wilkerson, Aiken: "Winnowing", SIGMOD 2003).

Every stretch of K bytes has a hash. Of every W of them in a row the least is kept, so two texts that share a run of K + W - 1
bytes keep the same stretch of it: none is missed. About one hash in (W + 1) / 2 is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

_WORD = 1 << 64
_BASE = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, _WORD)
_BLOCK = 1 << 20  # bytes of a text that are looked at in one go
_LARGEST = np.uint64(_WORD - 1)


@dataclass(frozen=True, slots=True)
class Winnow:
    """Finds every shared run of `run` bytes or more. Texts of one corpus are winnowed with one and the same."""

    run: int

    @property
    def gram(self) -> int:
        """Bytes that one hash covers."""
        return max(8, min(48, self.run // 3))

    @property
    def window(self) -> int:
        """Hashes of which the least is kept."""
        return self.run - self.gram + 1

    def hashes(self, data: bytes | NDArray[np.uint8]) -> Hashes:
        """The hash of each stretch, by where it begins; none for a text that is shorter than one."""
        values = np.frombuffer(data, np.uint8).astype(np.uint64) + np.uint64(1)
        count = len(values) - self.gram + 1
        if count <= 0:
            return np.empty(0, np.uint64)
        sums = np.zeros(len(values) + 1, np.uint64)
        np.cumsum(values * _powers(_BASE, len(values)), out=sums[1:])
        return _mixed((sums[self.gram :] - sums[: -self.gram]) * _powers(_INVERSE, count))

    def kept(self, hashes: Hashes) -> Places:
        """Where the fingerprints begin: the least hash of every window, each of them where several are equal."""
        count, window = len(hashes), self.window
        if count <= window:
            return np.flatnonzero(hashes == hashes.min()) if count else np.empty(0, np.int64)
        least = _sliding_least(hashes, window)
        # Of the windows that hold a place, the one whose least hash is greatest decides: it is the least there or nowhere.
        padded = np.zeros(count + window - 1, np.uint64)
        padded[window - 1 : window - 1 + len(least)] = least
        greatest = _LARGEST - _sliding_least(_LARGEST - padded, window)
        return np.flatnonzero(hashes == greatest)

    def fingerprints(self, data: bytes) -> tuple[Hashes, Places]:
        """Hashes and places of a text of any length, in the order of the places."""
        if len(data) <= _BLOCK + self.run:
            hashes = self.hashes(data)
            kept = self.kept(hashes)
            return hashes[kept], kept
        found: list[tuple[Hashes, Places]] = []
        for start in range(0, len(data) - self.run + 1, _BLOCK):  # each window lies within one block
            hashes = self.hashes(data[start : start + _BLOCK + self.run - 1])
            kept = self.kept(hashes)
            found.append((hashes[kept], kept + start))
        places, first = np.unique(np.concatenate([it[1] for it in found]), return_index=True)
        return np.concatenate([it[0] for it in found])[first], places


def spans(data: NDArray[np.uint8], starts: Places, ends: Places) -> Hashes:
    """The hash of each stretch of some bytes, from its start to before its end; equal stretches have equal ones."""
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum((data.astype(np.uint64) + np.uint64(1)) * _powers(_BASE, len(data)), out=sums[1:])
    return _mixed((sums[ends] - sums[starts]) * _powers(_INVERSE, len(data) + 1)[starts])


def _sliding_least(values: Hashes, window: int) -> Hashes:
    """The least of each `window` values in a row, in time that does not depend on the window (van Herk, Gil and Werman)."""
    count = len(values) - window + 1
    padded = np.full(-(-len(values) // window) * window, _LARGEST, np.uint64)
    padded[: len(values)] = values
    blocks = padded.reshape(-1, window)
    ahead = np.minimum.accumulate(blocks, axis=1).ravel()
    behind = np.minimum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.minimum(behind[:count], ahead[window - 1 : window - 1 + count])


def _mixed(hashes: Hashes) -> Hashes:
    """Spread over all bits (the finaliser of SplitMix64), so that the least hash is any stretch as likely as another."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = hashes ^ (hashes >> np.uint64(31))
    return mixed


def _powers(base: int, count: int) -> Hashes:
    return _all_powers(base, 1 << max(12, (count - 1).bit_length()))[:count]


@lru_cache(maxsize=8)
def _all_powers(base: int, count: int) -> Hashes:
    powers = np.ones(count, np.uint64)
    done = 1
    while done < count:
        powers[done : 2 * done] = powers[:done] * np.uint64(pow(base, done, _WORD))
        done *= 2
    return powers
