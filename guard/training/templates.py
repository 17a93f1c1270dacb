"""Sentences of our own: harm of every kind and its benign look-alikes, in like numbers and for every group alike.

The wording stands in `templates.txt`; it is ours, and no evaluation set went into it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from guard.checkers.hazards import BY_NAME

SOURCE = Path(__file__).parent / "templates.txt"
TIER1 = Path(__file__).parent / "templates_tier1.txt"  # learned by tier 1 alone; uses the words of the other
HEAVIEST = 4.0  # weight of a sentence
LOWER_CASE = 0.4  # of the sentences, since people write so
_BLANK = re.compile(r"<(\w+)>")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")


Labels = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Family:
    """Sentences with the same labels: those that are not named are 0, None is unlabelled."""

    name: str
    labels: Labels
    share: int = 1
    sentences: list[str] = field(default_factory=list)


def sentences(seed: int, each: int, *sources: Path) -> Iterator[tuple[str, Family, float]]:
    """Sentences with their families and weights: up to `each` (times the family's share) of every wording, all different.

    The same for the same seed. A wording weighs more the more sentences it makes, but less than in proportion.
    """
    words, families = read(*(sources or (SOURCE,)))
    for family in families:
        for wording in family.sentences:
            draw = random.Random(f"{seed} {wording}")  # noqa: S311  (not for secrets)
            drawn = sorted({fill(wording, words, draw) for _ in range(each * family.share)})
            for text in drawn:
                yield text, family, min(HEAVIEST, each / len(drawn))


def fill(sentence: str, words: dict[str, list[str]], draw: random.Random) -> str:
    """Fill the blanks, which may hold blanks themselves, and settle articles and capitals."""
    while _BLANK.search(sentence):
        sentence = _BLANK.sub(lambda blank: draw.choice(words[blank[1]]), sentence)
    sentence = _ARTICLE.sub(r"\1n ", sentence)
    return sentence.lower() if draw.random() < LOWER_CASE else sentence[:1].upper() + sentence[1:]


def read(*sources: Path) -> tuple[dict[str, list[str]], list[Family]]:
    """The word lists and the families of template files. Raises ValueError for a label that is no category."""
    words: dict[str, list[str]] = {}
    families: list[Family] = []
    current: list[str] = []
    in_words = True
    for line in (line for source in sources for line in source.read_text(encoding="utf-8").splitlines()):
        if line.startswith("[="):
            families.append(_family(line))
            current, in_words = families[-1].sentences, False
        elif line.startswith("["):
            current, in_words = words.setdefault(line.strip("[]"), []), True
        elif line and not line.startswith("#"):
            current += line.split("|") if in_words else [line]
    return words, families


def _family(head: str) -> Family:
    name, *pairs = head.strip("[= ]").split()
    labels: Labels = {}
    for label, _, value in (pair.partition("=") for pair in pairs):
        if label not in BY_NAME:
            raise ValueError(f"{head}: {label!r} is not a category; known are {', '.join(BY_NAME)}")
        labels[label] = None if value == "?" else float(value)
    return Family(name.rstrip("*"), labels, 1 + name.count("*"))
