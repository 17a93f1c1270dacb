"""The record in numbers, for the overview: what was decided, what fired, which checks failed, how fast people ruled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from statistics import median
from typing import Any

from sqlalchemy import Engine, func, select

from guard.audit.leaf import parse_leaf
from guard.review.explain import results
from guard.review.history import OUTCOMES
from guard.store.engine import reading
from guard.store.tables import LogEntry, ReviewCase


@dataclass(frozen=True, slots=True)
class CheckerHealth:
    """How one checker did. `slowest` and `typical` (the median) are in milliseconds."""

    checker: str
    runs: int
    errors: int
    skipped: int
    typical: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Overview:
    """Outcomes since a moment. `by_day` counts (day, action); `states` counts what became of them at the time."""

    total: int = 0
    states: Mapping[str, int] = field(default_factory=dict)
    by_day: Mapping[tuple[str, str], int] = field(default_factory=dict)
    rules: Mapping[str, int] = field(default_factory=dict)
    shadow: Mapping[str, int] = field(default_factory=dict)
    checkers: tuple[CheckerHealth, ...] = ()
    rulings: Mapping[str, int] = field(default_factory=dict)
    median_minutes: float | None = None

    def share(self, state: str) -> float:
        """The share of outcomes in one state, 0 to 1."""
        return self.states.get(state, 0) / self.total if self.total else 0.0


def overview(engine: Engine, *, since: str, zone: tzinfo) -> Overview:
    """Read every outcome since `since`; days are those of `zone`. About 20,000 outcomes a second."""
    states: Counter[str] = Counter()
    by_day: Counter[tuple[str, str]] = Counter()
    rules: Counter[str] = Counter()
    shadow: Counter[str] = Counter()
    runs: dict[str, list[Mapping[str, Any]]] = {}
    query = select(LogEntry.occurred_at, LogEntry.leaf)
    query = query.where(LogEntry.occurred_at >= since, LogEntry.kind.in_(sorted(OUTCOMES)))
    with reading(engine) as connection:
        for at, leaf in connection.execute(query.execution_options(yield_per=500)):
            fields: Mapping[str, Any] = parse_leaf(leaf) or {}
            decision: Mapping[str, Any] = fields.get("decision") or {}
            states[str(fields.get("state"))] += 1
            by_day[_day(at, zone), str(decision.get("action"))] += 1
            rules.update(decision.get("rules") or [])
            shadow.update(decision.get("shadow") or [])
            for result in results(fields):
                runs.setdefault(str(result.get("checker")), []).append(result)
    rulings, minutes = _rulings(engine, since)
    health = tuple(_health(name, found) for name, found in sorted(runs.items()))
    return Overview(states.total(), states, by_day, rules, shadow, health, rulings, minutes)


def _day(at: str, zone: tzinfo) -> str:
    try:
        return datetime.fromisoformat(at).astimezone(zone).date().isoformat()
    except ValueError:
        return "unknown"


def _health(name: str, found: list[Mapping[str, Any]]) -> CheckerHealth:
    took = [float(it.get("elapsed_ms") or 0.0) for it in found]
    status = Counter(str(it.get("status")) for it in found)
    return CheckerHealth(name, len(found), status["error"], status["skipped"], median(took), max(took))


def _rulings(engine: Engine, since: str) -> tuple[dict[str, int], float | None]:
    decided = ReviewCase.state == "decided", ReviewCase.decided_at >= since
    with reading(engine) as connection:
        counted = connection.execute(
            select(ReviewCase.ruling, func.count()).where(*decided).group_by(ReviewCase.ruling)
        ).all()
        times = connection.execute(select(ReviewCase.opened_at, ReviewCase.decided_at).where(*decided)).all()
    minutes = [
        (datetime.fromisoformat(done) - datetime.fromisoformat(opened)).total_seconds() / 60
        for opened, done in times
        if done is not None
    ]
    return {str(name): int(count) for name, count in counted}, median(minutes) if minutes else None
