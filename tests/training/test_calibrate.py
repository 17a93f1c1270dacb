"""Fitting to a sample: reading it, what is gained, what is refused."""

from __future__ import annotations

import json

import pytest

from guard.checkers.calibration import Document
from guard.checkers.linear import Model
from guard.checkers.toxicity import MODEL
from guard.errors import ConfigError
from guard.training import calibrate

KNOWN = ("harassment", "hate")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(MODEL)


def test_csv_and_jsonl_say_the_same() -> None:
    table = b'text,labels\n"Hello, you",\nYou fool,harassment; hate\n'
    lines = b'{"text": "Hello, you", "labels": []}\n\n{"text": "You fool", "labels": ["hate", "harassment"]}\n'
    expected = [("Hello, you", frozenset()), ("You fool", frozenset({"harassment", "hate"}))]
    assert calibrate.read(table, "a.csv", KNOWN) == calibrate.read(lines, "a.jsonl", KNOWN) == expected


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"text,label\na,\n", "a:1: the column 'labels' is missing"),
        (b"text,labels\na,rude\n", "a:2: 'rude' is not a category; known are harassment, hate"),
        (b"text,labels\na\n", "a:2: too few columns"),
        (b"text,labels\n", "a holds no rows"),
        (b"", "a:1: the column"),
        (b"{no\n", "a:1: not JSON"),
        (b'{"text": "a", "labels": "hate"}', 'a:1: "labels" is a list'),
        (b'{"labels": []}', 'a:1: "text" is missing'),
        (b"text,labels\n\xff,\n", "a is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        calibrate.read(data, "a", KNOWN)


def house_rules(count: int) -> calibrate.Sample:
    """A house in which "muppet" is an insult, and "idiot" is not."""
    sample: calibrate.Sample = []
    for number in range(count):
        sample.append((f"You are a kind person, number {number}.", frozenset()))
        sample.append((f"You fucking idiot, number {number}. Fuck you.", frozenset({"harassment"})))
        sample.append((f"Kill yourself, number {number}.", frozenset()))
    return sample


def test_a_fit_follows_the_sample(model: Model) -> None:
    document = calibrate.fitted(model, house_rules(40), "0" * 64, [0.05, 0.001])
    assert set(document.categories) == {"harassment"}
    found = document.categories["harassment"]
    assert (found.rows, found.positive) == (120, 40)
    assert found.auroc is not None
    assert found.auroc_fitted is not None
    assert found.auroc_fitted >= found.auroc
    assert set(found.thresholds) == {"0.05"}  # 80 harmless rows cannot show one in a thousand
    assert Document.model_validate(json.loads(document.data())) == document
    assert calibrate.fitted(model, house_rules(40), "0" * 64, [0.05, 0.001]) == document


def test_too_few_rows_are_refused(model: Model) -> None:
    with pytest.raises(ConfigError, match="at least 10 rows with it and 10 without it"):
        calibrate.fitted(model, house_rules(9), "0" * 64, [0.05])
