"""Outcomes of the record by group: each request once, with what reviewers made of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import guard
from guard import review
from guard.audit.draft import Draft
from guard.audit.read import Reader
from guard.errors import ConfigError, EvidenceError
from guard.fairness import traffic
from guard.fairness.cells import Cells
from guard.types import Request, Text
from tests.fairness import planted

POLICY: dict[str, Any] = {
    "name": "p",
    "version": "1",
    "checkers": {
        "toxicity": {"use": "sample-words", "params": {"words": ["idiot"], "score": 0.9}},
        "doubt": {"use": "sample-words", "params": {"words": ["doubt"]}},
        "card": {"use": "sample-words", "params": {"words": ["4111"]}},
    },
    "rules": [
        {"id": "insult", "checker": "toxicity", "stage": "output", "action": "block"},
        {"id": "hold", "checker": "doubt", "action": "review"},
        {"id": "card", "checker": "card", "action": "redact"},
    ],
}


def figures(cells: Cells, group: str) -> dict[str, tuple[float, float]]:
    found = {}
    for table in cells.tables(("sex",)):
        at = table.groups.index((group,))
        found[table.measure.name] = (float(table.n[at]), float(table.total[at]))
    return found


def test_each_request_is_one_row_with_what_became_of_it(sample_plugin: str, tmp_path: Path) -> None:
    with guard.Guard(POLICY, store=f"sqlite:///{tmp_path / 'g.db'}", home=tmp_path) as g:
        model = g.wrap(lambda prompt: f"Answer: {prompt}")
        asked = ["hello", "an idiot", "card 4111", "I doubt it", "no doubt"]
        requests = [Request(Text(text), groups={"sex": "f"}) for text in asked]
        outcomes = [model(request) for request in requests]
        model("hello", groups={"sex": "m"})
        model("hello")
        engine, log = g.ledger.engine, g.ledger.log
        for outcome, ruling in zip(outcomes[3:], ("approve", "reject"), strict=True):
            review.claim(engine, log, reviewer="kim", case_id=outcome.case)
            review.rule(engine, log, case_id=str(outcome.case), reviewer="kim", ruling=ruling, rationale="seen")
        before, _ = traffic.read(engine, ("sex",))
        model(requests[3])
        told: list[tuple[int, int]] = []
        cells, source = traffic.read(engine, ("sex",), progress=lambda done, total: told.append((done, total)))
    found = figures(cells, "f")
    assert (found["block"], found["review"], found["redaction"]) == ((5, 1), (5, 2), (5, 1))
    assert found["overturn"] == (2, 1)
    assert found["toxicity"][0] == 3  # answers that it read; held prompts had none
    assert found["toxicity"][1] == pytest.approx(0.9)
    assert figures(before, "f")["released"] == (4, 2)  # of the approved prompt nothing was generated yet
    assert figures(cells, "m")["block"] == (1, 0)
    assert cells.undeclared(("sex",)) == 1
    assert told[-1] == (7, 7)
    assert source.policies.total() == 7
    assert source.facts["root"]


def test_what_was_planted_in_a_record_is_counted(url: str, tmp_path: Path) -> None:
    it = planted.record(tmp_path, 400, url=url)
    cells, source = traffic.read(it.engine, ("sex", "age"))
    entries = Reader(it.engine).latest(1000, kind="generation")
    for group in "fmx":
        mine = [entry for entry in entries if entry.fields["request"]["groups"]["sex"] == group]
        expected = len(mine), sum(entry.state == "blocked" for entry in mine)
        assert figures(cells, group)["block"] == expected
    assert traffic.read(it.engine, ("sex", "age"))[1].digest == source.digest
    assert source.policies.total() == 400
    it.engine.dispose()


def test_another_entry_is_another_digest_and_times_bound_what_is_read(tmp_path: Path) -> None:
    it = planted.record(tmp_path, 60)
    _, source = traffic.read(it.engine, ("sex",))
    later = (it.clock.now + timedelta(days=1)).isoformat()
    assert traffic.read(it.engine, ("sex",), until=later)[1].digest == source.digest
    with pytest.raises(ConfigError, match="no request was recorded"):
        traffic.read(it.engine, ("sex",), since=later)
    it.engine.dispose()


@pytest.mark.parametrize("fields", [{"results": ["?"]}, {"request": "?"}, {"policy": "?"}, {"items": {"output": "?"}}])
def test_an_entry_that_is_not_as_it_was_written_is_named(tmp_path: Path, fields: dict[str, Any]) -> None:
    it = planted.record(tmp_path, 1)
    it.log.append([Draft("generation", "odd", fields, {})])
    with pytest.raises(EvidenceError, match="entry 2 cannot be read: run  guard audit verify"):
        traffic.read(it.engine, ("sex",))
    it.engine.dispose()


def test_groups_that_nobody_declares(tmp_path: Path) -> None:
    it = planted.record(tmp_path, 60, attributes=("sex",))
    with pytest.raises(ConfigError, match=r"'eyes'; declared are: sex \(60\)"):
        traffic.read(it.engine, ("eyes",))
    it.engine.dispose()
