"""A small network that says of each word whether it belongs to a name, and to which kind: reading its file, and scoring words.

Each feature of a word has a row of numbers, the rows are added up, and two layers look at a word among its neighbours. Of what
a word is, the network also knows whether lists of names have it. All sums are of whole numbers below 2**24, which float32 holds
exactly: a score is the same on every machine and whatever stands far from a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guard.checkers import modelfile
from guard.checkers.personal.wordforms import FEATURES, Words, mixed

MAGIC = b"genguard-names-1\n"
REACH = 2  # words before and behind one that a layer sees; there are two layers
BLOCK = 4096  # words that are scored at once, so that memory does not grow with the text
OUTSIDE = "O"
MOST_INPUT, MOST_FIRST = (
    1023,
    63,
)  # of the sums of rows, and of the weights that meet them: 240 products stay below 2**24
MOST_HIDDEN, MOST_SECOND = 255, 127  # of what a layer passes on, and of the weights that meet it


class Tagger:
    """Weights of one file. Only read after it is made: threads may share it.

    `tags` are names of labels: O, and for each kind B- (the first word of a name) and I- (the others). `arrays` holds
    `owners` (uint16: which feature has a row), `rows` (int8, one for each feature), `listed` (uint32, sorted: hashes of words
    in lists) with `lists` (uint8: which), and of two layers and the output their `weights` (int8, inputs × outputs), `scales`
    and `biases` (float32).
    """

    def __init__(self, tags: Sequence[str], arrays: Mapping[str, Any], digest: str) -> None:
        import numpy as np

        self.tags, self.digest = tuple(tags), digest
        self._owners, self._listed, self._lists = arrays["owners"], arrays["listed"], arrays["lists"]
        rows = arrays["rows"].astype(np.float32)
        self._rows = np.vstack([rows, np.zeros((1, rows.shape[1]), np.float32)])  # the last: a feature without a row
        self._layers = [
            (arrays[f"weights{number}"].astype(np.float32), arrays[f"scales{number}"], arrays[f"biases{number}"])
            for number in range(3)
        ]

    @classmethod
    def load(cls, path: Path) -> Tagger:
        """Read a model file. Raises ConfigError when it is missing or damaged."""
        import numpy as np

        facts, body, digest = modelfile.read(path, MAGIC)
        arrays, at = {}, 0
        sizes = [(name, np.dtype(kind), shape, int(np.prod(shape))) for name, kind, shape in facts["arrays"]]
        modelfile.require_size(path, body, sum(kind.itemsize * count for _, kind, _, count in sizes))
        for name, kind, shape, count in sizes:
            arrays[name] = np.frombuffer(body, kind, count, at).reshape(shape)
            at += kind.itemsize * count
        return cls(facts["tags"], arrays, digest)

    def probabilities(self, words: Words) -> Any:
        """Of each tag for each word: words × tags, rows sum to 1."""
        import numpy as np

        rows = self.numbers(words)
        halo = 2 * REACH
        parts = []
        for start in range(0, len(rows), BLOCK):
            left, right = max(0, start - halo), min(len(rows), start + BLOCK + halo)
            scored = self._scored(rows[left:right])
            parts.append(scored[start - left : start - left + min(BLOCK, len(rows) - start)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def numbers(self, words: Words) -> Any:
        """The row of each feature of each word: words × features."""
        import numpy as np

        hashes = np.empty((len(words), FEATURES + 1), np.uint32)
        hashes[:, :FEATURES] = words.features
        hashes[:, FEATURES] = listing(words, self._listed, self._lists)
        return numbers(hashes, self._owners)

    def _scored(self, rows: Any) -> Any:
        import numpy as np

        seen = np.clip(np.einsum("wfn->wn", self._rows.take(rows, axis=0)), -MOST_INPUT, MOST_INPUT)
        for weights, scales, biases in self._layers[:2]:
            seen = np.rint(np.clip(windows(seen) @ weights * scales + biases, 0, MOST_HIDDEN))
        weights, scales, biases = self._layers[2]
        scores = (seen @ weights * scales + biases).astype(np.float64)
        shares = np.exp(scores - scores.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)


def numbers(hashes: Any, owners: Any) -> Any:
    """Which row each feature has; the one behind the last where another feature has it, or none."""
    import numpy as np

    count = len(owners)
    rows = hashes & np.uint32(count - 1)
    held = (owners[rows] == (hashes >> np.uint32(16)).astype(np.uint16)) & (hashes > 0)
    return np.where(held, rows, np.uint32(count)).astype(np.int64)


def listing(words: Words, listed: Any, lists: Any) -> Any:
    """A feature of each word: in which lists of names it stands, and what it is made of."""
    import numpy as np

    found = lists_of(words, listed, lists).astype(np.uint64)
    return mixed(found * np.uint64(100) + words.forms.astype(np.uint64) + np.uint64(1 << 40))


def lists_of(words: Words, listed: Any, lists: Any) -> Any:
    """In which lists each word stands; 0 for none."""
    import numpy as np

    at = np.minimum(np.searchsorted(listed, words.codes), len(listed) - 1)
    return np.where(listed[at] == words.codes, lists[at], np.uint8(0))


def windows(values: Any) -> Any:
    """Each row beside the REACH rows before and behind it; beyond the ends there is nothing (0)."""
    import numpy as np

    count, width = values.shape
    wide = np.zeros((count + 2 * REACH, width), values.dtype)
    wide[REACH : REACH + count] = values
    step = wide.strides[0]
    return np.ndarray((count, (2 * REACH + 1) * width), wide.dtype, wide, strides=(step, wide.itemsize))
