"""Streams: the property of the ordinary tests on many more cases, and what holding back costs.

`GUARD_BENCH_STREAMS` is the number of cases (default 100,000). The table says, for policies that
look at spans, sentences and whole answers, how many characters wait after each token (median, p99), and how many
milliseconds the guard adds to a token and to the first piece that leaves, in this process.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from guard.stream import Plan, Stream
from guard.types import Policy
from guard.worker import streams
from tests.bench.texts import dense, prose
from tests.streams import TEXTS, checker, chunks, hold, policies, policy, results, start
from tests.test_stream import SIZES

TOKEN = re.compile(r"\s?\S{1,5}|\s")


def _rules(*checkers: str, action: str = "redact") -> list[dict[str, Any]]:
    return [{"id": name, "checker": name, "stage": "output", "action": action} for name in checkers]


POLICIES = {
    "span: pii, secrets": policy(("pii", "secrets"), _rules("pii", "secrets")),
    "span, with names": policy(("names", "secrets"), _rules("names", "secrets")),
    "span, presidio beside": policy(("both", "secrets"), _rules("both", "secrets")),
    "sentence: toxicity blocks, optimistic": policy(
        ("pii", "toxicity"), [*_rules("pii"), *_rules("toxicity", action="block")], "optimistic"
    ),
    "document: toxicity blocks, strict": policy(
        ("pii", "toxicity"), [*_rules("pii"), *_rules("toxicity", action="block")]
    ),
}


def cases(count: int) -> None:
    """The property on `count` cases."""

    @settings(max_examples=count, suppress_health_check=list(HealthCheck), deadline=None, database=None)
    @given(policies(), TEXTS, SIZES, st.booleans())
    def held(given_policy: Any, text: str, sizes: list[int], encode: bool) -> None:
        hold(policy(*given_policy), chunks(text, sizes, encode=encode and text.isprintable()), text)

    began = time.perf_counter()
    held()
    print(f"a stream is its whole answer: {count} cases held, {time.perf_counter() - began:.0f} s")


def measured(used: Policy, tokens: Sequence[str]) -> tuple[list[int], list[float], float]:
    """Characters that wait after each token; seconds spent on each; seconds until the first piece left (or the end)."""
    from guard.isolate import Reader

    request, redactor = start(used)
    readers = {spec.name: Reader(text=True, streams=streams(checker(spec.name))) for spec in used.checkers}
    state = Stream(Plan.of(used, readers), request, redactor)
    waiting, spent, first = [], [], 0.0
    for token in tokens:
        began = time.perf_counter()
        look = state.feed(token)
        out = state.seen(look, results(used, look.item, look.checkers)) if look else ""
        spent.append(time.perf_counter() - began)
        waiting.append(state.held)
        first = first or (sum(spent) if out else 0.0)
    return waiting, spent, first or sum(spent)


def main() -> None:
    """Print the table, then run the cases."""
    table = Table(
        "policy", "text", "waits, median", "p99", "ms a token, median", "p99", "ms to the first piece", title="stream"
    )
    for name, used in POLICIES.items():
        for kind, text in (("prose", prose(4000)), ("dense", dense(4000))):
            waiting, spent, first = measured(used, TOKEN.findall(text))
            figures = [statistics.median(waiting), statistics.quantiles(waiting, n=100)[98]]
            costs = [1000 * statistics.median(spent), 1000 * statistics.quantiles(spent, n=100)[98], 1000 * first]
            table.add_row(name, kind, *(f"{it:.0f}" for it in figures), *(f"{it:.2f}" for it in costs))
    Console(width=150).print(table)
    cases(int(os.environ.get("GUARD_BENCH_STREAMS", "100000")))
