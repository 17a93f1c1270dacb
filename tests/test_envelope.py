"""Nouns as plain data: nothing is lost on the way out and back, and all of it is JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import envelope
from guard.operators import Cover, Redaction
from guard.types import (
    Action,
    Audio,
    CheckResult,
    Content,
    Decision,
    Finding,
    Image,
    Layer,
    Outcome,
    PolicyRef,
    Receipt,
    Region,
    Span,
    Stage,
    Stamp,
    State,
    Status,
    Text,
)

words = st.text(st.characters(exclude_categories=()), max_size=12)  # surrogates and all
numbers = st.integers(0, 2**40)
scores = st.floats(0, 1)
findings = st.builds(
    Finding,
    words,
    scores,
    st.none() | st.builds(Span, numbers, numbers),
    st.none() | st.builds(Region, *[st.integers(-(2**20), 2**20)] * 4),
    words,
)
# Times are kept to a microsecond.
times = st.integers(0, 10**9).map(lambda micros: micros / 1e6)
results = st.builds(
    CheckResult,
    words,
    words,
    st.sampled_from(Stage),
    st.sampled_from(Status),
    st.lists(findings, max_size=3).map(tuple),
    times,
    st.none() | words,
)
names = st.lists(words, max_size=3).map(tuple)
policies = st.builds(PolicyRef, words, words, words)
decisions = st.builds(Decision, st.sampled_from(Action), names, policies, names, st.booleans())
contents = words.map(Text) | st.binary(max_size=9).map(Image) | st.binary(max_size=9).map(Audio)
layers = st.builds(Layer, words, words, words, st.dictionaries(words, st.none() | numbers | words, max_size=2))
stamps = st.builds(Stamp, words, st.lists(layers, max_size=2).map(tuple), st.none() | words)
receipts = st.builds(Receipt, numbers, numbers, words, words, names, words)
outcomes = st.builds(
    Outcome,
    words,
    st.sampled_from(State),
    decisions,
    st.lists(results, max_size=2).map(tuple),
    st.none() | contents,
    receipts,
    st.none() | stamps,
    st.none() | words,
    st.booleans(),
)


def through_json(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


@given(results)
def test_a_result_comes_back(result: CheckResult) -> None:
    back = envelope.result_from(through_json(envelope.result_data(result)))
    assert abs(back.elapsed - result.elapsed) < 1e-9 * (1 + result.elapsed)
    assert envelope.result_data(back) == envelope.result_data(result)
    assert (back.findings, back.error, back.stage, back.status) == (
        result.findings,
        result.error,
        result.stage,
        result.status,
    )


@given(decisions)
def test_a_decision_comes_back(decision: Decision) -> None:
    assert envelope.decision_from(through_json(envelope.decision_data(decision))) == decision


@given(outcomes)
def test_an_outcome_is_json_and_shows_its_content_as_it_is(outcome: Outcome) -> None:
    data = through_json(envelope.outcome_data(outcome))
    assert set(data) == {
        "request_id",
        "state",
        "decision",
        "results",
        "content",
        "stamp",
        "receipt",
        "case",
        "replayed",
    }
    assert shown(data["content"]) == outcome.content
    assert [envelope.result_from(result) for result in data["results"]] == [
        envelope.result_from(envelope.result_data(result)) for result in outcome.results
    ]
    assert envelope.decision_from(data["decision"]) == outcome.decision
    receipt = {**data["receipt"], "proof": tuple(data["receipt"]["proof"])}
    assert Receipt(**receipt) == outcome.receipt
    if outcome.stamp is not None:
        assert set(data["stamp"]) == {"digest", "layers", "manifest"}
        assert tuple(Layer(**layer) for layer in data["stamp"]["layers"]) == outcome.stamp.layers


def shown(data: Any) -> Content | None:
    """Content from what `--json` prints."""
    if data is None or isinstance(data, str):
        return None if data is None else Text(data)
    assert set(data) == {"media_type", "base64"}
    made = Image if data["media_type"].startswith("image/") else Audio
    return made(base64.b64decode(data["base64"], validate=True), data["media_type"])


def test_the_words_of_a_finding() -> None:
    data = envelope.finding_data(Finding("NAME", 1, Span(0, 3), Region(0, 0, 0, 0), "a name"))
    assert data == {"category": "NAME", "score": 1.0, "start": 0, "end": 3, "region": [0] * 4, "message": "a name"}
    assert isinstance(data["score"], float)
    whole = envelope.finding_data(Finding("NAME", 0.5))
    assert (whole["start"], whole["end"], whole["region"]) == (None, None, None)


def test_the_words_of_a_redaction() -> None:
    data = envelope.redaction_data(Stage.OUTPUT, Redaction(1, 4, "NAME", "mask"))
    assert data == {"stage": "output", "start": 1, "end": 4, "category": "NAME", "rule": "mask", "operator": "replace"}


def test_an_action_that_there_is_not() -> None:
    decision = envelope.decision_data(Decision(Action.ALLOW, (), PolicyRef("p", "1", "d")))
    with pytest.raises(KeyError):
        envelope.decision_from({**decision, "action": "perhaps"})


def test_of_an_image_a_redaction_has_the_place() -> None:
    data = envelope.redaction_data(Stage.OUTPUT, Cover(Region(1, 2, 3, 4), "CARD", "card"))
    assert data == {
        "stage": "output",
        "region": (1, 2, 3, 4),
        "category": "CARD",
        "rule": "card",
        "operator": "replace",
    }
    assert json.loads(json.dumps(data))["region"] == [1, 2, 3, 4]
