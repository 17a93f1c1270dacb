"""Words of a shadow and what they look like, as hashed features: the same for training and for finding names.

A word is a run of letters and digits with what joins them ("O'Brien", "Jean-Luc", "U.S"); a possessive 's, and every other
mark, is a word of its own; the address of a page or a mailbox is one. numpy works on all words at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

LONGEST = 64  # bytes of a part of a word; longer ones are cut
PARTS = 5  # of a word, joined by marks
ADDRESS_PARTS = 128  # bytes of an address behind its sign
HASHED = 32  # bytes of a word that count
NEARBY = 8  # words before and behind one whose capitals tell what its own mean
UNSURE = 2 * LONGEST  # bytes at the end of a text whose words more text may change, where they hold no space

# What a word is made of.
LOWER, TITLE, CAPITALS, LETTER, MIXED, DIGITS, CODE, MARK, FOREIGN, ADDRESS, HANDLE = range(11)
NAMELESS = (ADDRESS, HANDLE)
FEATURES = 10  # of a word by itself; a model adds what its lists of names say

_A, _NOT_A = r"[0-9A-Za-z_]", r"(?![0-9A-Za-z_])"  # "_" is the shadow's sign for a letter that looks like no Latin one
_RUN = rf"{_A}{{1,{LONGEST}}}+"
_POSSESSIVE = rf"['*][sS]{_NOT_A}"  # the shadow has "*" for a typographic apostrophe
_ADDRESS = rf"(?:[^\s@<>()\[\]\"',;:]{{1,{LONGEST}}}+@{_A}|[A-Za-z+]{{1,12}}+://|[wW]{{3}}\.)\S{{0,{ADDRESS_PARTS}}}+"
_WORD = (
    rf"[0-9]{{1,{LONGEST}}}+(?:[.,][0-9]{{1,{LONGEST}}}+){{1,{PARTS}}}+"
    rf"|[A-Za-z_](?:\.[A-Za-z_]{_NOT_A}){{1,{PARTS}}}+"
    rf"|{_RUN}(?:(?!{_POSSESSIVE})['*&-]{_RUN}){{0,{PARTS}}}+"
    rf"|(?<={_A}){_POSSESSIVE}|@{_RUN}|\S"
)
_WORDS = re.compile(rf"(?:{_WORD})\s*+|^\s++".encode())
_WORDS_AND_ADDRESSES = re.compile(rf"(?:{_ADDRESS}|{_WORD})\s*+|^\s++".encode())
_ADDRESS_ONLY = re.compile(_ADDRESS.encode())
_SIGNS = (b"@", b"://", b"www.")


@dataclass(frozen=True, slots=True)
class Words:
    """Words of one text; all arrays are numpy's, one element (or row) a word.

    `starts` and `ends` are places in the shadow, `forms` says what each is made of (LOWER …), `codes` is the hash of its lower
    case (uint32), `features` holds FEATURES hashes (uint32), 0 where there is none.
    """

    starts: Any
    ends: Any
    forms: Any
    codes: Any
    features: Any

    def __len__(self) -> int:
        return len(self.starts)


def words(data: bytes) -> Words | None:
    """The words of a shadow; None where there is none. Time linear in its length."""
    import numpy as np

    small = data.lower()
    signed = any(sign in small for sign in _SIGNS)
    pieces = (_WORDS_AND_ADDRESSES if signed else _WORDS).findall(data)
    if not pieces or (len(pieces) == 1 and pieces[0].isspace()):
        return None
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    starts = np.cumsum(lengths) - lengths
    if data[:1].isspace():
        pieces, lengths, starts = pieces[1:], lengths[1:], starts[1:]
    tables = _tables()
    chars = np.frombuffer(data, np.uint8)[starts[0] :]
    offsets = starts - starts[0]
    ends = starts + np.add.reduceat(tables.there[chars], offsets, dtype=np.int64)
    forms = _forms(np, chars, offsets, ends - starts)
    if signed:
        forms[[len(piece) > 4 and _ADDRESS_ONLY.match(piece) is not None for piece in pieces]] = ADDRESS
    within = np.minimum(np.arange(len(chars)) - np.repeat(offsets, lengths), HASHED)
    codes = np.add.reduceat(tables.values[chars] * tables.powers[within], offsets)
    return Words(starts, ends, forms, mixed(codes), _features(np, data, starts, ends, forms, codes))


def _forms(np: Any, chars: Any, starts: Any, sizes: Any) -> Any:
    tables = _tables()
    bits = tables.bits[chars]
    bits[starts] <<= 4
    made = np.bitwise_or.reduceat(bits, starts)
    forms = tables.forms[made]
    forms[(forms == CAPITALS) & (sizes == 1)] = LETTER
    forms[(forms != MARK) & (chars[starts] == 64)] = HANDLE
    return forms


def _features(np: Any, data: bytes, starts: Any, ends: Any, forms: Any, codes: Any) -> Any:
    tables = _tables()
    sizes = ends - starts
    padded = b"\0\0\0\0" + data.translate(tables.lower) + b"\0\0\0\0"
    fours = np.ndarray((len(padded) - 3,), "<u4", padded, strides=(1,))  # the four bytes from each place on
    head, tail = fours[starts + 4], fours[ends]
    form = forms.astype(np.uint64)
    gaps = _gaps(np, data, starts, ends)
    found = np.empty((FEATURES, len(starts)), np.uint64)
    found[0] = codes
    found[1] = codes * np.uint64(31) + form
    for place, length in enumerate((2, 3, 4)):
        bits = 8 * np.minimum(sizes, length).astype(np.uint32)
        found[2 + place] = head & tables.masks[bits >> 3]
        found[5 + place] = tail >> (np.uint32(32) - bits)
    found[8] = form * np.uint64(100) + (np.minimum(sizes, 9) * 10 + gaps).astype(np.uint64)
    found[9] = form * np.uint64(100) + _ambience(np, forms)
    found += (np.arange(1, FEATURES + 1, dtype=np.uint64) * _GOLDEN)[:, None]
    hashes = mixed(found)
    # An address says nothing by its letters; a mark or a number all by its word and its shape.
    hashes[:8, tables.nameless[forms]] = 0
    hashes[1:8, tables.bare[forms]] = 0
    return hashes.T


def _gaps(np: Any, data: bytes, starts: Any, ends: Any) -> Any:
    """What stands before each word: nothing 0, a space 1, a line end 2, an empty line 3."""
    gaps = np.ones(len(starts), np.int64)
    gaps[1:] = starts[1:] > ends[:-1]
    gaps[0] = 2
    if b"\n" in data:
        breaks = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
        counts = np.bincount(np.searchsorted(starts, breaks), minlength=len(starts) + 1)[: len(starts)]
        gaps = np.where(counts > 0, 1 + np.minimum(counts, 2), gaps)
    return gaps


def _ambience(np: Any, forms: Any) -> Any:
    """How many of the words around one begin with a capital: none 1, some, most, nearly all 4; 0 where few tell."""
    tables = _tables()
    size = len(forms)
    sums = np.zeros((2, size + 2 * NEARBY + 2), np.int32)
    np.cumsum(tables.cased[:, forms], axis=1, out=sums[:, NEARBY + 1 : NEARBY + 1 + size])
    sums[:, NEARBY + 1 + size :] = sums[:, NEARBY + size, None]
    total, large = sums[:, 2 * NEARBY + 1 : 2 * NEARBY + 1 + size] - sums[:, :size]
    level = 1 + (large > 0) + (10 * large > 3 * total) + (20 * large > 13 * total)
    return np.where(total > 2, level, 0)


def nameless(forms: Any) -> Any:
    """Which words are no part of a name, whatever they hold: addresses of pages and mailboxes, and handles."""
    return _tables().nameless[forms]


def lettered(forms: Any) -> Any:
    """Which words are no marks and no plain numbers."""
    return ~_tables().bare[forms]


def mixed(values: Any) -> Any:
    """64 bits spread over 32, never 0. (The finaliser of SplitMix64, Steele, Lea and Flood 2014, shortened.)"""
    import numpy as np

    spread = values * np.uint64(0xBF58476D1CE4E5B9)
    spread ^= spread >> np.uint64(27)
    spread *= np.uint64(0x94D049BB133111EB)
    return np.maximum(spread >> np.uint64(32), np.uint64(1)).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class _Tables:
    there: Any  # of each byte: whether it is no space
    lower: bytes
    values: Any  # in a hash of a word: case does not count, and every digit is the same
    powers: Any
    bits: Any
    forms: Any  # by the bits of a word's first byte and, four times as small, of the others
    masks: Any
    cased: Any  # of each form: whether its capitals tell something; whether it begins with one
    nameless: Any
    bare: Any


_GOLDEN = 0x9E3779B97F4A7C15 >> 8
_UPPER, _LOWER, _DIGIT, _FOREIGN = 1, 2, 4, 8


@cache
def _tables() -> _Tables:
    import numpy as np

    low = bytes(range(256)).lower().replace(b"*", b"'")
    there = np.array([not bytes([code]).isspace() for code in range(256)])
    values = (1 + np.array([48 if 48 <= code <= 57 else code for code in low], np.uint64)) * there
    powers = np.array([pow(0x100000001B3, power, 1 << 64) for power in range(1, HASHED + 2)], np.uint64)
    powers[HASHED] = 0
    bits = np.zeros(256, np.uint8)
    bits[65:91], bits[97:123], bits[48:58], bits[95] = _UPPER, _LOWER, _DIGIT, _FOREIGN
    every = np.arange(11)
    cased = np.stack([np.isin(every, (LOWER, TITLE, CAPITALS, MIXED)), np.isin(every, (TITLE, CAPITALS))])
    return _Tables(
        there, low, values, powers, bits, np.array([_form(code >> 4, code & 15) for code in range(256)]),
        np.array([(1 << 8 * size) - 1 for size in range(5)], np.uint32), cased,
        np.isin(every, NAMELESS), np.isin(every, (MARK, DIGITS)),
    )  # fmt: skip


def _form(first: int, others: int) -> int:
    every = first | others
    letters = every & (_UPPER | _LOWER)
    if every & _FOREIGN:
        return FOREIGN
    if every & _DIGIT:
        return CODE if letters else DIGITS
    if not letters:
        return MARK
    if not every & _UPPER:
        return LOWER
    if not every & _LOWER:
        return CAPITALS
    return TITLE if first & _UPPER and not others & _UPPER else MIXED
