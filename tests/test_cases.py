"""Policy cases: what is compared, and what is wrong with a file of cases."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image as Pillow

from guard.cases import CaseResult, blank_png, run_cases
from guard.errors import ConfigError, PolicyError

POLICY = """\
name: test
version: "1"
checkers:
  mask: {use: sample-words, params: {words: [Ann], category: NAME}}
  stop: {use: sample-words, params: {words: [never]}}
rules:
  - {id: mask, checker: mask, action: redact}
  - {id: stop, checker: stop, action: block}
  - {id: kyc, checker: mask, action: review, when: request.purpose == "kyc"}
  - {id: shy, checker: mask, action: block, mode: shadow}
"""


@pytest.fixture
def folder(sample_plugin: str, tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    return tmp_path


def run(folder: Path, *cases: str) -> list[CaseResult]:
    (folder / "cases.yaml").write_text("cases:\n" + "".join(f"  - {{{case}}}\n" for case in cases), "utf-8")
    return list(run_cases(folder / "policy.yaml"))


def test_everything_that_is_expected_is_compared(folder: Path) -> None:
    found = run(
        folder,
        "id: a, prompt: hi, output: Ann, expect: {action: redact, rules: [mask], shadow: [shy], content: '[NAME]'}",
        "id: b, prompt: hi, output: Ann, expect: {action: allow, rules: [], shadow: [], state: held, content: Ann}",
        "id: c, prompt: hi, output: Ann, request: {purpose: kyc}, expect: {action: review, rules: [kyc, mask], state: held}",
        "id: d, prompt: never, expect: {action: block}",
        "id: e, prompt: hi, expect: {action: allow}",
    )
    assert [each.problems for each in found] == [
        (),
        (
            "action: expected allow, got redact",
            "rules: expected [], got ['mask']",
            "shadow: expected [], got ['shy']",
            "state: expected held, got released",
            "content: expected Ann, got [NAME]",
        ),
        (),
        (),
        ("the prompt reached the model, and the case has no scripted answer",),
    ]
    assert [each.outcome is None for each in found] == [False, False, False, False, True]


def test_images_as_answers(folder: Path) -> None:
    (folder / "own.png").write_bytes(blank_png(8))
    found = run(
        folder,
        "id: a, prompt: draw, image: blank, expect: {action: review, rules: ['unchecked:output'], state: held}",
        "id: b, prompt: draw, image: own.png, expect: {action: review}",
    )
    assert [each.problems for each in found] == [(), ()]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("id: a, prompt: hi, image: missing.png, expect: {action: allow}", "case 'a': cannot read .*missing.png"),
        ("id: a, prompt: hi, image: policy.yaml, expect: {action: allow}", "case 'a': policy.yaml is no image"),
        ("id: a, prompt: hi, output: x, image: blank, expect: {action: allow}", "not both"),
        ("id: a, prompt: hi, expect: {action: alow}", r"cases.yaml:2: .*expect.action"),
        ("id: a, prompt: hi, expect: {action: allow, state: open}", "state"),
        ("id: a, prompt: hi, expect: {action: allow}, outptu: x", "did you mean 'output'"),
        ("prompt: hi, expect: {action: allow}", "cases.0.id"),
    ],
)
def test_mistakes_are_named(folder: Path, case: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run(folder, case)


def test_a_case_that_stands_twice(folder: Path) -> None:
    case = "id: a, prompt: never, expect: {action: block}"
    with pytest.raises(PolicyError, match=r"cases.yaml:3: case 'a' stands twice"):
        run(folder, case, case)


def test_a_policy_without_cases(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no cases\.yaml beside"):
        list(run_cases(folder / "policy.yaml"))


def test_the_blank_picture_is_a_picture() -> None:
    picture = Pillow.open(io.BytesIO(blank_png(5)))
    picture.load()
    assert (picture.size, picture.getpixel((4, 4))) == ((5, 5), (255, 255, 255))
