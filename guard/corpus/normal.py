"""The form in which texts are compared: letters and digits only, without case, accents and compatibility forms.

So neither line breaks nor hyphens at their ends, punctuation, full-width letters or zero-width characters hide a copy.
"""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

from guard.charmap import Table

_ASCII = bytes(code for code in range(128) if not chr(code).isalnum())
_LOWER = bytes(range(256)).lower()
_KEPT = np.array([chr(code).isalnum() for code in range(128)])


def _letters(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character)
    base = "".join(part for part in parts if not unicodedata.combining(part))
    made = unicodedata.normalize("NFC", base).casefold()  # so that a Korean syllable stays one character
    return "".join(part for part in made if part.isalnum())


_FORMS = Table(_letters)


def normalise(text: str) -> bytes:
    """The letters and digits of a text in UTF-8."""
    if text.isascii():
        return text.encode("ascii").translate(_LOWER, _ASCII)
    return text.translate(_FORMS).encode()  # no form holds a surrogate


def origins(text: str) -> NDArray[np.int64]:
    """For each byte of `normalise(text)`, the index in `text` of the character that it comes from."""
    if text.isascii():
        return np.flatnonzero(_KEPT[np.frombuffer(text.encode("ascii"), np.uint8)])
    sizes = {char: len(_FORMS[ord(char)].encode()) for char in set(text)}
    return np.repeat(np.arange(len(text)), np.fromiter((sizes[char] for char in text), np.int64, len(text)))


def characters(data: NDArray[np.uint8]) -> int:
    """How many characters begin in some bytes of UTF-8."""
    return int(np.count_nonzero((data & 0xC0) != 0x80))
