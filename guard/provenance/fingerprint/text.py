"""Texts: the keys by which a text is found again, and how like two texts are.

Two kinds of keys. Bands of a MinHash over 3-word shingles (Broder 1997; 16 bands of 4 out of 64 hashes) find a text of which
about half the shingles are left. Winnowed stretches (`guard.corpus.winnow`) find any text that shares a run of 96 letters
and digits. Keys only find candidates: what is said about them rests on `likeness` with the text itself.
"""

from __future__ import annotations

import base64
import re

import numpy as np
from numpy.typing import NDArray

from guard.corpus.normal import normalise
from guard.corpus.winnow import Winnow, spans

ALGORITHM = "minhash-3-words+winnow-96"
WORDS = 3  # of a shingle
FEWEST = 8  # shingles that a text must have, and two texts share, to be known by
SAME = 0.5  # share of the shorter text's shingles that the longer one has
LONGEST = 1 << 20  # characters that are looked at
_WINNOW = Winnow(96)
_BANDS, _ROWS = 16, 4
_MOST = 2048  # winnowed stretches of a long text that are kept: those of the least hashes, in every text the same
_ODD = np.random.Generator(np.random.PCG64(0x6E47)).integers(1 << 63, size=_BANDS * _ROWS, dtype=np.uint64) * 2 + 1
_SHIFT = np.random.Generator(np.random.PCG64(0x6E48)).integers(1 << 63, size=_BANDS * _ROWS, dtype=np.uint64)
_BLOCK = 4096  # shingles at a time

Keys = NDArray[np.uint64]
_WORD = re.compile(r"\w+")


def shingles(text: str) -> Keys:
    """The hashes of all runs of three words, sorted, each once."""
    words = [normalise(word) for word in _WORD.findall(text[:LONGEST])]
    words = [word for word in words if word]
    if len(words) < WORDS:
        return np.empty(0, np.uint64)
    data = np.frombuffer(b" ".join(words), np.uint8)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
    ends = starts + lengths
    return np.unique(spans(data, starts[: 1 - WORDS], ends[WORDS - 1 :]))


def keys(text: str) -> Keys:
    """The keys of a text, each once; none for one that is too short to be known by."""
    found = shingles(text)
    if len(found) < FEWEST:
        return np.empty(0, np.uint64)
    stretches, _ = _WINNOW.fingerprints(normalise(text[:LONGEST]))
    kept = np.sort(np.unique(stretches))[:_MOST]
    return np.unique(np.concatenate([_bands(found), kept]))


def _bands(found: Keys) -> Keys:
    least = np.full(_BANDS * _ROWS, np.iinfo(np.uint64).max, np.uint64)
    for start in range(0, len(found), _BLOCK):
        some = found[start : start + _BLOCK, None] * _ODD + _SHIFT
        np.minimum(least, (some ^ (some >> np.uint64(29))).min(axis=0), out=least)
    rows = np.ascontiguousarray(least.reshape(_BANDS, _ROWS)).view(np.uint8).reshape(_BANDS, -1)
    numbered = np.hstack([np.arange(_BANDS, dtype=np.uint8)[:, None], rows])  # a band is only like the same one
    ends = np.arange(1, _BANDS + 1) * numbered.shape[1]
    return spans(numbered.ravel(), ends - numbered.shape[1], ends)


def likeness(left: str, right: str) -> float:
    """The share of the shorter text's shingles that both have; 0 where they share too few."""
    one, other = shingles(left), shingles(right)
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / min(len(one), len(other)) if shared >= FEWEST else 0.0


def pack(found: Keys) -> str:
    """Base64 of the little-endian numbers."""
    return base64.b64encode(found.astype("<u8").tobytes()).decode()


def unpack(packed: str) -> Keys:
    """The inverse of `pack`."""
    return np.frombuffer(base64.b64decode(packed), "<u8").astype(np.uint64)
