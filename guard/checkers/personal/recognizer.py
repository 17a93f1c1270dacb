"""Our engines as recognizers of presidio: a user of presidio gets what they find by adding one line.

analyzer.registry.add_recognizer(NativeRecognizer())
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from presidio_analyzer import EntityRecognizer, RecognizerResult

from guard.checkers.personal.native import CATEGORIES, Native
from guard.types import Span


class Finder(Protocol):
    """What finds kinds of personal data in a text."""

    def matches(self, text: str) -> Iterator[tuple[str, float, Span]]:
        """Category, score and place of every match."""
        ...


class FinderRecognizer(EntityRecognizer):
    """A recognizer that finds what a finder finds."""

    name: str

    def __init__(self, finder: Finder, entities: Sequence[str], name: str, language: str = "en") -> None:
        self._finder = finder
        super().__init__(list(entities), name=name, supported_language=language)

    def load(self) -> None:
        """Nothing: the finder is ready."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:  # noqa: ARG002
        """See EntityRecognizer."""
        return [
            RecognizerResult(
                category,
                *span,
                score,
                recognition_metadata={
                    RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                    RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
                },
            )
            for category, score, span in self._finder.matches(text)
            if category in entities
        ]


class NativeRecognizer(FinderRecognizer):
    """The native engine: identifiers by form, check digits and the words nearby. `before` as for `Native`."""

    def __init__(
        self,
        entities: Sequence[str] = tuple(sorted(CATEGORIES)),
        regions: Sequence[str] = ("US", "GB", "DE", "FR"),
        before: int = 64,
        language: str = "en",
    ) -> None:
        super().__init__(Native(frozenset(entities), regions, before), entities, "NativeRecognizer", language)
