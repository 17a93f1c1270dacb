"""Toxicity: a small linear model over words and character n-grams that ships with the package, scored in pure Python.

Each sentence gets a calibrated probability for three heads: `toxicity` (abuse, insults and profanity aimed at people),
`identity_attack` (hostility to people for who they are) and `threat`. How the model was made, on what, and what it gets
wrong stands in `data/MODEL_CARD_toxicity.md`.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, Field, field_validator

from guard.checkers import ngrams
from guard.checkers.text import fold, sentences, text_of
from guard.digest import sha256
from guard.errors import ConfigError
from guard.types import Finding, Item, Span

MODEL = Path(__file__).parent / "data" / "toxicity.bin"
MAGIC = b"genguard-linear-1\n"
HEADS = ("toxicity", "identity_attack", "threat")
MESSAGES = {
    "toxicity": "abusive, insulting or profane wording",
    "identity_attack": "hostile to people for who they are",
    "threat": "threatens or wishes harm",
}
WINDOW, STRIDE = 30, 20  # words; longer sentences are scored in overlapping windows
CORE, CORE_STRIDE, SURE = (
    8,
    4,
    0.9,
)  # a few words out of a sentence count when they are this bad, so that padding cannot hide them
Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """One linear classifier: a weight for each bucket, and what turns the sum into a probability."""

    name: str
    weights: Sequence[float]
    bias: float
    slope: float = 1.0
    offset: float = 0.0

    def probability(self, total: float, count: int) -> float:
        """From the sum of weights over `count` features."""
        logit = self.slope * (self.bias + total / math.sqrt(count + ngrams.SMOOTHING)) + self.offset
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, logit))))


def unpacked(data: bytes, largest: float) -> array[float]:
    """Weights from bytes: a sign and the square root of the size in 127 steps, so that small weights keep their precision."""
    steps = (byte - 256 if byte > 127 else byte for byte in range(256))
    levels = [math.copysign(largest * (step / 127) ** 2, step) for step in steps]
    return array("f", (levels[byte] for byte in data))


class Model:
    """The heads of one file."""

    def __init__(self, heads: Sequence[Head], digest: str) -> None:
        self.heads = tuple(heads)
        self.digest = digest
        self._masks = tuple(len(head.weights) - 1 for head in heads)
        self._word = lru_cache(maxsize=50_000)(self._read)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a model file. Raises ConfigError when it is missing or damaged."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"cannot read the toxicity model {path.name}: {error.strerror}; reinstall genguard"
            ) from error
        header, found, body = data.removeprefix(MAGIC).partition(b"\n")
        if not (found and data.startswith(MAGIC)):
            raise ConfigError(f"{path.name} is not a model of this version; reinstall genguard")
        facts = json.loads(header)
        heads, start = [], 0
        for entry in facts["heads"]:
            weights = unpacked(body[start : start + entry["buckets"]], entry["largest"])
            start += entry["buckets"]
            heads.append(Head(entry["name"], weights, *(entry[key] for key in ("bias", "slope", "offset"))))
        if start != len(body):
            raise ConfigError(f"{path.name} is cut short or too long; reinstall genguard")
        return cls(heads, sha256(data).hex())

    def score(self, words: Sequence[str]) -> Vector:
        """The probability of each head for some words."""
        totals = [0.0] * len(self.heads)
        count = 0
        previous = "^"
        for word in words:
            reading, sums, size = self._word(word)
            pair = ngrams.pair_feature(previous, reading)
            for index, head in enumerate(self.heads):
                totals[index] += sums[index] + head.weights[pair & self._masks[index]]
            count += size + 1
            previous = reading
        if not count:
            return tuple(0.0 for _ in self.heads)
        return tuple(head.probability(total, count) for head, total in zip(self.heads, totals, strict=True))

    def worst(self, words: Sequence[str]) -> Vector:
        """The highest probability of each head over the windows of a sentence, and over a few words at a time."""
        scores = [self.score(window) for window in _windows(words, WINDOW, STRIDE)]
        if len(words) > CORE:
            cores = (self.score(window) for window in _windows(words, CORE, CORE_STRIDE))
            scores += [tuple(score if score >= SURE else 0.0 for score in core) for core in cores]
        return tuple(max(column) for column in zip(*scores, strict=True))

    def _read(self, word: str) -> tuple[str, Vector, int]:
        """The worst reading of a word, its sum for each head, and the number of its features."""
        options = [self._sums(reading) for reading in ngrams.readings(word)]
        return max(options, key=lambda option: option[1][0] / math.sqrt(option[2]))

    def _sums(self, reading: str) -> tuple[str, Vector, int]:
        features = ngrams.word_features(reading)
        sums = tuple(
            sum(head.weights[feature & mask] for feature in features)
            for head, mask in zip(self.heads, self._masks, strict=True)
        )
        return reading, sums, len(features)


class ToxicityChecker:
    """Finds abusive sentences. `model` is an argument so that another one can be handed in."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        min_score: float = Field(0.5, ge=0, le=1, description="lowest probability that is reported")
        heads: frozenset[str] = Field(frozenset(HEADS), description="what to report: toxicity, identity_attack, threat")

        @field_validator("heads")
        @classmethod
        def _known(cls, value: frozenset[str]) -> frozenset[str]:
            unknown = sorted(value - set(HEADS))
            if unknown:
                raise ValueError(f"unknown head {unknown[0]!r}; known are {', '.join(HEADS)}")
            return value

    name = "toxicity"
    kinds = frozenset({"text"})
    horizon = "sentence"

    def __init__(self, params: Params, model: Model | None = None) -> None:
        self._params = params
        self._model = model or Model.load(MODEL)
        self.version = f"1+{self._model.digest[:12]}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """One finding for each head and abusive sentence."""
        return [list(self._findings(text_of(item))) for item in items]

    def _findings(self, text: str) -> Iterator[Finding]:
        plain = fold(text)
        for sentence in sentences(plain.text):
            scores = self._model.worst(ngrams.words(plain.text[sentence.start : sentence.end]))
            yield from self._report(scores, plain.span(*sentence))

    def _report(self, scores: Vector, span: Span) -> Iterator[Finding]:
        for head, score in zip(self._model.heads, scores, strict=True):
            if head.name in self._params.heads and score >= self._params.min_score:
                yield Finding(head.name, round(score, 4), span, message=MESSAGES[head.name])


def _windows(words: Sequence[str], size: int, stride: int) -> Iterator[Sequence[str]]:
    for start in range(0, max(1, len(words) - size + stride), stride):
        yield words[start : start + size]
