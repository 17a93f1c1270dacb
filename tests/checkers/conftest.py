"""Checkers built once, and how to ask them about a text."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from guard.checkers.bias import BiasChecker
from guard.checkers.pii import PiiChecker
from guard.checkers.secrets import SecretsChecker
from guard.checkers.toxicity import ToxicityChecker
from guard.types import Checker, Finding, Item, Stage, Text

# Repeated, these make tokenizers, ambiguous expressions and context windows slow.
ATTACKS = (
    ".", "a.", "!", "(", "1", "1-", "1 ", "1.", "a:", "0:", "::", "4-", "4111 ", "4111 1111 1111 1111 ", "DE89 ", "@",
    "a@", "\u00e9@.", "+1", "+4420 ", "(1", "a", "ab1", "a*", "*", "women ", "women are ", "people from ", "is just ",
    " ", "\n", "'", "\u200b1", "\uff11", "aaab ", "a b ", "idiot ", "$@", "\U0001f600",
)  # fmt: skip


@pytest.fixture(scope="session")
def pii() -> PiiChecker:
    return PiiChecker(PiiChecker.Params())


@pytest.fixture(scope="session")
def secrets() -> SecretsChecker:
    return SecretsChecker(SecretsChecker.Params())


@pytest.fixture(scope="session")
def toxicity() -> ToxicityChecker:
    return ToxicityChecker(ToxicityChecker.Params())


@pytest.fixture(scope="session")
def bias() -> BiasChecker:
    return BiasChecker(BiasChecker.Params())


@pytest.fixture(params=["pii", "secrets", "toxicity", "bias"])
def checker(request: pytest.FixtureRequest) -> Checker:
    found: Checker = request.getfixturevalue(request.param)
    return found


def ask(checker: Checker, text: str) -> list[Finding]:
    (found,) = checker.check([Item(Text(text), Stage.OUTPUT)])
    return list(found)


@pytest.fixture(name="ask")
def _ask() -> Callable[[Checker, str], list[Finding]]:
    return ask


@pytest.fixture
def seen() -> Callable[[Checker, str], dict[str, str]]:
    """Category to text of the findings, where each category comes once."""

    def look(checker: Checker, text: str) -> dict[str, str]:
        return {finding.category: text[slice(*finding.span)] for finding in ask(checker, text) if finding.span}

    return look


@pytest.fixture
def cost() -> Callable[[Checker, str], float]:
    """CPU seconds for one text, the best of three."""

    def measure(checker: Checker, text: str) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            ask(checker, text)
            best = min(best, time.process_time() - began)
        return best

    return measure


@pytest.fixture(params=ATTACKS, ids=ascii)
def attack(request: pytest.FixtureRequest) -> Any:
    return request.param
