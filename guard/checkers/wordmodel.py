"""A linear model over hashed words and pairs of words, scored in windows, in pure Python: some 0.2 ms for 1,000 characters.

A window's features are its words, their first five letters, and each word with the one and the two before it. The training
script uses the same functions, so what was learned and what is scored are the same.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from zlib import crc32

from guard.checkers import modelfile

MAGIC = b"genguard-words-1\n"
WINDOW, STRIDE = 48, 16  # words
SMOOTHING = 12  # features added to the count of a window, so that two words do not weigh like forty
STEM = 5
_LOOKALIKES = str.maketrans("аеёорсухіјѕԁӏкмтнвαορεικντυ\u2019", "aeeopcyxijsdlkmthbaopeikvtu'")
_WORD = re.compile(r"[^\W_]{1,32}(?:'[a-z]{1,3})?")


@dataclass(frozen=True, slots=True)
class Window:
    """Characters of a text and the probability of them."""

    start: int
    end: int
    probability: float


def lowered(text: str) -> str:
    """Lower case, with Cyrillic and Greek look-alikes made Latin; equally long, so that places stay."""
    lower = text.lower()
    if len(lower) != len(text):  # a few capitals grow when lowered
        lower = "".join(character.lower()[:1] for character in text)
    return lower if lower.isascii() else lower.translate(_LOOKALIKES)


def features(words: Sequence[str]) -> list[tuple[int, ...]]:
    """For each word the hashes of its features."""
    found: list[tuple[int, ...]] = []
    before = last = 0
    for word in words:
        own, stem = _hashes(word)
        found.append((own, stem, _pair(last, own), _pair(before + 1, own)))
        before, last = last, own
    return found


@lru_cache(maxsize=1 << 16)
def _hashes(word: str) -> tuple[int, int]:
    data = word.encode("utf-8", "replace")
    return crc32(data), crc32(b"s" + data[:STEM])


def _pair(left: int, right: int) -> int:
    mixed = left * 0x9E3779B1 ^ right
    return mixed ^ mixed >> 15


def spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text stand."""
    return [match.span() for match in _WORD.finditer(text)]


def windows(count: int) -> list[tuple[int, int]]:
    """First and last word (exclusive) of each window over so many words."""
    return [(start, min(count, start + WINDOW)) for start in range(0, max(1, count - WINDOW + STRIDE), STRIDE)]


def squeezed(weights: Sequence[float], largest: float) -> bytes:
    """Weights as bytes: a sign and the square root of the size in 127 steps, so that small weights keep their precision."""
    return bytes(
        round(math.copysign(127 * math.sqrt(min(1.0, abs(weight) / largest)), weight)) & 255 for weight in weights
    )


class WordModel:
    """The weights of one file. Scores are calibrated probabilities."""

    def __init__(self, weights: Sequence[float], bias: float, slope: float, offset: float, digest: str = "") -> None:
        self.weights, self.bias, self.slope, self.offset, self.digest = weights, bias, slope, offset, digest
        self._mask = len(weights) - 1

    @classmethod
    def load(cls, path: Path) -> WordModel:
        """Read a model file. Raises ConfigError when it is missing or damaged."""
        facts, body, digest = modelfile.read(path, MAGIC)
        modelfile.require_size(path, body, facts["buckets"])
        largest = facts["largest"]
        steps = [byte - 256 if byte > 127 else byte for byte in range(256)]
        levels = [math.copysign(largest * (step / 127) ** 2, step) for step in steps]
        weights = array("f", (levels[byte] for byte in body))
        return cls(weights, facts["bias"], facts["slope"], facts["offset"], digest)

    def score(self, text: str, places: Sequence[tuple[int, int]]) -> list[Window]:
        """The probability of each window over a text in lower case, given where its words stand."""
        weights, mask = self.weights, self._mask
        sums = [
            weights[one & mask] + weights[two & mask] + weights[three & mask] + weights[four & mask]
            for one, two, three, four in features([text[start:end] for start, end in places])
        ]
        totals = [0.0, *accumulate(sums)]
        return [
            Window(places[first][0], places[last - 1][1], self.probability(totals[last] - totals[first], last - first))
            for first, last in windows(len(places))
            if last > first
        ]

    def probability(self, total: float, count: int) -> float:
        """From the sum of weights over `count` words."""
        logit = self.slope * (self.bias + total / math.sqrt(4 * count + SMOOTHING)) + self.offset
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, logit))))
