"""Sentences of our own for training: abuse and its benign look-alikes, in like numbers and for every group alike.

The wording stands in `templates.txt`; it is ours, and no evaluation set went into it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).parent / "templates.txt"
LOWER_CASE = 0.4  # of the sentences, since people write so
_BLANK = re.compile(r"<(\w+)>")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")


@dataclass(frozen=True, slots=True)
class Family:
    """Sentences with the same labels: toxicity, identity_attack, threat."""

    labels: tuple[float, float, float]
    sentences: list[str] = field(default_factory=list)


def sentences(seed: int, size: int) -> Iterator[tuple[str, float, float, float]]:
    """`size` sentences with their labels, drawn from every family in turn; the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311  (not for secrets)
    words, families = read(SOURCE)
    for index in range(size):
        family = families[index % len(families)]
        yield fill(draw.choice(family.sentences), words, draw), *family.labels


def fill(sentence: str, words: dict[str, list[str]], draw: random.Random) -> str:
    """Fill the blanks, which may hold blanks themselves, and settle articles and capitals."""
    while _BLANK.search(sentence):
        sentence = _BLANK.sub(lambda blank: draw.choice(words[blank[1]]), sentence)
    sentence = _ARTICLE.sub(r"\1n ", sentence)
    return sentence.lower() if draw.random() < LOWER_CASE else sentence[:1].upper() + sentence[1:]


def read(source: Path) -> tuple[dict[str, list[str]], list[Family]]:
    """The word lists and the families of a template file."""
    words: dict[str, list[str]] = {}
    families: list[Family] = []
    current: list[str] = []
    in_words = True
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith("[="):
            toxicity, identity, threat = map(float, line.strip("[]").split()[2:])
            families.append(Family((toxicity, identity, threat)))
            current, in_words = families[-1].sentences, False
        elif line.startswith("["):
            current, in_words = words.setdefault(line.strip("[]"), []), True
        elif line and not line.startswith("#"):
            current += line.split("|") if in_words else [line]
    return words, families
