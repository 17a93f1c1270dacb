"""Personal data: e-mail addresses, phone numbers, checksummed identifiers, and presidio's pattern recognizers, all offline.

Presidio contributes its patterns and validators only. Its engine, tokenizer and URL expression take time quadratic in repeated
punctuation, and its own loop counts a pattern that timed out as a pattern that found nothing, so neither is used: the patterns
run here, a time-out raises, and words around a match are compared without lemmas. Names of people need a model and are not
looked for.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from pydantic import BaseModel, Field, field_validator

from guard.checkers import identifiers
from guard.checkers.context import near
from guard.checkers.phones import phone_numbers
from guard.checkers.presidio import RECOGNIZERS, Pattern, patterns, releases
from guard.checkers.text import fold, text_of
from guard.errors import MissingExtra
from guard.types import Finding, Item

EMAIL, PHONE = "EMAIL_ADDRESS", "PHONE_NUMBER"
KNOWN = frozenset({EMAIL, PHONE}) | identifiers.CATEGORIES | frozenset(RECOGNIZERS)
AFTER = 24  # characters behind a match in which a context word counts
_NEAR, _LEAST_NEAR = 0.35, 0.6  # what a context word adds to the score of a presidio pattern, and the least it then has

_LOCAL = re.compile(r"[\w.+'%-]{1,64}\Z")
_DOMAIN = re.compile(r"(?:[^\W_][\w-]{0,62}\.){1,8}[^\W\d_][\w-]{0,61}[^\W_]")
_WORTH_A_LOOK = re.compile(r"\d+|::")
MARGIN = 80  # no presidio pattern matches more characters around a digit
_LONGEST = 400  # no match is longer
MESSAGE = {
    EMAIL: "an e-mail address",
    PHONE: "a phone number",
    "CREDIT_CARD": "a payment card number with a valid check digit",
    "IBAN_CODE": "a bank account number with valid check digits",
    "IP_ADDRESS": "an IP address",
}
OTHER = "a number or code that identifies a person or an account"
_Match = tuple[str, float, int, int]  # category, score, start, end


class PiiChecker:
    """Finds personal data. Categories are presidio's names of entities, and ours in the same manner."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        entities: frozenset[str] = Field(KNOWN, description="categories to look for; default: all")
        min_score: float = Field(0.5, ge=0, le=1, description="lowest score that is reported")
        allow: tuple[str, ...] = Field(
            (), description="literal texts that are never reported, such as your own phone number"
        )
        regions: tuple[str, ...] = Field(
            ("US", "GB", "DE", "FR"), description="whose national phone numbers to look for"
        )
        context_window: int = Field(
            64, ge=0, le=512, description="characters before a match that are searched for context"
        )
        pattern_timeout: float = Field(
            1.0, gt=0, le=60, description="seconds for one presidio pattern; then the check fails"
        )

        @field_validator("entities")
        @classmethod
        def _known(cls, value: frozenset[str]) -> frozenset[str]:
            unknown = sorted(value - KNOWN)
            if unknown:
                raise ValueError(f"unknown entity {unknown[0]!r}; known are {', '.join(sorted(KNOWN))}")
            return value

    name = "pii"
    kinds = frozenset({"text"})
    horizon = "span"

    def __init__(self, params: Params, load: Callable[[frozenset[str]], Sequence[Pattern]] = patterns) -> None:
        self._params = params
        self.version = "+".join(("1", *(f"{name}-{release}" for name, release in releases())))
        self._finder = identifiers.Finder(params.entities)
        self._patterns = load(params.entities & frozenset(RECOGNIZERS))
        self._allow = frozenset(text.casefold() for text in params.allow)
        if PHONE in params.entities and importlib.util.find_spec("phonenumbers") is None:
            raise MissingExtra("checking for phone numbers", "pii")

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """The personal data in each text; where kinds overlap, the surest one is named."""
        return [self._findings(text_of(item)) for item in items]

    def _findings(self, text: str) -> list[Finding]:
        plain = fold(text)
        found = []
        for category, score, start, end in _surest(self._matches(plain.text)):
            span = plain.span(start, end)
            if score >= self._params.min_score and text[span.start : span.end].casefold() not in self._allow:
                found.append(Finding(category, score, span, message=MESSAGE.get(category, OTHER)))
        return found

    def _matches(self, text: str) -> Iterator[_Match]:
        if EMAIL in self._params.entities:
            yield from _emails(text)
        if _WORTH_A_LOOK.search(text) is None:
            return
        if PHONE in self._params.entities:
            for phone in phone_numbers(text, self._params.regions, self._params.context_window):
                yield PHONE, phone.score, phone.start, phone.end
        yield from self._identifiers(text)
        yield from self._presidio(text)

    def _identifiers(self, text: str) -> Iterator[_Match]:
        for hit in self._finder.hits(text):
            kind = hit.kind
            score = kind.alone if hit.separated else kind.bare
            if score < kind.near and self._near(text, hit.start, hit.end, tuple(kind.context.split("|"))):
                score = kind.near
            if score:
                yield kind.category, score, hit.start, hit.end

    def _presidio(self, text: str) -> Iterator[_Match]:
        limit = self._params.pattern_timeout
        for left, right in _stretches(text):
            for pattern in self._patterns:
                for start, end, base in pattern.matches(text, left, right, limit):
                    close = base < 1 and self._near(text, start, end, pattern.context)
                    score = min(1.0, max(base + _NEAR, _LEAST_NEAR)) if close else base
                    yield pattern.category, round(score, 4), start, end

    def _near(self, text: str, start: int, end: int, words: tuple[str, ...]) -> bool:
        return near(text, start, end, words, before=self._params.context_window, after=AFTER)


def _emails(text: str) -> Iterator[_Match]:
    """Around each @: as much local part and domain as there is. Any top-level domain counts, reserved ones included."""
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.search(text[max(0, at - 64) : at])
        domain = _DOMAIN.match(text, at + 1, at + 255)
        if local and domain:
            start = at - len(local.group().lstrip(".'%-"))
            if start < at and text[at - 1] != ".":
                yield EMAIL, 1.0, start, domain.end()
        at = text.find("@", at + 1)


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """Where presidio's patterns can match: around digits, since each of them needs one (or the `::` of an address)."""
    left = right = 0
    for match in _WORTH_A_LOOK.finditer(text):
        if match.start() - MARGIN > right and right:
            yield left, right
            left = match.start() - MARGIN
        elif not right:
            left = max(0, match.start() - MARGIN)
        right = min(len(text), match.end() + MARGIN)
    if right:
        yield left, right


def _surest(matches: Iterator[_Match]) -> list[_Match]:
    """Leave out what lies inside another match that is at least as sure; matches that merely touch both stay."""
    kept: list[_Match] = []
    for candidate in sorted(set(matches), key=lambda match: (match[2], -match[3], -match[1], match[0])):
        _, score, start, end = candidate
        before = itertools.takewhile(lambda match: match[2] > start - _LONGEST, reversed(kept))  # noqa: B023
        if not any(other[2] <= start and end <= other[3] and other[1] >= score for other in before):
            kept.append(candidate)
    return kept
