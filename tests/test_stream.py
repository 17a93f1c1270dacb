"""However an answer is cut, what leaves is what the whole answer would have released, and never more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.isolate import Reader
from guard.stream import Plan, ended, undivided
from tests.streams import TEXTS, chunks, hold, policies, policy

SIZES = st.one_of(st.just([1]), st.lists(st.integers(1, 12), min_size=1, max_size=6), st.just([1000]))
QUICK = ("pii", "own", "secrets", "toxicity", "bias", "names")
REDACT: Sequence[Any] = (
    {"id": "p", "checker": "pii", "stage": "output", "action": "redact"},
    {"id": "o", "checker": "own", "stage": "output", "action": "redact"},
    {"id": "s", "checker": "secrets", "stage": "output", "action": "redact"},
)
SPANS = policy(("pii", "own", "secrets"), REDACT)
INPUT = {"id": "in", "checker": "pii", "stage": "input", "action": "redact"}
RESTORE = policy(("pii",), [{**INPUT, "operator": {"name": "pseudonym", "restore": True}}])
SHAPES = policy(("pii",), [{**INPUT, "operator": {"name": "pseudonym", "restore": True, "shape": "same"}}, REDACT[0]])


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(policies(QUICK), TEXTS, SIZES, st.booleans())
def test_a_stream_is_its_whole_answer(given_policy: Any, text: str, sizes: list[int], encode: bool) -> None:
    encode = encode and text.isprintable()
    hold(policy(*given_policy), chunks(text, sizes, encode=encode), text)


EDGES = [
    "E-4711",
    "12",
    "x",
    " ",
    "a@b.example",
    "\u0301",
    "\\",
    "u00",
    "e9",
    "n",
    "ud83d",
    "\\u0031",
    '"',
    "1",
    "\n",
    ".",
]


@settings(max_examples=80)
@given(st.lists(st.sampled_from(EDGES), max_size=8).map("".join), SIZES)
def test_spans_are_widened_as_in_the_whole(text: str, sizes: list[int]) -> None:
    """Half of an escape sequence, or a letter without its accent, is never left behind."""
    hold(SPANS, chunks(text, sizes, encode=False), text)


TURNED = [
    "[PHONE_NUMBER_1]",
    "PHONE_NUMBER_1",
    "[EMAIL_ADDRESS_1",
    "]",
    "[",
    "2",
    "_",
    " ",
    "x",
    '"',
    "{",
    "}",
    ":",
    ".",
    "a@b.example",
]


@settings(max_examples=100)
@given(st.lists(st.sampled_from(TURNED), max_size=8).map("".join), SIZES, st.sampled_from([RESTORE, SHAPES]))
def test_pseudonyms_are_turned_back_as_in_the_whole(text: str, sizes: list[int], used: Any) -> None:
    hold(used, chunks(text, sizes, encode=True), text)


KEY = "sk-ant-api03-" + "aB3dE6gH9j" * 7
FIXED = {
    "a card number, one digit a token": (f"Pay with {' '.join('4111111111111111')} today.", "Pay with [CREDIT_CARD] today."),
    "with a line break in it": ("Pay with 4111 1111\n1111 1111 today.", "Pay with [CREDIT_CARD] today."),
    "an SSN": ("My ssn is 536-22-8145, said Ann.", "My ssn is [US_SSN], said Ann."),
    "at the end": ("Write to ann.lee@mail.example", "Write to [EMAIL_ADDRESS]"),
    "at the beginning": ("ann.lee@mail.example, she said.", "[EMAIL_ADDRESS], she said."),
    "spelled out": ("Mail john dot doe at example dot com please.", "Mail [EMAIL_ADDRESS] please."),
    "nothing": ("Nothing to see, 12:30 at the gate.", None),
}  # fmt: skip


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("size", [1, 3, 7])
def test_what_other_guards_let_through(name: str, size: int) -> None:
    """One digit a token, windows of any size: NeMo Guardrails, guardrails-ai and openai-guardrails leaked these."""
    text, release = FIXED[name]
    pii = policy(("pii",), REDACT[:1])
    done = hold(pii, chunks(text, [size], encode=True), text)
    assert (release or text).startswith("".join(done.pieces))


@pytest.mark.parametrize("size", [1, 5, 33])
def test_a_key_of_83_characters(size: int) -> None:
    """LiteLLM's filter, which holds 50 characters back, let the first 33 of it go."""
    assert len(KEY) == 83
    secrets = policy(("secrets",), [REDACT[2]])
    done = hold(
        secrets,
        chunks(f"The key is {KEY} and no other one.", [size], encode=True),
        f"The key is {KEY} and no other one.",
    )
    assert KEY[:3] not in "".join(done.pieces)


