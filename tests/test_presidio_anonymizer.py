"""Beside presidio-anonymizer: what single values come out as, and what it does where ours is another."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import OperatorConfig, RecognizerResult

from guard.operators import Operator, Redaction
from guard.policy.decide import Context, redact, redactions
from guard.types import (
    Action,
    CheckerSpec,
    CheckResult,
    Finding,
    Policy,
    Request,
    Rule,
    Span,
    Stage,
    Status,
    Text,
)
from tests.test_operators import unkeyed


def engine() -> Any:
    made: Any = AnonymizerEngine
    return made()


def presidio(operator: Operator) -> OperatorConfig:
    params: dict[str, Any] = {}
    if operator.name == "mask":
        many = 10**6 if operator.chars_to_mask is None else operator.chars_to_mask
        params = {"masking_char": operator.masking_char, "chars_to_mask": many, "from_end": operator.from_end}
    if operator.name == "replace":
        params = {"new_value": operator.new_value or "[P]"}
    return OperatorConfig(operator.name, params)


@given(st.text(alphabet="ab1 😀é\n", min_size=1, max_size=20), st.data(), unkeyed)
def test_a_single_value_comes_out_as_from_presidio_anonymizer(
    text: str, data: st.DataObject, operator: Operator
) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    theirs = engine().anonymize(
        text,
        [RecognizerResult("P", start, end, 0.9)],
        {"P": presidio(operator)},
    )
    assert redact(text, [Redaction(start, end, "P", "r", operator)]) == theirs.text


def anonymized(text: str, spans: list[tuple[str, int, int]], operator: Operator) -> Any:
    found = [RecognizerResult(kind, start, end, 0.9) for kind, start, end in spans]
    configs = {kind: presidio(operator) for kind, _, _ in spans}
    return engine().anonymize(text, found, configs).text


def ours(text: str, spans: list[tuple[str, int, int]], operator: Operator) -> str:
    rule = Rule("r", "a", Action.REDACT, operator=operator)
    policy = Policy("p", "1", "d", (CheckerSpec("a", "a"),), (rule,))
    found = tuple(Finding(kind, 0.9, Span(start, end)) for kind, start, end in spans)
    result = CheckResult("a", "1", Stage.OUTPUT, Status.OK, found)
    return redact(text, redactions(policy, Context.of(Request(Text(""))), [result], Stage.OUTPUT, text))


def test_why_overlaps_are_resolved_here() -> None:
    text, spans, mask = "call 0123456789 now", [("A", 5, 10), ("B", 8, 15)], Operator("mask", chars_to_mask=2)
    assert anonymized(text, spans, mask) == "call **234**56789 now"  # doubled, and eight digits left
    assert ours(text, spans, mask) == "call ********** now"


def test_why_neighbours_are_not_merged() -> None:
    text, spans = "Ann Lee", [("P", 0, 3), ("P", 4, 7)]
    assert anonymized(text, spans, Operator()) == "[P]"  # two people become one
    assert ours(text, spans, Operator()) == "[P] [P]"


def test_why_hashes_are_made_here() -> None:
    config = {"P": OperatorConfig("hash", {})}
    made = {engine().anonymize("Ann", [RecognizerResult("P", 0, 3, 0.9)], config).text for _ in range(2)}
    assert len(made) == 2  # equal values cannot be linked
