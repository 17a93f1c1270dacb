"""A multi-label linear model over hashed n-grams: reading its file, and scoring sentences.

Sums are whole numbers, so a score is the same on every machine and whatever stands beside a sentence in a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.checkers import modelfile, ngrams

MAGIC = b"genguard-linear-2\n"
WINDOW, STRIDE = 30, 20  # words; longer sentences are scored in overlapping windows
CORE, CORE_STRIDE = (
    8,
    4,
)  # a few words out of a sentence count when they are bad enough, so that padding cannot hide them
SURE = 0.9
PHRASE = 2  # a word counts as much as so many of its pieces
STEPS, SCALE = 127, 32767  # of a stored weight: its sign, and the square root of its size; and of a weight in use


@dataclass(frozen=True, slots=True)
class Head:
    """One label: what turns a sum of weights into a probability (Platt), and thresholds by false-positive rate."""

    name: str
    largest: float  # weight
    bias: float
    slope: float = 1.0
    offset: float = 0.0
    thresholds: Mapping[str, float] | None = None


class Model:
    """The heads and the table of weights of one file."""

    def __init__(self, heads: Sequence[Head], steps: Any, digest: str) -> None:
        """`steps`: int8 array, buckets × heads, see `expanded`."""
        import numpy as np

        self.heads = tuple(heads)
        self.digest = digest
        self.buckets = len(steps)
        self._table = np.vstack([expanded(steps), np.zeros((1, len(self.heads)), np.int16)])  # last row: no feature
        self._unit = np.array([head.largest / SCALE for head in heads])
        self._bias, self._slope, self._offset = (
            np.array([getattr(head, name) for head in heads]) for name in ("bias", "slope", "offset")
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, in the order of the scores."""
        return tuple(head.name for head in self.heads)

    @property
    def thresholds(self) -> Mapping[str, Mapping[str, float]]:
        """For each label the least score by false-positive rate, where the file states it."""
        return {head.name: head.thresholds or {} for head in self.heads}

    @property
    def version(self) -> str:
        """What a checker's version says about the model."""
        return self.digest[:12]

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a model file. Raises ConfigError when it is missing or damaged."""
        import numpy as np

        facts, body, digest = modelfile.read(path, MAGIC)
        heads = [Head(**head) for head in facts["heads"]]
        modelfile.require_size(path, body, facts["buckets"] * len(heads))
        steps = np.frombuffer(body, np.int8).reshape(facts["buckets"], len(heads))
        return cls(heads, steps, digest)

    def logits(self, lines: Sequence[str]) -> Any:
        """Calibrated log-odds, lines × heads: the highest over each line's windows. Lines hold no line break."""
        return self.logits_of(self.read(lines))

    def logits_of(self, reads: Sequence[str]) -> Any:
        """The same for lines as `read` gives them."""
        import numpy as np

        result = np.full((len(reads), len(self.heads)), -np.inf)
        if not reads:
            return result
        bag = ngrams.bag("\n".join(reads))
        if bag is None:
            return result
        totals, counts = self._summed(bag)
        firsts = ngrams.runs(bag.sentence)
        for size, stride, least in ((WINDOW, STRIDE, None), (CORE, CORE_STRIDE, float(np.log(SURE / (1 - SURE))))):
            starts, ends = _windows(firsts, bag.size, size, stride, longer=least is not None)
            if not len(starts):
                continue
            sums, weights = totals[ends] - totals[starts], counts[ends] - counts[starts]
            raw = sums * self._unit / np.sqrt(weights + ngrams.SMOOTHING)[:, None] + self._bias
            scores = raw * self._slope + self._offset
            if least is not None:
                scores = np.where(scores >= least, scores, -np.inf)
            line = bag.sentence[starts]
            first = ngrams.runs(line)
            if len(first) < len(line):
                scores = np.maximum.reduceat(scores, first, axis=0)
            result[line[first]] = np.maximum(result[line[first]], scores)
        return result

    def read(self, lines: Sequence[str]) -> list[str]:
        """Lines as they are scored: in lower case, disguises undone, odd words in their worst reading."""
        read = ngrams.normalised("\n".join(lines), self._choose)
        return read.encode("utf-8", "replace").decode().split("\n") if lines else []

    def scores(self, lines: Sequence[str]) -> Any:
        """Probabilities, lines × heads; 0 for a line without words."""
        return probability(self.logits(lines))

    def _summed(self, bag: ngrams.Bag) -> tuple[Any, Any]:
        """Sums of weights (whole numbers) and of features up to each word: (words + 1) × heads, and words + 1."""
        import numpy as np

        pieces, phrases = self._rows(bag.pieces), self._rows(bag.phrases)
        sums = np.add.reduceat(self._table[pieces].sum(0, dtype=np.int64), bag.starts, axis=0)
        sums += PHRASE * self._table[phrases].sum(0, dtype=np.int64)
        weights = np.add.reduceat((bag.pieces > 0).sum(0), bag.starts) + PHRASE * PHRASE * (bag.phrases > 0).sum(0)
        totals = np.zeros((bag.size + 1, len(self.heads)), np.int64)
        np.cumsum(sums, axis=0, out=totals[1:])
        counts = np.zeros(bag.size + 1, np.int64)
        np.cumsum(weights, out=counts[1:])
        return totals, counts

    def _rows(self, hashes: Any) -> Any:
        import numpy as np

        return np.where(hashes > 0, hashes & np.uint64(self.buckets - 1), np.uint64(self.buckets)).astype(np.int64)

    def _choose(self, options: list[tuple[str, ...]]) -> list[str]:
        """The worst reading of each odd word: the highest sum over the heads' positive logits."""
        import numpy as np

        flat = [reading for readings in options for reading in readings]
        bag = ngrams.bag("\n".join(flat))
        worst = np.full(len(flat), -np.inf)
        if bag is not None:
            totals, counts = self._summed(bag)
            first = ngrams.runs(bag.sentence)
            last = np.append(first[1:], bag.size)
            sums, weights = totals[last] - totals[first], counts[last] - counts[first]
            worst[bag.sentence[first]] = (sums * self._unit / np.sqrt(weights + ngrams.SMOOTHING)[:, None]).max(1)
        chosen, at = [], 0
        for readings in options:
            chosen.append(readings[int(worst[at : at + len(readings)].argmax())])
            at += len(readings)
        return chosen


def expanded(steps: Any) -> Any:
    """Stored bytes (−127 … 127) as whole-number weights: the square of the share, so that small weights keep precision."""
    import numpy as np

    share = np.arange(-128, 128) / STEPS
    levels = np.rint(np.sign(share) * share**2 * SCALE).clip(-SCALE, SCALE).astype(np.int16)
    return levels[steps.astype(np.int16) + 128]


def probability(logits: Any) -> Any:
    """The logistic function, without overflow."""
    import numpy as np

    return 1 / (1 + np.exp(-np.clip(logits, -60, 60))) * (logits > -np.inf)


def _windows(firsts: Any, count: int, size: int, stride: int, *, longer: bool) -> tuple[Any, Any]:
    """Where windows start and end, for sentences that begin at `firsts` in so many words; with `longer`, only in sentences
    of more than `size` words."""
    import numpy as np

    ends = np.append(firsts[1:], count)
    lengths = ends - firsts
    if longer:
        long = lengths > size
        firsts, ends, lengths = firsts[long], ends[long], lengths[long]
    windows = np.maximum(1, -(-(lengths - size + stride) // stride))
    which = np.repeat(np.arange(len(firsts)), windows)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(windows) - windows, windows)
    starts = firsts[which] + turn * stride
    return starts, np.minimum(starts + size, ends[which])
