"""Presidio as a whole: its findings as it makes them, an error where it would give up in silence, and no noise unasked."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from presidio_analyzer import PatternRecognizer

from guard.checkers.personal import whole
from guard.checkers.personal.whole import ANALYZED, NOISY, Whole
from guard.errors import MissingExtra


def test_findings_with_context_words() -> None:
    engine = Whole(frozenset({"US_DRIVER_LICENSE", "EMAIL_ADDRESS"}), ("US",), 1.0)
    text = "My driver license is A1234567, mail jane.doe@example.com"
    scores = {category: score for category, score, span in engine.matches(text)}
    assert scores["EMAIL_ADDRESS"] == 1.0
    assert scores["US_DRIVER_LICENSE"] == pytest.approx(0.65)  # 0.3, and 0.35 for the words before it
    assert engine.pending(text) == len(text)
    assert list(Whole(frozenset(), ("US",), 1.0).matches(text)) == []


def test_every_entity_has_its_recognizer() -> None:
    predefined = importlib.import_module("presidio_analyzer.predefined_recognizers")
    assert set(ANALYZED) >= NOISY
    for entity, name in ANALYZED.items():
        assert entity in getattr(predefined, name)(supported_language="en").supported_entities


def test_an_expression_that_runs_too_long_is_an_error_and_not_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    import regex  # type: ignore[import-untyped]

    engine = Whole(frozenset({"CRYPTO"}), ("US",), 0.05)
    [recognizer] = [it for it in engine._analyzer.registry.recognizers if isinstance(it, PatternRecognizer)]
    patterns: Any = getattr(recognizer, "patterns")  # noqa: B009  (presidio does not say what it holds)
    patterns[0].regex = r"(?:a|aa)+(?=c)"
    patterns[0].compiled_regex = regex.compile(patterns[0].regex)
    with pytest.raises(TimeoutError):
        list(engine.matches("a" * 60 + "b c"))


def test_without_presidio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "installed", lambda: False)
    with pytest.raises(MissingExtra, match=r"genguard\[pii\]"):
        Whole(frozenset({"URL"}), ("US",), 1.0)
