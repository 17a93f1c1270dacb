"""Cases that other tools got wrong. What passes must go on passing; what we get wrong is named, case by case."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.checkers.grounding import GroundingChecker
from guard.checkers.injection import InjectionChecker
from guard.types import Finding, Item, Stage, Text

DATA = Path(__file__).parent / "data"
FLOOR = 0.95  # of all cases


def read(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = yaml.safe_load((DATA / name).read_text("utf-8"))["cases"]
    return cases


INJECTION, GROUNDING = read("adversarial_injection.yaml"), read("adversarial_grounding.yaml")


def injection_problem(case: dict[str, Any]) -> str:
    checker = InjectionChecker(InjectionChecker.Params())
    [found] = checker.check([Item(Text(case["text"]), Stage(case.get("stage", "input")))])
    seen, wanted = {finding.category for finding in found}, set(case["expect"])
    return "" if (wanted <= seen if wanted else not seen) else f"expected {sorted(wanted)}, got {sorted(seen)}"


def grounding_problem(case: dict[str, Any]) -> str:
    checker = GroundingChecker(GroundingChecker.Params(**case.get("params", {})))
    [found] = checker.check([Item(Text(case["text"]), Stage.OUTPUT, prompt=Text(case["data"]))])
    seen = [said(finding, case["text"]) for finding in found]
    return "" if seen == case["expect"] else f"expected {case['expect']}, got {seen}"


def said(finding: Finding, text: str) -> str:
    assert finding.span is not None
    return f"{finding.category.removeprefix('ungrounded_')}: {text[slice(*finding.span)]}"


def problems() -> dict[str, tuple[bool, str]]:
    """For each case whether it is known to fail, and what is wrong."""
    found = {case["id"]: (case.get("miss", False), injection_problem(case)) for case in INJECTION}
    return found | {case["id"]: (case.get("miss", False), grounding_problem(case)) for case in GROUNDING}


@pytest.mark.parametrize("case", [case for case in INJECTION if not case.get("miss")], ids=lambda case: str(case["id"]))
def test_injection(case: dict[str, Any]) -> None:
    assert not injection_problem(case)


@pytest.mark.parametrize("case", [case for case in GROUNDING if not case.get("miss")], ids=lambda case: str(case["id"]))
def test_grounding(case: dict[str, Any]) -> None:
    assert not grounding_problem(case)


def test_the_misses_are_named_and_few(record_property: Any) -> None:
    """A miss that passes by now is no miss: take its mark away."""
    answers = problems()
    passed = sum(not wrong for _, wrong in answers.values())
    record_property("adversarial", f"{passed} of {len(answers)}")
    assert {name for name, (known, wrong) in answers.items() if wrong} == {
        name for name, (known, _) in answers.items() if known
    }
    assert passed / len(answers) >= FLOOR


def test_every_case_is_well_formed() -> None:
    cases = [*INJECTION, *GROUNDING]
    assert len(cases) >= 220
    assert len({case["id"] for case in cases}) == len(cases)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", case["source"]) for case in cases)