def test_a_name_split_in_three() -> None:
    names = policy(
        ("names",), [{"id": "n", "checker": "names", "stage": "output", "action": "redact", "threshold": 0.5}]
    )
    text = "Yesterday I met Dr. Johanna Lindqvist in town, and she was well. " * 2
    done = hold(names, ["Yesterday I met Dr. Joh", "anna Lind", "qvist in", *chunks(text[30:], [4], encode=False)], "".join(
        ["Yesterday I met Dr. Joh", "anna Lind", "qvist in", text[30:]]
    ))  # fmt: skip
    assert "anna" not in "".join(done.pieces)


def test_a_long_answer_costs_no_more_for_each_token() -> None:
    """The window moves on; where it cannot, looks get rarer."""
    text = "The parcel left on Monday. Pay with 4111 1111 1111 1111 or write to ann@mail.example now. " * 110
    done = hold(SPANS, chunks(text, [30], encode=False), text)
    assert len(done.state._window) < 10_000
    assert max(done.held) < 600  # recognizers of a policy may match 512 characters
    digits = "12 34 56 78 90 " * 700
    done = hold(SPANS, chunks(digits, [20], encode=False), digits)
    assert done.looks < 525


PLANS = [
    ([{"id": "a", "checker": "pii", "action": "redact"}], "strict", True),
    ([{"id": "a", "checker": "pii", "action": "redact", "operator": "hash"}], "strict", True),
    ([{"id": "a", "checker": "pii", "action": "redact", "operator": "pseudonym"}], "optimistic", False),
    ([{"id": "a", "checker": "pii", "action": "redact", "when": "item.length > 3"}], "optimistic", False),
    ([{"id": "a", "checker": "pii", "action": "redact", "when": "finding.score > 0.9"}], "strict", True),
    ([{"id": "a", "checker": "bias", "action": "redact"}], "optimistic", False),
    ([{"id": "a", "checker": "bias", "action": "block"}], "strict", False),
    ([{"id": "a", "checker": "bias", "action": "block"}], "optimistic", True),
    ([{"id": "a", "checker": "toxicity", "action": "review"}], "strict", False),
    ([{"id": "a", "checker": "toxicity", "action": "review"}], "optimistic", True),
    ([{"id": "a", "checker": "toxicity", "action": "block", "mode": "shadow"}], "strict", True),
    ([{"id": "a", "checker": "toxicity", "action": "block", "stage": "input"}], "strict", True),
    ([{"id": "a", "checker": "bias", "action": "annotate"}], "strict", True),
    ([], "strict", True),
]


@pytest.mark.parametrize(("rules", "release", "early"), PLANS)
def test_what_holds_an_answer(rules: Any, release: str, early: bool) -> None:
    made = policy(("pii", "bias", "toxicity"), rules, release)
    readers = {name: Reader(text=True, streams=name != "bias") for name in ("pii", "bias", "toxicity")}
    assert (Plan.of(made, readers).holds is None) is early


def test_an_answer_that_nobody_can_read_is_held() -> None:
    assert Plan.of(policy(("pii",), []), {"pii": Reader(text=False, streams=True)}).holds
    assert Plan.of(policy((), []), {}).holds is None


def test_where_a_text_can_be_cut() -> None:
    assert undivided("abc", 3) == 2
    assert undivided("abc ", 3) == 3
    assert undivided("abe\u0301", 4) == 2
    assert undivided("ab\\u00e9 word", 8) == 2
    assert undivided("", 0) == 0
    assert not ended("abc", 3)
    assert ended("abc ", 3)
    assert not ended("abc\u0301", 3)
    assert not ended("ab\\u00", 4)
