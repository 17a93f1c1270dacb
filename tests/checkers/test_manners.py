"""What every text checker owes its caller, whatever the text."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.types import Checker, Finding, Item, Stage, Text

Ask = Callable[[Checker, str], list[Finding]]

PIECES = [
    "4111 1111 1111 1111", "a.b@mail.example", "+1 415-555-0134", "536-22-8145", "DE89370400440532013000", "10.0.0.1",
    "card", "tel", "women", "are", "stupid", "you idiot", "I will kill you", "\u200b", "api_key = 'q7Rk2mX9vLd4TzW8'", "ftp://u:Zk4-pLq9@h.example",
    "\uff14", "\u0301", "\u202e", "\U0001f600", "\ufb01", "\u0130", "\ud800", "\n", ". ", "-", "0", "b", "\u00df",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
)
RELAXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RELAXED
@given(text=TEXTS)
def test_findings_are_well_formed_and_repeatable(checker: Checker, ask: Ask, text: str) -> None:
    found = ask(checker, text)
    for finding in found:
        assert finding.span is not None
        assert 0 <= finding.span.start < finding.span.end <= len(text)
        assert math.isfinite(finding.score)
        assert 0 <= finding.score <= 1
        assert finding.message
    assert len(set(found)) == len(found)
    assert ask(checker, text) == found


@RELAXED
@given(texts=st.lists(TEXTS, max_size=5), data=st.data())
def test_a_batch_is_its_items(checker: Checker, ask: Ask, texts: list[str], data: st.DataObject) -> None:
    order = data.draw(st.permutations(texts))
    together = checker.check([Item(Text(text), Stage.INPUT) for text in order])
    assert [list(found) for found in together] == [ask(checker, text) for text in order]


@RELAXED
@given(text=TEXTS.filter(lambda text: len(text) > 3))
def test_messages_do_not_quote(checker: Checker, ask: Ask, text: str) -> None:
    for finding in ask(checker, text):
        assert finding.span is not None
        quoted = text[slice(*finding.span)]
        assert len(quoted) < 4 or quoted not in finding.message


def test_empty_text_and_empty_batch(checker: Checker, ask: Ask) -> None:
    assert ask(checker, "") == []
    assert list(checker.check([])) == []


def test_declares_itself(checker: Checker) -> None:
    assert checker.name in ("pii", "secrets", "toxicity", "bias")
    assert checker.kinds == {"text"}
    assert checker.horizon in ("span", "sentence", "document")
    assert checker.version


def test_cost_grows_with_length_not_faster(
    checker: Checker, attack: str, cost: Callable[[Checker, str], float]
) -> None:
    """Sixteen times the text may cost some 16 times as much; a quadratic step would cost 256 times."""
    small = cost(checker, (attack * 1_000)[:1_000])
    large = cost(checker, (attack * 16_000)[:16_000])
    assert large < 48 * max(small, 0.0008)


@pytest.mark.slow
def test_a_megabyte(checker: Checker, ask: Ask) -> None:
    sentence = "Your parcel 4711 was shipped on 12 May, and we hope that everybody in the family likes the kettle. "
    text = sentence * (1_000_000 // len(sentence)) + "You fucking idiot. Women are stupid. Mail a.b@mail.example."
    found = ask(checker, text)
    assert found or checker.name == "secrets"
    assert all(finding.span is not None and finding.span.start > 999_000 for finding in found)
