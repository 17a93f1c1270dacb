"""Words and their pieces as hashed features, the same for training and for scoring. Pure Python.

A text is a bag of features: each word, each pair of neighbouring words, and each stretch of three to five characters inside
a word's boundaries. A linear model over them is a sum over words, so what a word contributes is worked out once and kept.
"""

from __future__ import annotations

import re
from zlib import crc32

SHORTEST, LONGEST = 3, 5
SMOOTHING = 8  # features added to the count of a text, so that a lone letter does not weigh like a sentence
MAX_WORD = 40  # longer "words" are cut: nobody reads them, and they must not cost more than others

_RUN = re.compile(r"[\w@$!*'\u2019+|]+")
_SPELLED = re.compile(r"(?<!\w)\w(?:[ .\-_*]\w){2,60}(?!\w)")
_REPEATED = re.compile(r"(\w)\1{2,}")
_STARS = re.compile(r"\*+")
_LEET = str.maketrans("013457@$!|+", "oieastasilt")
_LOOKALIKES = str.maketrans("аеёорсухіјѕԁӏкмтнвαορεικντυ\u2019", "aeeopcyxijsdlkmthbaopeikvtu'")


def words(text: str) -> list[str]:
    """The words of a text in lower case, with Cyrillic and Greek look-alikes made Latin and spelled-out words joined."""
    plain = text.casefold()
    if not plain.isascii():
        plain = plain.translate(_LOOKALIKES)
    plain = _SPELLED.sub(lambda match: re.sub(r"[ .\-_*]", "", match.group()), plain)
    runs = (match.group().strip("'!|+_") for match in _RUN.finditer(plain))
    return [run[:MAX_WORD] for run in runs if any(map(str.isalnum, run[:MAX_WORD]))]


def readings(word: str) -> tuple[str, ...]:
    """What a word may be meant as, likeliest first: repeated letters, digits for letters and stars are undone."""
    if word.isalpha():
        return (word,) if _REPEATED.search(word) is None else (_REPEATED.sub(r"\1", word), _REPEATED.sub(r"\1\1", word))
    if not any(character.isalpha() for character in word):
        return (word,) if not any(mark in word for mark in "@$!*") else (word, word.translate(_LEET))
    plain = _REPEATED.sub(r"\1", word).translate(_LEET)
    if "*" not in plain:
        return (plain,) if plain == word else (plain, word)
    return (word, *(_STARS.sub(vowel, plain) for vowel in "uioae"))


def word_features(word: str) -> list[int]:
    """Hashes of a word and of the stretches of characters in it."""
    framed = f" {word} "
    features = [crc32(b"w" + word.encode("utf-8", "replace"))]
    for size in range(SHORTEST, LONGEST + 1):
        features += [
            crc32(b"c" + framed[start : start + size].encode("utf-8", "replace"))
            for start in range(max(1, len(framed) - size + 1))
        ]
    return features


def pair_feature(left: str, right: str) -> int:
    """Hash of two neighbouring words."""
    return crc32(f"p{left} {right}".encode("utf-8", "replace"))
