"""Bias in wording: hostile generalisations about groups of people, gendered wording and exclusionary terms in job texts.

A sentence is reported as `stereotype` or `hostile_generalisation` when it says something bad about a group as such: a term
for a group, in the plural or with a quantifier, followed closely by a predicate from a list. A mere mention never counts, and
a sentence that denies, quotes or condemns the claim is let go. The lists are English and short: a first net, not a judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, Field

from guard.checkers import lexicon
from guard.checkers.lexicon import Rule
from guard.checkers.patterns import compiled
from guard.checkers.text import Folded, fold, sentences, text_of
from guard.digest import sha256
from guard.types import Finding, Item

GENDERED = "gendered_wording"
FEW = 3  # different coded words by which one side must outweigh the other before their density says anything
SUBJECT_REACH, OBJECT_REACH = 40, 14  # characters between a group and what is said of it
AROUND = 3  # words around a quotation that make it one, rather than emphasis
_QUOTE = re.compile(r'["\u201c\u201d\u00ab\u00bb]')
_WORD = re.compile(r"[a-z][a-z'-]*")
_OTHER_CLAUSE = re.compile(r"[;:]|\b(?:and|but|because|while|so|when)\b")
LONGEST = 600  # of a sentence are read; longer ones are read in pieces


class BiasChecker:
    """Finds biased wording in English text."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        gendered_density: float = Field(
            0.03, gt=0, le=1, description="share of coded words in a text from which they are reported"
        )
        exclusionary: bool = Field(True, description="look for exclusionary terms")
        groups: tuple[str, ...] = Field(
            (), description="further groups of people, in the plural, such as 'night-shift workers'"
        )

    name = "bias"
    kinds = frozenset({"text"})
    horizon = "document"
    categories = frozenset({"stereotype", "hostile_generalisation", "exclusionary_term", GENDERED})

    def __init__(self, params: Params) -> None:
        self._params = params
        found = lexicon.load(params.groups)
        self.version = f"1+{sha256(lexicon.SOURCE.read_bytes()).hex()[:12]}"
        # In most texts nobody is named and no term stands: one pass of RE2 says so, for all expressions at once.
        self._somebody = _any_of(found.rules["group"])
        self._group, self._exempt = found.rules["group"][0].expression, found.rules["exempt"][0].expression
        self._claims = (*found.rules["subject"], *found.rules["object"])
        self._terms = tuple(found.rules["term"]) if params.exclusionary else ()
        self._some_term = _any_of(self._terms)
        self._sides = {"masculine": found.stems("masculine"), "feminine": found.stems("feminine")}
        self._instead = found.instead

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """The biased wording in each text."""
        return [list(self._findings(text_of(item))) for item in items]

    def _findings(self, text: str) -> Iterator[Finding]:
        plain = fold(text)
        lower = plain.text.replace("\u2019", "'").lower()
        if len(lower) != len(plain.text):  # a few capitals grow when lowered, and places must not move
            lower = "".join(character.lower()[:1] for character in plain.text.replace("\u2019", "'"))
        data = lower.encode("utf-8", "replace")
        for start, end in sentences(lower) if self._somebody.search(data) else ():
            for left in range(start, end, LONGEST):
                yield from self._generalisations(plain, lower, left, min(end, left + LONGEST))
        for term in self._terms if self._some_term.search(data) else ():
            for match in term.expression.finditer(lower):
                yield Finding(term.category, term.score, plain.span(*match.span()), message=term.message)
        yield from self._coded(plain, lower)

    def _generalisations(self, plain: Folded, lower: str, start: int, end: int) -> Iterator[Finding]:
        """At most one finding a sentence: from the group to the end of what is said of it."""
        groups = list(self._group.finditer(lower, start, end))
        if not groups or self._exempt.search(lower, start, end):
            return
        best: Finding | None = None
        for claim in self._claims:
            for match in claim.expression.finditer(lower, start, end):
                group = _group_of(claim, match, groups, lower)
                if (
                    group is not None
                    and (best is None or claim.score > best.score)
                    and not _quoted(lower, start, end, match)
                ):
                    span = plain.span(min(group.start(), match.start()), max(group.end(), match.end()))
                    best = Finding(claim.category, claim.score, span, message=claim.message)
        if best is not None:
            yield best

    def _coded(self, plain: Folded, lower: str) -> Iterator[Finding]:
        """Gender-coded words, when a text leans to one side with enough of them."""
        words = _WORD.findall(lower)
        different = set(words)
        coded = {name: {word for word in different if stems.match(word)} for name, stems in self._sides.items()}
        side = max(coded, key=lambda name: len(coded[name]))
        lean = 2 * len(coded[side]) - sum(map(len, coded.values()))
        if lean < FEW or lean / len(words) < self._params.gendered_density:
            return
        score = round(min(0.6, 0.3 + lean / len(words)), 4)
        for match in _WORD.finditer(lower):
            if match.group() not in coded[side]:
                continue
            instead = self._instead(side, match.group())
            message = f"{side}-coded wording" + (f"; consider: {instead}" if instead else "")
            yield Finding(GENDERED, score, plain.span(*match.span()), message=message)


def _any_of(rules: Sequence[Rule]) -> Any:
    """An expression that is found where any of the rules' is, and sometimes where none is."""
    return compiled("|".join(rule.words for rule in rules), utf8=True)


def _quoted(text: str, start: int, end: int, match: re.Match[str]) -> bool:
    """Whether a claim stands between quotation marks in a sentence that says something about it."""
    marks = [mark.start() for mark in _QUOTE.finditer(text, start, end)]
    opening = [mark for mark in marks if mark < match.start()]
    closing = [mark for mark in marks if mark >= match.end()]
    if len(opening) % 2 == 0 or not closing:
        return False
    outside = text[start : opening[-1]] + " " + text[closing[0] + 1 : end]
    return len(_WORD.findall(outside)) >= AROUND


def _group_of(claim: Rule, match: re.Match[str], groups: Sequence[re.Match[str]], text: str) -> re.Match[str] | None:
    """The group that a claim is about: the nearest one before it, or after it where the group is the object."""
    if claim.kind == "object":
        near = [group for group in groups if 0 <= group.start() - match.end() <= OBJECT_REACH]
        return near[0] if near else None
    near = [group for group in groups if 0 <= match.start() - group.end() <= SUBJECT_REACH]
    return near[-1] if near and not _OTHER_CLAUSE.search(text, near[-1].end(), match.start()) else None
