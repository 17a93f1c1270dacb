"""What looking for copies costs: a kilobyte beside the corpus, and the index beside the works."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from guard.corpus.index import Corpus, build
from tests.bench.measure import Line, quantile
from tests.bench.texts import prose

MEGABYTES, QUERIES = 64, 2000
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def lines() -> Iterator[Line]:
    """A corpus of synthetic works in memory, asked about fresh texts and about copies."""
    with tempfile.TemporaryDirectory() as folder:
        works, chance = Path(folder, "works"), random.Random(3)
        works.mkdir()
        vocabulary = ["".join(chance.choices(_LETTERS, k=chance.randrange(2, 9))) for _ in range(20_000)]
        weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
        texts = []
        for number in range(MEGABYTES):
            text = " ".join(chance.choices(vocabulary, weights, k=190_000))
            texts.append(text)
            (works / f"{number}.txt").write_text(text)
        size = sum(map(len, texts))
        began = time.process_time()
        build(Path(folder, "corpus"), [works])
        spent = time.process_time() - began
        corpus = Corpus(Path(folder, "corpus"))
        prints = sum(segment.sizes[1] for segment in corpus.segments)
        yield Line("copies: a megabyte indexed", "15 MB/s", [(spent / size * 1e6, 1 / 15)])
        yield Line("copies: bytes of index for a character", "0.35 bytes", [(16 * prints / size, 0.35)], "≤ 1", 1.0)
        fresh = [" ".join(chance.choices(vocabulary, weights, k=200))[:1000] for _ in range(QUERIES)]
        times = [_spent(corpus, text) for text in fresh]
        yield Line("copies: p50 of 1 kB without one", "0.15 ms", [(quantile(times, 0.5), 150e-6)], "≤ 1")
        yield Line("copies: p99 of 1 kB without one", "0.5 ms", [(quantile(times, 0.99), 500e-6)], "≤ 1")
        copied = [prose(300, seed) + chance.choice(texts)[50_000:50_400] + prose(300, seed + 1) for seed in range(200)]
        assert all(corpus.find(text) for text in copied)
        times = [_spent(corpus, text) for text in copied]
        yield Line("copies: p50 of 1 kB with one", "0.5 ms", [(quantile(times, 0.5), 500e-6)], "≤ 1")


def _spent(corpus: Corpus, text: str) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    corpus.find(text)
    return time.process_time() - began
