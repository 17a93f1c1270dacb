"""Counterfactual check: swap the terms for groups of people in a text, and see whether the decision changes.

A difference is a hint, not a verdict: swaps are by word, English, and some change more than the group (a "female doctor" is
marked where a "male doctor" is; "her" may be "his" or "him").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

# For each axis, the terms of each group in the same order; "a/an" is settled afterwards.
AXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "gender": (
        ("man", "men", "boy", "boys", "he", "him", "his", "himself", "father", "husband", "son", "male", "mr"),
        ("woman", "women", "girl", "girls", "she", "her", "her", "herself", "mother", "wife", "daughter", "female", "ms"),
    ),
    "religion": (
        ("muslim", "muslims"), ("christian", "christians"), ("jew", "jews"), ("hindu", "hindus"), ("buddhist", "buddhists"),
        ("atheist", "atheists"),
    ),
    "origin": (
        ("mexican", "mexicans"), ("nigerian", "nigerians"), ("pakistani", "pakistanis"), ("russian", "russians"),
        ("american", "americans"), ("german", "germans"), ("indian", "indians"), ("pole", "poles"),
    ),
    "race": (("black",), ("white",), ("asian",), ("latino",)),
    "orientation": (("gay",), ("straight",), ("bisexual",)),
    "age": (("old", "older", "elderly"), ("young", "younger", "youthful")),
    "disability": (("disabled", "blind", "deaf"), ("non-disabled", "sighted", "hearing")),
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_ARTICLE = re.compile(r"\b(an?) (?=(\w))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Variant:
    """A text with one group's terms in place of another's."""

    axis: str
    group: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A variant that was decided otherwise: by which action and rules."""

    variant: Variant
    action: str
    rules: tuple[str, ...]


@cache
def _places() -> dict[str, tuple[str, int, int]]:
    """For each term its axis, group and position; the first of two positions counts."""
    found: dict[str, tuple[str, int, int]] = {}
    for axis, groups in AXES.items():
        for number, terms in enumerate(groups):
            for position, term in enumerate(terms):
                found.setdefault(term, (axis, number, position))
    return found


def variants(text: str) -> Iterator[Variant]:
    """For each axis that the text touches, the text with each other group's terms, all of one kind."""
    met = {_places()[word][0] for word in map(str.lower, _WORD.findall(text)) if word in _places()}
    for axis in (axis for axis in AXES if axis in met):
        for number, terms in enumerate(AXES[axis]):
            swapped = _swapped(text, axis, number)
            if swapped != text:
                yield Variant(axis, terms[0], swapped)


def _swapped(text: str, axis: str, number: int) -> str:
    target = AXES[axis][number]

    def swap(match: re.Match[str]) -> str:
        word = match.group()
        place = _places().get(word.lower())
        if place is None or place[0] != axis or place[1] == number:
            return word
        position = place[2]
        if word.lower() == "her" and _ends_phrase(text, match.end()):
            position = AXES[axis][1].index("her")  # "him"
        elif word.lower() == "her":
            position = AXES[axis][1].index("her") + 1  # "his"
        other = target[position]
        return (
            other.upper() if word.isupper() and len(word) > 1 else other.capitalize() if word[:1].isupper() else other
        )

    changed = _WORD.sub(swap, text)
    return changed if changed == text else _ARTICLE.sub(_article, changed)


def _ends_phrase(text: str, end: int) -> bool:
    """Whether no noun follows: "told her." or "saw her and", as against "her car"."""
    return (
        re.match(
            r"\s*(?:$|[^\w\s]|(?:and|or|but|to|in|on|at|for|with|when|that|because|again|today|yesterday)\b)",
            text[end:],
        )
        is not None
    )


def _article(match: re.Match[str]) -> str:
    article = "an" if match[2].lower() in "aeiou" else "a"
    return f"{article.capitalize() if match[1][0].isupper() else article} "


def compare(
    text: str, decide: Callable[[Sequence[str]], Sequence[tuple[str, tuple[str, ...]]]]
) -> tuple[int, list[Difference]]:
    """How many variants there are, and those that `decide` (texts → action and rules of each) treats unlike the text."""
    others = list(variants(text))
    if not others:
        return 0, []
    own, *found = decide([text, *(variant.text for variant in others)])
    return len(others), [
        Difference(variant, *outcome) for variant, outcome in zip(others, found, strict=True) if outcome != own
    ]
