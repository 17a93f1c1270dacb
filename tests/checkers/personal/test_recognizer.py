"""Our engines among presidio's recognizers: what they find, presidio reports, by its own analyzer and by ours."""

from __future__ import annotations

from typing import Any

import pytest
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

from guard.checkers.personal.analyzer import QuickAnalyzer, offline
from guard.checkers.personal.names import CATEGORIES, Names
from guard.checkers.personal.native import Native
from guard.checkers.personal.recognizer import FinderRecognizer, NativeRecognizer
from guard.checkers.personal.words import LocalNlpEngine

TEXT = "My name is Priya Sharma, card 4111 1111 1111 1111, mail jane dot doe at example dot com, SSN 536-22-8145."


@pytest.fixture(params=[AnalyzerEngine, QuickAnalyzer])
def analyzer(request: pytest.FixtureRequest) -> Any:
    offline()
    made = request.param(
        registry=RecognizerRegistry(supported_languages=["en"]), nlp_engine=LocalNlpEngine(), supported_languages=["en"]
    )
    made.registry.recognizers.clear()  # presidio fills an empty registry with its own
    return made


def found(analyzer: Any, **options: Any) -> set[tuple[str, str]]:
    return {(it.entity_type, TEXT[it.start : it.end]) for it in analyzer.analyze(TEXT, "en", **options)}


def test_one_line_adds_the_native_engine(analyzer: Any) -> None:
    analyzer.registry.add_recognizer(NativeRecognizer())
    assert found(analyzer, score_threshold=0.5) == {
        ("CREDIT_CARD", "4111 1111 1111 1111"), ("EMAIL_ADDRESS", "jane dot doe at example dot com"), ("US_SSN", "536-22-8145"),
    }  # fmt: skip
    assert found(analyzer, entities=["US_SSN"]) == {("US_SSN", "536-22-8145")}


def test_its_findings_are_those_of_the_engine(analyzer: Any) -> None:
    analyzer.registry.add_recognizer(NativeRecognizer(entities=["CREDIT_CARD"]))
    [result] = analyzer.analyze(TEXT, "en")
    [(category, score, span)] = Native(frozenset({"CREDIT_CARD"}), ("US",), 64).matches(TEXT)
    assert (result.entity_type, result.score, (result.start, result.end)) == (category, score, tuple(span))


def test_names_are_added_the_same_way(analyzer: Any) -> None:
    analyzer.registry.add_recognizer(FinderRecognizer(Names(CATEGORIES, 0.5), sorted(CATEGORIES), "Names"))
    assert ("PERSON", "Priya Sharma") in found(analyzer)
    assert {kind for kind, _ in found(analyzer)} <= CATEGORIES
    assert found(analyzer, entities=["LOCATION"]) == set()
