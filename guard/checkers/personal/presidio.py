"""Presidio's pattern recognizers as plain patterns: its expressions, validators and context words, none of its engine.

They stand beside the native engine (`engine: both`); presidio as a whole is in `whole`.

Its engine, tokenizer and URL expression take time quadratic in repeated punctuation, and its own loop counts a pattern that
timed out as a pattern that found nothing, so neither is used: the patterns run here, a time-out raises, and words around a
match are compared without lemmas.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from guard.checkers.personal.context import AFTER, Words
from guard.checkers.shadow import around
from guard.checkers.text import fold
from guard.errors import MissingExtra
from guard.types import Span

RECOGNIZERS = {
    "AU_MEDICARE": "AuMedicareRecognizer",
    "CRYPTO": "CryptoRecognizer",
    "DE_ID_CARD": "DeIdCardRecognizer",
    "DE_PASSPORT": "DePassportRecognizer",
    "DE_SOCIAL_SECURITY": "DeSocialSecurityRecognizer",
    "IN_PAN": "InPanRecognizer",
    "IN_PASSPORT": "InPassportRecognizer",
    "IN_VOTER": "InVoterRecognizer",
    "IP_ADDRESS": "IpRecognizer",
    "IT_DRIVER_LICENSE": "ItDriverLicenseRecognizer",
    "IT_IDENTITY_CARD": "ItIdentityCardRecognizer",
    "IT_PASSPORT": "ItPassportRecognizer",
    "MAC_ADDRESS": "MacAddressRecognizer",
    "MEDICAL_LICENSE": "MedicalLicenseRecognizer",
    "NG_NIN": "NgNinRecognizer",
    "UK_DRIVING_LICENCE": "UkDrivingLicenceRecognizer",
    "UK_NINO": "UkNinoRecognizer",
    "UK_PASSPORT": "UkPassportRecognizer",
    "US_BANK_NUMBER": "UsBankRecognizer",
    "US_DRIVER_LICENSE": "UsLicenseRecognizer",
    "US_ITIN": "UsItinRecognizer",
    "US_MBI": "UsMbiRecognizer",
    "US_PASSPORT": "UsPassportRecognizer",
}
_WORTH_A_LOOK = re.compile(r"\d+|::")
_MARGIN = 80  # no presidio pattern matches more characters around a digit
_NEAR, _LEAST_NEAR = 0.35, 0.6  # what a context word adds to the score of a pattern, and the least it then has
_HEAVY = ("torch", "transformers")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One expression of a recognizer. `expression` is of the `regex` module, whose searches can time out."""

    category: str
    expression: Any
    score: float
    context: Words
    validate: Callable[[str], bool | None]
    invalidate: Callable[[str], bool | None]

    def matches(self, text: str, start: int, end: int, timeout: float) -> Iterator[tuple[int, int, float]]:
        """Start, end and score of each match in a stretch that the recognizer accepts. Raises TimeoutError."""
        for match in self.expression.finditer(text, start, end, timeout=timeout):
            found = match.group()
            verdict = self.validate(found) if found else False
            if verdict is not False and not self.invalidate(found):
                yield match.start(), match.end(), 1.0 if verdict else self.score


class Presidio:
    """Runs patterns over a text; `limit` is the seconds that one pattern may take, `before` as for the native engine."""

    def __init__(self, patterns: Sequence[Pattern], before: int, limit: float) -> None:
        self._patterns, self._before, self._limit = patterns, before, limit

    def matches(self, text: str) -> Iterator[tuple[str, float, Span]]:
        """Category, score and place of every match. Raises TimeoutError."""
        plain = fold(text)
        for left, right in _stretches(plain.text):
            for pattern in self._patterns:
                for start, end, base in pattern.matches(plain.text, left, right, self._limit):
                    nearby = around(plain.text, start, end, self._before, AFTER)
                    close = base < 1 and any(map(pattern.context.within, nearby))
                    score = min(1.0, max(base + _NEAR, _LEAST_NEAR)) if close else base
                    yield pattern.category, round(score, 4), plain.span(start, end)

    def pending(self, text: str) -> int:
        """How many of the last characters more text may matter to: a little more than the longest pattern."""
        return min(len(text), 2 * _MARGIN + AFTER)


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """Where presidio's patterns can match: around digits, since each of them needs one (or the `::` of an address)."""
    left = right = 0
    for match in _WORTH_A_LOOK.finditer(text):
        if match.start() - _MARGIN > right and right:
            yield left, right
            left = match.start() - _MARGIN
        elif not right:
            left = max(0, match.start() - _MARGIN)
        right = min(len(text), match.end() + _MARGIN)
    if right:
        yield left, right


def patterns(wanted: frozenset[str]) -> tuple[Pattern, ...]:
    """The patterns of the wanted entities. Raises MissingExtra when presidio is not installed."""
    if not wanted:
        return ()
    if not installed():
        raise MissingExtra("checking for personal data", "pii")
    with without_models():
        import presidio_analyzer.predefined_recognizers as predefined
    import regex  # type: ignore[import-untyped]

    found = []
    for category in sorted(wanted):
        recognizer = getattr(predefined, RECOGNIZERS[category])()
        words = Words(recognizer.context or ())
        for pattern in recognizer.patterns:
            if ".*" in pattern.regex:  # looks ahead without bound from every place: quadratic
                continue
            expression = regex.compile(pattern.regex, recognizer.global_regex_flags)
            found.append(
                Pattern(
                    category, expression, pattern.score, words, recognizer.validate_result, recognizer.invalidate_result
                )
            )
    return tuple(found)


def installed() -> bool:
    """Whether presidio is there to be used."""
    return importlib.util.find_spec("presidio_analyzer") is not None


@contextmanager
def without_models(wanted: bool = True) -> Iterator[None]:
    """Import as if torch and transformers were not installed; not `wanted`: as ever.

    Presidio imports spaCy, and both import torch and transformers when they find them: 13 s and 300 MB that patterns have no
    use for. Only in a process with one thread, such as a checker's own, where no other import can see the gap.
    """
    hide = wanted and threading.active_count() == 1
    hidden = [name for name in _HEAVY if name not in sys.modules] if hide else []
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
