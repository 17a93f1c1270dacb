"""Harm in text, tier 1: a small transformer that reads a sentence as a whole. ONNX Runtime, int8, one core.

Whichever group of people a sentence names, the model sees one and the same, so no group fares worse than another by its name.
Lines are run one by one: the activations of a run share one scale, so in a batch a line's score would depend on its company,
and on one core a batch saves next to nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.checkers import identities, modelfile
from guard.checkers.text import windows
from guard.digest import sha256
from guard.errors import ConfigError, MissingExtra

MAGIC = b"genguard-encoder-1\n"
WINDOW, STRIDE = 40, 26  # tokens; longer lines are read in overlapping windows, some thirty words each as in tier 0


@dataclass(frozen=True, slots=True)
class Head:
    """One label: what makes log-odds of the network's output (Platt), and how they go together with tier 0's.

    Where tier 0's log-odds are from `low` to `high`, it is not decisive. `joint_slope` and `joint_offset` calibrate the mean of
    both tiers' log-odds; `thresholds` are least scores of the cascade by false-positive rate.
    """

    name: str
    slope: float = 1.0
    offset: float = 0.0
    low: float = 0.0
    high: float = 0.0
    joint_slope: float = 1.0
    joint_offset: float = 0.0
    thresholds: Mapping[str, float] | None = None


class Encoder:
    """The network of one file with its vocabulary and heads."""

    def __init__(
        self, network: bytes, vocabulary: Sequence[str], heads: Sequence[Head], *, first: str, digest: str
    ) -> None:
        """`network`: ONNX, from `ids` (1 × tokens, int64) to `logits` (1 × heads). `first`: digest of the tier 0 that the
        heads were fitted with. Raises MissingExtra."""
        import numpy as np

        self.heads, self.first, self.digest = tuple(heads), first, digest
        self._slope, self._offset = (np.array([getattr(head, name) for head in heads]) for name in ("slope", "offset"))
        self._words = tokenizer(vocabulary)
        self._ends = self._words.token_to_id("[CLS]"), self._words.token_to_id("[SEP]")
        self._session = _session(network)

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, in the order of the scores."""
        return tuple(head.name for head in self.heads)

    @classmethod
    def load(cls, path: Path) -> Encoder:
        """Read a model file. Raises ConfigError when it is missing or damaged, MissingExtra without ONNX Runtime."""
        facts, body, digest = modelfile.read(path, MAGIC)
        if sha256(body).hex() != facts["body"]:  # a network with a few wrong weights runs, and answers nonsense
            raise ConfigError(f"{path.name} is damaged; reinstall genguard")
        words = body[: facts["vocabulary"]].decode().split("\n")
        heads = [Head(**head) for head in facts["heads"]]
        return cls(body[facts["vocabulary"] :], words, heads, first=facts["first"], digest=digest)

    def logits(self, lines: Sequence[str]) -> Any:
        """Calibrated log-odds, lines × heads: the highest over each line's windows. Lines as `linear.Model.read` gives them."""
        import numpy as np

        result = np.full((len(lines), len(self.heads)), -np.inf)
        for row, line in enumerate(lines):
            for window in self.windows(identities.neutral(line)):
                (found,) = self._session.run(["logits"], {"ids": np.array([window], np.int64)})
                result[row] = np.maximum(result[row], found[0] * self._slope + self._offset)
        return result

    def windows(self, line: str) -> Iterator[list[int]]:
        """The tokens of a line, in windows."""
        first, last = self._ends
        ids = self._words.encode(line, add_special_tokens=False).ids
        inside = WINDOW - 2
        for start, end in windows(len(ids), inside, inside - STRIDE):
            yield [first, *ids[start:end], last]


def tokenizer(vocabulary: Sequence[str]) -> Any:
    """BERT's: lower case, no accents, WordPiece. Raises MissingExtra."""
    _require("tokenizers")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = {word: place for place, word in enumerate(vocabulary)}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106  (no password)
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def _session(network: bytes) -> Any:
    _require("onnxruntime")
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a checker has one core, and sums keep one order
    options.log_severity_level = 4  # what it would log is raised
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def _require(library: str) -> None:
    try:
        importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise MissingExtra("toxicity with `tiers: cascade`", "toxicity") from error
