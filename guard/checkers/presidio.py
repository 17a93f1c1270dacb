"""Presidio's pattern recognizers as plain patterns: its expressions, validators and context words, none of its engine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from guard.errors import MissingExtra

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
_HEAVY = ("torch", "transformers")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One expression of a recognizer. `expression` is of the `regex` module, whose searches can time out."""

    category: str
    expression: Any
    score: float
    context: tuple[str, ...]
    validate: Callable[[str], bool | None]
    invalidate: Callable[[str], bool | None]

    def matches(self, text: str, start: int, end: int, timeout: float) -> Iterator[tuple[int, int, float]]:
        """Start, end and score of each match in a stretch that the recognizer accepts. Raises TimeoutError."""
        for match in self.expression.finditer(text, start, end, timeout=timeout):
            found = match.group()
            verdict = self.validate(found) if found else False
            if verdict is not False and not self.invalidate(found):
                yield match.start(), match.end(), 1.0 if verdict else self.score


def patterns(wanted: frozenset[str]) -> tuple[Pattern, ...]:
    """The patterns of the wanted entities. Raises MissingExtra when presidio or phonenumbers is not installed."""
    if not wanted:
        return ()
    if importlib.util.find_spec("presidio_analyzer") is None:
        raise MissingExtra("checking for personal data", "pii")
    with _without(_HEAVY):
        import presidio_analyzer.predefined_recognizers as predefined
    import regex  # type: ignore[import-untyped]

    found = []
    for category in sorted(wanted):
        recognizer = getattr(predefined, RECOGNIZERS[category])()
        words = tuple(sorted({word.strip().lower() for word in recognizer.context or ()} - {""}))
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


def releases() -> Iterator[tuple[str, str]]:
    """The releases that decide what is found, where installed."""
    for name in ("presidio-analyzer", "phonenumbers"):
        with suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


@contextmanager
def _without(modules: tuple[str, ...]) -> Iterator[None]:
    """Import as if some modules were not installed.

    Presidio imports spaCy, and both import torch and transformers when they find them: 13 s and 300 MB that patterns have no
    use for. Only in a process with one thread, such as a checker's own, where no other import can see the gap.
    """
    hidden = [name for name in modules if name not in sys.modules] if threading.active_count() == 1 else []
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
