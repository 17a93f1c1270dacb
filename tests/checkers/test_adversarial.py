"""Cases that other tools got wrong. What passes must go on passing; what we get wrong is named, case by case."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.checkers.bias import BiasChecker
from guard.checkers.grounding import GroundingChecker
from guard.checkers.injection import InjectionChecker
from guard.checkers.pii import PiiChecker
from guard.checkers.secrets import SecretsChecker
from guard.checkers.toxicity import ToxicityChecker
from guard.policy.decide import Context, matches
from guard.policy.load import load
from guard.types import Checker, CheckResult, Finding, Item, Policy, Request, Stage, Status, Text
from tests.checkers import test_secrets

DATA = Path(__file__).parent / "data"
FLOOR = 0.95  # of all cases
ALPHABETS = {
    "base62": string.ascii_letters + string.digits,
    "base64": string.ascii_letters + string.digits + "+/",
    "hex": "0123456789abcdef",
    "key": string.ascii_uppercase + "234567",
    "letters": string.ascii_letters,
}
MADE = {"github": test_secrets.github, "jwt": test_secrets.web_token, "pem": test_secrets.pem}

Case = dict[str, Any]


def read(name: str) -> list[Case]:
    cases: list[Case] = yaml.safe_load((DATA / f"adversarial_{name}.yaml").read_text("utf-8"))["cases"]
    return cases


@cache
def policy() -> Policy:
    return load("default")


@cache
def built(kind: type[Any], **params: Any) -> Checker:
    checker: Checker = kind(kind.Params(**params))
    return checker


def ask(checker: Checker, text: str, stage: str = "output", data: str | None = None) -> list[Finding]:
    """The findings, in the order of the text."""
    [found] = checker.check([Item(Text(text), Stage(stage), prompt=None if data is None else Text(data))])
    return sorted(found, key=lambda finding: finding.span or (0, 0))


def words(finding: Finding, text: str) -> str:
    assert finding.span is not None
    return text[slice(*finding.span)]


def compared(wanted: object, seen: object) -> str:
    return "" if wanted == seen else f"expected {wanted}, got {seen}"


def injection(case: Case) -> str:
    found = ask(built(InjectionChecker), case["text"], case.get("stage", "input"))
    seen, wanted = {finding.category for finding in found}, set(case["expect"])
    return "" if (wanted <= seen if wanted else not seen) else f"expected {sorted(wanted)}, got {sorted(seen)}"


def grounding(case: Case) -> str:
    [found] = GroundingChecker(GroundingChecker.Params(**case.get("params", {}))).check(
        [Item(Text(case["text"]), Stage.OUTPUT, prompt=Text(case["data"]))]
    )
    seen = [f"{finding.category.removeprefix('ungrounded_')}: {words(finding, case['text'])}" for finding in found]
    return compared(case["expect"], seen)


def personal(case: Case) -> str:
    found = ask(built(PiiChecker, engine="native"), case["text"])
    return compared(case["expect"], [f"{finding.category}: {words(finding, case['text'])}" for finding in found])


def filled(case: Case) -> str:
    """The text with what stands for random characters drawn, the same at each run."""
    chance = random.Random(case["id"])

    def drawn(match: re.Match[str]) -> str:
        alphabet, size, whole = match.groups()
        return MADE[whole](chance) if whole else "".join(chance.choices(ALPHABETS[alphabet], k=int(size)))

    return re.sub(rf"{{({'|'.join(ALPHABETS)}):(\d+)}}|{{({'|'.join(MADE)})}}", drawn, case["text"])


def secrets(case: Case) -> str:
    marked = filled(case)
    text = re.sub("[«»]", "", marked)
    return compared(
        re.findall("«(.*?)»", marked, re.DOTALL),
        [words(finding, text) for finding in ask(built(SecretsChecker), text)],
    )


def harm(case: Case) -> str:
    """What the rules of the default policy react to."""
    stage = Stage(case.get("stage", "output"))
    specs = {spec.name for spec in policy().checkers if stage in spec.stages}
    results = [
        CheckResult(name, checker.version, stage, Status.OK, tuple(ask(checker, case["text"], stage)))
        for name, checker in (("toxicity", built(ToxicityChecker)), ("bias", built(BiasChecker)))
        if name in specs
    ]
    fired = matches(policy(), Context.of(Request(Text(case["text"]))), results)
    seen = {match.finding.category for match in fired}
    right = all(seen & set(wanted.split("|")) for wanted in case["expect"]) if case["expect"] else not seen
    return "" if right else f"expected {case['expect']}, got {sorted(seen)}"


PROBLEM: dict[str, Callable[[Case], str]] = {
    "injection": injection, "grounding": grounding, "personal": personal, "secrets": secrets, "harm": harm,
}  # fmt: skip
CASES = [(name, case) for name in PROBLEM for case in read(name)]


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name}-{case['id']}") for name, case in CASES if not case.get("miss")],
)
def test_right_answer(name: str, case: Case) -> None:
    assert not PROBLEM[name](case)


def test_the_misses_are_named_and_few(record_property: Any) -> None:
    """A miss that passes by now is no miss: take its mark away."""
    wrong = {case["id"] for name, case in CASES if PROBLEM[name](case)}
    passed = len(CASES) - len(wrong)
    record_property("adversarial", f"{passed} of {len(CASES)}")
    assert wrong == {case["id"] for _, case in CASES if case.get("miss")}
    assert passed / len(CASES) >= FLOOR


def test_the_changelog_says_how_many() -> None:
    log = (Path(__file__).parents[2] / "CHANGELOG.md").read_text("utf-8")
    missed = sum(bool(case.get("miss")) for _, case in CASES)
    assert f"- {len(CASES)} cases that other tools got wrong" in log
    assert f"; {len(CASES) - missed} pass, the others are named" in re.sub(r"\s+", " ", log)


def test_every_case_is_well_formed() -> None:
    assert len(CASES) >= 300
    assert len({case["id"] for _, case in CASES}) == len(CASES)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", case["source"]) for _, case in CASES)
