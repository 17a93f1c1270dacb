"""Recognizers that a policy brings: what they find, how they are refused, and that none can hang a check."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from guard.checkers.patterns import WINDOW
from guard.checkers.personal.custom import LONGEST, Custom, Recognizer
from guard.checkers.pii import PiiChecker
from guard.errors import PolicyError
from guard.policy.load import load
from guard.types import Checker, Finding

Ask = Callable[[Checker, str], list[Finding]]


def find(text: str, **about: object) -> list[tuple[str, float]]:
    custom = Custom([Recognizer.model_validate({"category": "OWN", **about})], 64)
    return [(text[slice(*span)], score) for _, score, span in custom.matches(text)]


def test_pattern_checksum_and_context() -> None:
    about = {"pattern": r"EMP-\d{6}", "checksum": "luhn", "context": ["staff"], "score": 0.6, "near": 0.9}
    assert find("EMP-123455 and EMP-123456", **about) == [("EMP-123455", 0.6)]
    assert find("staff EMP-123455", **about) == [("EMP-123455", 0.9)]
    assert find("emp-123455", **about) == []
    assert find("emp-123455", **{**about, "pattern": r"(?i)EMP-\d{6}"}) == [("emp-123455", 0.6)]


def test_patterns_may_name_any_character_and_hidden_ones_do_not_help() -> None:
    assert find("\U0001f600 Stra\u00dfe 12, caf\u00e9", pattern="Stra\u00dfe \\d+") == [("Stra\u00dfe 12", 0.85)]
    assert find("x E\u200bMP-\uff11\uff12 y", pattern=r"EMP-\d\d") == [("E\u200bMP-\uff11\uff12", 0.85)]
    assert find("\ud800 EMP-12", pattern=r"EMP-\d\d") == [("EMP-12", 0.85)]


def test_places_in_a_text_beyond_ascii_are_whole_numbers() -> None:
    """A match at the second character of such a text began at True, and the whole check failed."""
    [(_, _, span)] = Custom([Recognizer(category="BADGE", pattern=r"E-\d+")], 0).matches("xE-4711\u0301")
    assert [type(place) for place in span] == [int, int]


def test_a_deny_list_matches_whole_words_in_any_case() -> None:
    about = {"words": ["Bluebird", "Operation  Falcon", "C++"]}
    text = "BLUEBIRD, bluebirds, operation\nfalcon, c++!"
    assert [found for found, _ in find(text, **about)] == ["BLUEBIRD", "operation\nfalcon", "c++"]


@pytest.mark.parametrize("shift", [0, WINDOW - 5, WINDOW - 1, WINDOW, 3 * WINDOW - 2])
def test_windows_change_nothing(shift: int) -> None:
    text = "." * shift + "ab" * 700 + " EMP-12 " + "\u00e9" * 9 + "EMP-34"
    assert find(text, pattern=r"EMP-\d\d|(?:ab)+") == [
        *[("ab" * 256, 0.85)] * 2, ("ab" * 188, 0.85), ("EMP-12", 0.85), ("EMP-34", 0.85),
    ]  # fmt: skip
    assert LONGEST == 512


@pytest.mark.parametrize(
    ("about", "complaint"),
    [
        ({"pattern": "(?=a)b"}, "RE2 cannot run this pattern"),
        ({"pattern": r"(a)\1"}, "RE2 cannot run this pattern"),
        ({"pattern": "["}, "RE2 cannot run this pattern"),
        ({"pattern": "((a{100}){100}){100}"}, "RE2 cannot run this pattern"),
        ({"pattern": r"[\p{L}\d]{1,64}"}, "more than 20000"),
        ({"pattern": "a*"}, "matches the empty text"),
        ({"pattern": "a", "checksum": "crc"}, "there is no checksum 'crc'"),
        ({}, "either `pattern` or `words`"),
        ({"pattern": "a", "words": ["b"]}, "either `pattern` or `words`"),
        ({"words": [" "]}, "an empty word"),
        ({"pattern": "a", "category": "own"}, "category"),
    ],
)
def test_what_cannot_be_used_is_refused(about: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Recognizer.model_validate({"category": "OWN", **about})


def test_a_policy_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "name: own\nversion: '1'\ncheckers:\n  pii:\n    params:\n      recognizers:\n"
        "        - category: OWN\n          pattern: '(?=a)b'\n",
        "utf-8",
    )
    with pytest.raises(PolicyError, match=r"policy.yaml:8: recognizers\.0\.pattern: RE2 cannot run"):
        load(file)


HOSTILE = [
    r"(a|aa)+$", r"(a*)*b", r"(?:a|b)*a(?:a|b){20}c", r"(.+)+!", r"a.{400}b", r"(x+x+)+y", r"\w+\w+\w+\w+\d", r"(?i)(?:a|A|aa|AA)+z", r".*.*=.*",
]  # fmt: skip


@pytest.mark.parametrize("pattern", HOSTILE)
@pytest.mark.parametrize("text", ["a", "ab", "x", "a!", "\u00e9a"])
def test_no_pattern_can_hang_a_check(pattern: str, text: str) -> None:
    """Sixteen times the text may cost some 16 times as much; backtracking would not end."""
    custom = Custom([Recognizer(category="OWN", pattern=pattern)], 64)

    def cost(size: int) -> float:
        best = 9.0
        for _ in range(3):
            began = time.process_time()
            list(custom.matches((text * size)[:size]))
            best = min(best, time.process_time() - began)
        return best

    cost(1000)
    small, large = cost(8_000), cost(64_000)
    assert large < 32 * max(small, 0.001)
    assert large < 3


def test_beside_the_built_in_ones(ask: Ask) -> None:
    params = PiiChecker.Params(engine="native", recognizers=(Recognizer(category="OWN", pattern=r"EMP-\d+"),))
    text = "EMP-12 wrote to a.b@mail.example"
    assert [(finding.category, finding.message) for finding in ask(PiiChecker(params), text)] == [
        ("OWN", "what a recognizer of the policy looks for"),
        ("EMAIL_ADDRESS", "an e-mail address"),
    ]
