"""What the checkers cost beside presidio's patterns and beside their own limits. Processor time, one core, in alternation."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from guard.checkers.pii import PiiChecker
from guard.checkers.secrets import SecretsChecker
from guard.checkers.toxicity import ToxicityChecker
from guard.types import Checker, Item, Stage, Text
from tests.bench.measure import Line, quantile
from tests.bench.texts import dense, prose
from tests.checkers.conftest import ATTACKS

KILO = 1000
DOCUMENTS, ROUNDS = 60, 5
LONG = 10_000_000
ATTACK = 16_384


def spent(action: Callable[[], object]) -> float:
    """Processor seconds for one call."""
    began = time.process_time()
    action()
    return time.process_time() - began


def documents(make: Callable[[int, int], str], seed: int, count: int = DOCUMENTS) -> list[str]:
    """Texts of 1 kB, each other than the last."""
    text = make(count * KILO, seed)
    return [text[place : place + KILO] for place in range(0, len(text), KILO)]


def look(checker: Checker, text: str) -> float:
    """Processor seconds for one check."""
    items = [Item(Text(text), Stage.OUTPUT)]
    return spent(lambda: checker.check(items))


def presidio() -> Any:
    """Presidio with its patterns and without a model: a blank engine, and the list of public suffixes that it carries."""
    from presidio_analyzer import AnalyzerEngine

    from guard.checkers.personal.analyzer import offline
    from guard.checkers.personal.words import LocalNlpEngine

    offline()
    engine = LocalNlpEngine()
    return AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])


def lines() -> Iterator[Line]:
    """All comparisons."""
    pii: Checker = PiiChecker(PiiChecker.Params(engine="native"))
    secrets: Checker = SecretsChecker(SecretsChecker.Params())
    other = presidio()
    for name, make, target in (("prose", prose, "≤ 0.010"), ("dense text", dense, "≤ 0.020")):
        for text in documents(make, 99):
            look(pii, text)
        other.analyze(make(KILO, 98), language="en")
        yield Line(f"pii: 1 kB of {name}", "presidio's patterns", list(beside(pii, other, make)), target)
    yield Line("pii: p99 of 1 kB of prose", "0.2 ms", [(p99(pii, seed), 0.0002) for seed in range(ROUNDS)], "≤ 1")
    for name, make in (("prose", prose), ("dense text", dense)):
        yield Line(f"pii: 1 kB of 10 MB of {name}", "1 kB by itself", list(growth(pii, make)), "≤ 1.2")
    for title, checker in (("pii", pii), ("secrets", secrets)):
        times, attack = max((attacked(checker, attack), attack) for attack in ATTACKS)
        pairs = [(once, 0.02) for once in times]
        yield Line(f"{title}: 16 kB of the worst attack ({attack!a})", "20 ms", pairs, "≤ 1")
    first, both = (ToxicityChecker(ToxicityChecker.Params(tiers=tiers)) for tiers in ("tier0", "cascade"))
    yield Line(
        "toxicity: 1 kB of prose, cascade",
        "tier 0",
        [(median(both, seed), median(first, seed)) for seed in range(ROUNDS)],
    )
    yield Line(
        "toxicity: 1 kB of prose, cascade", "5 ms", [(median(both, seed), 0.005) for seed in range(ROUNDS)], "≤ 1"
    )
    text = prose(2_000_000, 7)
    pairs = [(look(secrets, text) / 2, 1 / 50) for _ in range(ROUNDS)]
    yield Line("secrets: a megabyte of prose", "50 MB/s", pairs, "≤ 1")


def attacked(checker: Checker, attack: str) -> list[float]:
    """Seconds for 16 kB of a short text, least first."""
    text = (attack * ATTACK)[:ATTACK]
    return sorted(look(checker, text) for _ in range(3))


def beside(ours: Checker, theirs: Any, make: Callable[[int, int], str]) -> Iterator[tuple[float, float]]:
    """Seconds a document, ours and presidio's in turn, on texts that neither has seen."""
    for seed in range(ROUNDS):
        texts = documents(make, seed)
        left = sum(look(ours, text) for text in texts)
        right = spent(lambda: [theirs.analyze(text, language="en") for text in texts])  # noqa: B023 - called at once
        yield left / len(texts), right / len(texts)


def p99(checker: Checker, seed: int) -> float:
    """Seconds that one document in a hundred exceeds."""
    return quantile([look(checker, text) for text in documents(prose, seed, 2000)], 0.99)


def median(checker: Checker, seed: int) -> float:
    """Seconds that half of the documents do not exceed."""
    return statistics.median(look(checker, text) for text in documents(prose, seed))


def growth(checker: Checker, make: Callable[[int, int], str]) -> Iterator[tuple[float, float]]:
    """Seconds a kilobyte, in one text of 10 MB and in texts of 1 kB."""
    block = make(1_000_000, 5)
    long, short = block * (LONG // len(block)), [block[place : place + KILO] for place in range(0, len(block), KILO)]
    for _ in range(3):
        yield look(checker, long) / (LONG / KILO), sum(look(checker, text) for text in short) / len(short)
