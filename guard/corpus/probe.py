"""Does a model recite? Asked to go on from passages of a corpus, how often does it go on with the work itself.

The protocol of extraction studies (Carlini et al., "Quantifying Memorization Across Neural Language Models", ICLR 2023): a
prefix of a work as the prompt, and what the model adds compared with the works.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from guard.corpus.index import Corpus
from guard.corpus.normal import normalise
from guard.corpus.segment import Work
from guard.digest import label
from guard.errors import ConfigError
from guard.intervals import wilson


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one passage: the longest copy in the answer, in letters and digits, and of which work."""

    work: Work
    at: int
    longest: int
    copied_from: str


@dataclass(frozen=True, slots=True)
class Recitation:
    """The share of answers with a copy of at least `run` letters and digits, with its 95 % interval (Wilson)."""

    run: int
    answers: tuple[Answer, ...]
    recited: int
    rate: float
    low: float
    high: float


def passages(corpus: Corpus, count: int, prefix: int, seed: int) -> Iterator[tuple[Work, int, str]]:
    """Prompts from the files of the works: drawn evenly over all text, each with its work and its place in the file.

    Works whose file is gone or has changed are passed over; raises ConfigError where none is left.
    """
    chance = random.Random(seed)  # noqa: S311 - a sample that can be drawn again
    works = list(corpus.works)
    texts: dict[str, str | None] = {}
    left = {work.path for work in works}
    drawn = 0
    while drawn < count:
        if not left:
            raise ConfigError(
                "the files of this corpus are not where they were indexed, or changed: probing reads them"
            )
        work = chance.choices(works, [work.size if work.path in left else 0 for work in works])[0]
        text = texts.setdefault(work.path, _unchanged(work))
        if text is None:
            left.discard(work.path)
            continue
        drawn += 1
        start = chance.randrange(max(1, len(text) - 2 * prefix))
        yield work, start, text[start : start + prefix]


def _unchanged(work: Work) -> str | None:
    try:
        text = Path(work.path).read_text("utf-8-sig")
    except (OSError, ValueError):
        return None
    return text if label(normalise(text)) == work.digest else None


def probe(
    corpus: Corpus,
    generate: Callable[[str], str],
    *,
    count: int = 100,
    prefix: int = 200,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Recitation:
    """Ask `generate` to go on from `count` passages of `prefix` characters. It returns what it added, without the prompt."""
    answers = []
    for work, at, prompt in passages(corpus, count, prefix, seed):
        copies = corpus.find(generate(prompt), least=corpus.winnow.gram)
        longest = max(copies, key=lambda copy: copy.characters, default=None)
        size, title = (longest.characters, longest.work.title) if longest else (0, "")
        answers.append(Answer(work, at, size, title))
        if progress:
            progress(len(answers), count)
    recited = sum(answer.longest >= corpus.run for answer in answers)
    low, high = wilson(recited, len(answers))
    return Recitation(corpus.run, tuple(answers), recited, recited / len(answers), low, high)
