"""Seeded rows with known truth: one group is blocked more often than the others, everything else is chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guard.audit.draft import Draft
from guard.fairness.cells import Cells, Row
from guard.fairness.measures import Measure
from tests import seed

BLOCKED = {"f": 0.30, "m": 0.12, "x": 0.12}  # x is the control
MEASURES = (
    Measure("block", "Blocked", of="all requests"),
    Measure("released", "Released", of="all requests", favourable=True),
    Measure("length", "Length", "mean", of="answers"),
)


def rows(count: int = 3000, number: int = 1) -> list[Row]:
    rng = random.Random(number)
    made = []
    for at in range(count):
        group = rng.choices("fmx", (0.45, 0.40, 0.15))[0]
        blocked = float(rng.random() < BLOCKED[group])
        values = {"block": blocked, "released": 1 - blocked, "length": rng.gauss(300, 80)}
        made.append(Row({"sex": group, "age": rng.choice(["<40", "40+"])}, values, f"2026-W{10 + at * 8 // count}"))
    return made


def cells(count: int = 3000, number: int = 1) -> Cells:
    return Cells(("sex", "age"), MEASURES).add_all(rows(count, number))


def record(
    folder: Path, count: int = 1200, *, url: str | None = None, attributes: Sequence[str] = ("sex", "age")
) -> Any:
    """A record that holds such outcomes, written through the real log."""
    it = seed.world(folder, url)
    rng = random.Random(5)
    drafts = []
    for at in range(count):
        group = rng.choices("fmx", (0.45, 0.40, 0.15))[0]
        blocked = rng.random() < BLOCKED[group]
        groups = {"sex": group, "age": rng.choice(["<40", "40+"])}
        fields: dict[str, Any] = {
            "request": {"purpose": "support", "groups": {name: groups[name] for name in attributes}, "params": {}},
            "generator": seed.MODEL,
            "items": {"output": {"kind": "text", "length": rng.randint(100, 300), "language": "en"}},
            "policy": dict(it.policy),
            "results": [
                seed.result("toxicity", [seed.finding("idiot", "idiot", "harassment", 0.9)] if blocked else [])
            ],
            "decision": {"action": "block" if blocked else "allow", "rules": [], "shadow": [], "degraded": False},
            "redactions": [],
            "state": "blocked" if blocked else "released",
            "stage": "output",
        }
        drafts.append(Draft("generation", f"r{at}", fields, {}))
    for at in range(0, count, 400):
        it.log.append(drafts[at : at + 400])
    return it
