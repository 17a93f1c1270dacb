"""The gate never misses: wherever an expression of `regex` matches, its widened form fires."""

from __future__ import annotations

from typing import Any

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.checkers.personal.superset import Gate, widen

EXPRESSIONS = [
    (r"\b\d{3}-\d{2}-\d{4}\b", False),
    (r"(?<![A-Z0-9])([A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){1,3})(?![A-Z0-9])", False),
    (r"(?<=\()[^)\d]+(?=\))", True),
    (r"(\w)-\1", True),
    (r"[^\s@]+@[^\s@]+", False),
    (r"\Aking\Z", True),
    (r"^\W+$", False),
    (r"[\w.-]\s[\D]", True),
    (r"[^k]s", True),
    (r"a{2,3}?b*?", False),
    (r"x|(?:İ|ı)y", True),
    (r"straße", True),
]
ODD = [r"a{,3}b", r"(?:ab){e<=1}", r"(?>ab)c", r"\p{L}+", r"[[a-z]--[x]]", r"(?P<n>a)(?P=n)", r"(?(1)a|b)", r"\mword\M"]
texts = st.text(
    st.sampled_from("abkKsxyzA1234- @().\n\t\x0b\x1c\x85_İıſKß１٣é\u200d\u0301\ud800😀ÄДd") | st.characters(),
    max_size=30,
)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate([*EXPRESSIONS, *((odd, False) for odd in ODD)])


@example("IY")
@given(texts)
@settings(max_examples=600)
def test_what_does_not_fire_cannot_match(gate: Gate, text: str) -> None:
    fired = gate.fired(text)
    for number, (expression, ignore_case) in enumerate(EXPRESSIONS):
        flags = regex.DOTALL | regex.MULTILINE | (regex.IGNORECASE if ignore_case else 0)
        if any(match.group() for match in regex.finditer(expression, text, flags)):
            assert number in fired, (expression, text)


def test_plain_prose_fires_nothing_that_it_should_not(gate: Gate) -> None:
    assert (gate.fired("The quick brown fox jumps over the lazy dog") - gate.always).isdisjoint(
        {0, 1, 3, 4, 5, 6, 9, 11}
    )
    assert 0 in gate.fired("my number is 123-45-6789")


@pytest.mark.parametrize("number", range(len(EXPRESSIONS), len(EXPRESSIONS) + len(ODD)))
def test_what_cannot_be_widened_always_fires(gate: Gate, number: int) -> None:
    assert number in gate.always
    assert number in gate.fired("")


@pytest.mark.parametrize("broken", ["(", "[a", "a\\", "(?<=a"])
def test_broken_expressions_are_not_widened(broken: str) -> None:
    assert Gate([(broken, False)]).always == {0}


def test_all_expressions_of_presidio_are_widened() -> None:
    import presidio_analyzer.predefined_recognizers as predefined
    from presidio_analyzer import PatternRecognizer

    found: list[Any] = [getattr(predefined, name) for name in predefined.__all__]
    classes: list[Any] = [it for it in found if isinstance(it, type) and issubclass(it, PatternRecognizer)]
    recognizers: list[Any] = [make() for make in classes]
    expressions = [pattern.regex for it in recognizers for pattern in it.patterns]
    assert len(expressions) > 100
    assert Gate([(expression, True) for expression in expressions]).always == set()


def test_widening_keeps_the_rest() -> None:
    assert widen(r"(?<!a)b\d+(?=c)", wide=False) == r"(?:)b[\d]+(?:)"
    assert widen(r"[^\d]x", wide=True) == r"[\x00-\x{10ffff}]x"
