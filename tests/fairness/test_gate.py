"""The gate stops what is surely worse, lets chance through, and says why."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.fairness.cells import Cells, Row
from guard.fairness.gate import Verdict, judge
from guard.fairness.measures import KNOWN
from guard.fairness.report import to_json
from tests.fairness.test_report import made

MEASURES = (KNOWN["block"], KNOWN["length"])


def report(a: float, b: float, n: int = 2000, seed: int = 0, longer: float = 0.0) -> dict[str, Any]:
    """Groups a (the reference, with a few more rows) and b, blocked at these rates."""
    rng = random.Random(seed)
    cells = Cells(("g",), MEASURES)
    for group, rate, count in (("a", a, n + 10), ("b", b, n)):
        for _ in range(count):
            values = {"block": float(rng.random() < rate), "length": rng.gauss(100 + longer * (group == "b"), 20)}
            cells.add(Row({"g": group}, values))
    found: dict[str, Any] = json.loads(to_json(made(cells)))
    return found


def stopped(verdict: Verdict) -> bool:
    return bool(verdict.worse)


def test_a_gap_that_is_surely_too_large_stops() -> None:
    found = judge(report(0.05, 0.20), max_gap=0.05)
    [reason] = found.worse
    assert reason.startswith("Blocked: the gap of b from a (g) is 1")
    assert "tolerated is 5.0 pp" in reason
    assert not stopped(judge(report(0.05, 0.20), max_gap=0.3))
    assert not stopped(judge(report(0.05, 0.12, n=100), max_gap=0.05))  # not sure
    assert "Length" in judge(report(0.1, 0.1, longer=12), max_gap=0.05).worse[0]


def test_a_baseline_lets_old_gaps_be_and_stops_growth() -> None:
    old = report(0.05, 0.15, seed=1)
    assert not stopped(judge(report(0.05, 0.15, seed=2), max_gap=0.05, baseline=old))
    assert not stopped(judge(report(0.10, 0.15, seed=3), max_gap=0.05, baseline=old))  # better
    [reason] = judge(report(0.05, 0.25, seed=4), max_gap=0.05, baseline=old).worse
    assert "is 1" in reason or "is 2" in reason
    assert "surely" in reason
    assert stopped(judge(report(0.30, 0.05, seed=5), max_gap=0.05, baseline=old))  # the other way round is worse, too
    fair = report(0.05, 0.05, seed=6)
    assert not stopped(judge(report(0.05, 0.08, seed=7), max_gap=0.05, baseline=fair))  # grew, and is tolerated


def test_chance_stops_hardly_ever() -> None:
    alarms = sum(
        stopped(
            judge(
                report(0.2, 0.2, n=300, seed=2 * at), max_gap=0.001, baseline=report(0.2, 0.2, n=300, seed=2 * at + 1)
            )
        )
        for at in range(60)
    )
    assert alarms <= 9  # 5 % of 60 is 3; nine or more happen in 4 of 1,000 runs


def test_reports_that_cannot_be_compared() -> None:
    found = report(0.1, 0.1)
    with pytest.raises(ConfigError, match="compares nothing"):
        judge({"results": []}, max_gap=0.05)
    with pytest.raises(ConfigError, match="damaged"):
        judge({"results": [{}]}, max_gap=0.05)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        judge(found, max_gap=5)
    other = json.loads(json.dumps(found).replace('["g"]', '["h"]'))
    with pytest.raises(ConfigError, match="share no comparison"):
        judge(found, max_gap=0.05, baseline=other)
    fewer = {**found, "results": found["results"][:1]}
    assert judge(fewer, max_gap=0.05, baseline=found).missing == 1
