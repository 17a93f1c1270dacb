"""What looking for copies costs: a kilobyte beside the corpus, and the index beside the works; and that none is missed.

GUARD_BENCH_MEGABYTES says how large the corpus is, GUARD_BENCH_PLANTED how many copies are looked for.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from guard.corpus.index import Corpus, build
from guard.corpus.normal import normalise
from tests.bench.measure import Line, quantile

MEGABYTES = int(os.environ.get("GUARD_BENCH_MEGABYTES", "64"))
PLANTED = int(os.environ.get("GUARD_BENCH_PLANTED", "100000"))
QUERIES = 2000
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
_BETWEEN = (" ", ", ", "\n", " \u2014 ", ".\n\n", "-", "  ", "; ")


def lines() -> Iterator[Line]:
    """A corpus of synthetic works, asked about fresh texts and about copies. All of it is in the cache of the disk."""
    with tempfile.TemporaryDirectory() as folder:
        works, chance = Path(folder, "works"), random.Random(3)
        works.mkdir()
        words = Words(chance)
        for number in range(MEGABYTES):
            (works / f"{number}.txt").write_text(words.text(190_000))
        size = sum(path.stat().st_size for path in works.iterdir())
        began = time.process_time()
        build(Path(folder, "corpus"), [works])
        spent = time.process_time() - began
        corpus = Corpus(Path(folder, "corpus"))
        prints = sum(segment.sizes[1] for segment in corpus.segments)
        yield Line(f"copies: a megabyte indexed, of {size / 1e6:,.0f}", "15 MB/s", [(spent / size * 1e6, 1 / 15)])
        yield Line("copies: bytes of index for a character", "0.35 bytes", [(16 * prints / size, 0.35)], "≤ 1", 1.0)
        times = [_spent(corpus, words.text(200)[:1000]) for _ in range(QUERIES)]
        yield Line("copies: p50 of 1 kB without one", "0.15 ms", [(quantile(times, 0.5), 150e-6)], "≤ 1")
        yield Line("copies: p99 of 1 kB without one", "0.5 ms", [(quantile(times, 0.99), 500e-6)], "≤ 1")
        excerpts = list(_excerpts(sorted(works.iterdir()), corpus.run, chance, PLANTED))
        copied = [f"{words.text(60)} {copy} {words.text(60)}" for copy in excerpts]
        times = [_spent(corpus, text) for text in copied[:QUERIES]]
        yield Line("copies: p50 of 1 kB with one", "0.5 ms", [(quantile(times, 0.5), 500e-6)], "≤ 1")
        # The table shows ratios, so these two count from one: 1.00 is none.
        missed = sum(not _found(corpus, text, copy) for text, copy in zip(copied, excerpts, strict=True))
        yield Line(f"copies: missed of {PLANTED} in disguise", "none", [(1 + missed, 1)], "= 1", 1.0)
        false = sum(bool(corpus.find(words.text(200))) for _ in range(PLANTED))
        yield Line(f"copies: found in {PLANTED} fresh texts", "none", [(1 + false, 1)], "= 1", 1.0)


class Words:
    """Texts of made-up words, some of them common."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._words = ["".join(chance.choices(_LETTERS, k=chance.randrange(2, 9))) for _ in range(20_000)]
        self._weights = [1 / (rank + 1) for rank in range(len(self._words))]

    def text(self, count: int) -> str:
        """So many words."""
        return " ".join(self._chance.choices(self._words, self._weights, k=count))


def _excerpts(paths: Sequence[Path], run: int, chance: random.Random, count: int) -> Iterator[str]:
    """Excerpts of at least `run` letters, some exactly so long, in other case, punctuation and lines."""
    for turn in range(count):
        if turn % 100 == 0:
            work = chance.choice(paths).read_text()
        start = chance.randrange(len(work) - 2000)
        wanted = run + (turn % 4) * chance.randrange(150)
        end = start + wanted
        while (have := len(normalise(work[start:end]))) < wanted:
            end += wanted - have
        made = [chance.choice((str.upper, str.title, str.lower))(word) for word in work[start:end].split(" ")]
        yield "".join(word + chance.choice(_BETWEEN) for word in made)


def _found(corpus: Corpus, text: str, copy: str) -> bool:
    """Whether all of a copy is found, in one piece."""
    start = text.index(copy)
    inside = normalise(copy)
    return any(
        found.start <= start + len(copy) and len(normalise(text[found.start : found.end])) >= len(inside)
        for found in corpus.find(text)
    )


def _spent(corpus: Corpus, text: str) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    corpus.find(text)
    return time.process_time() - began
