"""Looking for content in the bytes of files, in whatever form it might have been left there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_WINDOW = 8  # bytes by which a needle is found first
_BLOCK = 1 << 24
_BITS = 24
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying by it spreads what looks alike

Needle = bytes
Words = NDArray[np.uint64]


def present(files: Iterable[Path], needles: Iterable[Needle]) -> set[Needle]:
    """Those of the needles (each of 8 bytes or more) that some file holds."""
    by_start: dict[int, list[Needle]] = {}
    for needle in set(needles):
        by_start.setdefault(int.from_bytes(needle[:_WINDOW], "little"), []).append(needle)
    if not by_start:
        return set()
    starts = np.array(sorted(by_start), dtype="<u8")
    likely = np.zeros(1 << _BITS, dtype=bool)
    likely[_hashed(starts)] = True
    longest = max(len(needle) for some in by_start.values() for needle in some)
    found: set[Needle] = set()
    for path in files:
        data = path.read_bytes()
        for at in _starts(data, starts, likely):
            piece = data[at : at + longest]
            found.update(it for it in by_start[int.from_bytes(piece[:_WINDOW], "little")] if piece.startswith(it))
    return found


def _starts(data: bytes, starts: Words, likely: NDArray[np.bool_]) -> Iterator[int]:
    """Where the first eight bytes of a needle stand."""
    for block in range(0, len(data), _BLOCK):
        for shift in range(_WINDOW):
            first = block + shift
            count = (min(block + _BLOCK + _WINDOW, len(data)) - first) // _WINDOW
            if count <= 0:
                continue
            words = np.frombuffer(data, dtype="<u8", offset=first, count=count)
            places = np.flatnonzero(likely[_hashed(words)])
            nearest = starts[np.minimum(np.searchsorted(starts, words[places]), len(starts) - 1)]
            hits = places[nearest == words[places]]
            yield from (first + int(place) * _WINDOW for place in hits)


def _hashed(words: Words) -> Words:
    return (words * _SPREAD) >> np.uint64(64 - _BITS)


def ends(value: bytes, size: int = 12) -> list[Needle]:
    """Both ends of a value: a database may cut it into pages in between."""
    return [part for part in (value[:size], value[-size:]) if len(part) == size]


def written(text: str, size: int = 16) -> list[Needle]:
    """Pieces of a text in the forms in which programs write it down: encoded, armoured and compressed."""
    plain = text.encode()
    forms = [
        plain,
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        plain.hex().encode(),
        plain.hex().upper().encode(),
    ]
    for start in range(3):  # the three ways in which base64 may fall on it
        forms += [base64.b64encode(plain[start:])[:-4], base64.urlsafe_b64encode(plain[start:])[:-4]]
    for level in (1, 6, 9):
        forms.append(zlib.compress(plain, level)[2:-4])  # gzip and PNG hold the same stream
    return [form[at : at + size] for form in forms for at in (0, len(form) // 2, len(form) - size) if at >= 0]


def confirming(data: bytes, secrets: Sequence[bytes]) -> list[Needle]:
    """What would show that somebody's guess of a content is right: plain digests, and those under secrets that they have."""
    digests = [hashlib.new(name, data).digest() for name in ("md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256")]
    digests.append(hashlib.sha256(b"\0" + data).digest())  # of a leaf
    digests += [hmac.digest(secret, data, "sha256") for secret in secrets]
    return [
        form for digest in digests for form in (digest[:16], digest.hex()[:24].encode(), base64.b64encode(digest)[:20])
    ]
