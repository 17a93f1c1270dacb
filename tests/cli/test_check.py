"""`guard check`, `guard policy` and the exit codes, as a shell sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.cases import blank_png

Shell = Callable[..., subprocess.CompletedProcess[str]]

POLICY = """\
name: test
version: "1"
checkers:
  mask: {use: sample-words, params: {words: [Ann], category: NAME}}
  hold: {use: sample-words, params: {words: [doubt]}}
  stop: {use: sample-words, params: {words: [never]}}
rules:
  - {id: mask, checker: mask, action: redact}
  - {id: hold, checker: hold, action: review}
  - {id: stop, checker: stop, action: block}
"""


@pytest.fixture
def shell(sample_plugin: str, tmp_path: Path) -> Shell:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    environment = {**os.environ, "GUARD_HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(*arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        command = [sys.executable, "-m", "guard", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, input=data, capture_output=True, check=False)
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


KEYS = {"request_id", "state", "decision", "results", "content", "stamp", "receipt", "case", "replayed"}


@pytest.mark.parametrize(
    ("text", "code", "action", "content"),
    [
        ("fine", 0, "allow", "fine"),
        ("dear Ann", 0, "redact", "dear [NAME]"),
        ("I doubt", 3, "review", None),
        ("never", 4, "block", None),
        ("", 0, "allow", ""),
    ],
)
def test_exit_codes_and_keys(shell: Shell, text: str, code: int, action: str, content: str | None) -> None:
    done = shell("check", "--policy", "policy.yaml", "--stage", "output", "-", "--json", stdin=text)
    assert done.returncode == code, done.stderr
    data = json.loads(done.stdout)
    assert set(data) == KEYS
    assert data["decision"]["action"] == action
    assert set(data["decision"]["policy"]) == {"name", "version", "digest"}
    assert data["content"] == content
    assert {"checker", "version", "stage", "status", "elapsed_ms", "findings"} <= set(data["results"][0])
    assert {"entry", "size", "root"} <= set(data["receipt"])
    if action == "redact":
        [finding] = data["results"][0]["findings"]
        assert (finding["category"], finding["score"], finding["start"], finding["end"]) == ("NAME", 1.0, 5, 8)


def test_an_image_and_no_record(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(blank_png())
    done = shell("check", "--policy", "policy.yaml", "picture.png", "--no-record", "--json")
    assert done.returncode == 3
    data = json.loads(done.stdout)
    assert data["decision"]["rules"] == ["unchecked:output"]
    assert (data["receipt"], data["content"]) == (None, None)


def test_for_people(shell: Shell) -> None:
    done = shell("check", "--policy", "policy.yaml", "-", stdin="I doubt \x1b[31m")
    assert done.stdout == ""
    assert "held · review" in done.stderr
    assert "rules: hold" in done.stderr
    assert "\x1b[31m" not in done.stderr


def test_what_would_have_changed_it(shell: Shell) -> None:
    done = shell("check", "--policy", "policy.yaml", "-", "--explain", stdin="Ann, I doubt \x1b[31m it")
    assert done.returncode == 3
    lines = [line.strip() for line in done.stderr.splitlines()]
    assert "because word 1.00 at 7–12 (output) is at or above 0.50, so rule hold asks for review" in lines
    assert "because NAME 1.00 at 0–3 (output) is at or above 0.50, so rule mask asks for redact" in lines
    assert "without rule hold: redact (mask)" in lines
    assert "without word 1.00 at 7–12: redact (mask)" in lines
    done = shell("check", "--policy", "policy.yaml", "-", "--explain", stdin="fine")
    assert "this is what the policy does in any case" in done.stderr


@pytest.mark.parametrize("record", ["--record", "--no-record"])
def test_an_explanation_as_data(shell: Shell, record: str) -> None:
    done = shell("check", "--policy", "policy.yaml", "-", "--explain", "--json", record, stdin="Ann, I doubt it")
    data = json.loads(done.stdout)
    assert set(data) == KEYS | {"explanation"}
    first = data["explanation"]["evidence"][0]
    assert (first["rule"], first["threshold"], first["action"], first["finding"]["start"]) == ("hold", 0.5, "review", 7)
    off, absent = data["explanation"]["changes"]
    assert off["edits"] == [{"kind": "rule", "rule": "hold"}]
    assert absent["edits"][0]["finding"]["category"] == "word"
    assert off["decision"] == {"action": "redact", "rules": ["mask"], "shadow": [], "degraded": False}
    line = json.dumps({"id": "a", "text": "never"})
    done = shell("check", "--policy", "policy.yaml", "--jsonl", "-", "--explain", record, stdin=line)
    assert json.loads(done.stdout)["explanation"]["changes"][0]["decision"]["action"] == "allow"


def test_lines_come_back_in_order(shell: Shell, tmp_path: Path) -> None:
    words = ["fine", "Ann", "doubt", "never"]
    lines = [json.dumps({"id": f"n{n}", "text": words[n % 4]}) for n in range(50)]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    done = shell("check", "--policy", "policy.yaml", "--jsonl", "lines.jsonl")
    assert done.returncode == 4, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [f"n{n}" for n in range(50)]
    assert [answer["decision"]["action"] for answer in answers[:4]] == ["allow", "redact", "review", "block"]
    assert [answer["receipt"]["entry"] for answer in answers] == list(range(1, 51))
    assert shell("audit", "verify").returncode == 0


def test_bad_lines_are_named_and_the_others_are_checked(shell: Shell) -> None:
    lines = '{"id": "a", "text": "fine"}\n{\n["x"]\n{"id": "b"}\n{"text": "x"}\n\n{"id": 7, "text": "Ann"}'
    done = shell("check", "--policy", "policy.yaml", "--jsonl", "-", "--no-record", stdin=lines)
    assert done.returncode == 2
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("line") for answer in answers] == [None, 2, 3, 4, 5, None]
    assert [answer["decision"]["action"] for answer in (answers[0], answers[-1])] == ["allow", "redact"]
    done = shell(
        "check", "--policy", "policy.yaml", "--jsonl", "-", "--no-record", stdin=b'{"id": "a", "text": "\xff"}'
    )
    assert json.loads(done.stdout)["error"] == "not JSON in UTF-8"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "--policy", "nowhere", "-"], "there is no policy at nowhere"),
        (["check", "--policy", "policy.yaml"], "give one FILE"),
        (["check", "--policy", "policy.yaml", "missing.txt"], "cannot read missing.txt"),
        (["check", "--policy", "policy.yaml", "--stage", "middle", "-"], "use input, output or tool"),
        (["check", "--store", "mysql://x", "-"], "the store cannot be"),
        (["check", "--policy", "policy.yaml", "--unknown"], "No such option"),
        (["run", "--model", "nowhere", "--policy", "policy.yaml"], "--prompt"),
        (["policy", "lint", "policy.yaml", "nowhere"], "nowhere"),
    ],
)
def test_usage_and_configuration_errors_are_exit_2(shell: Shell, arguments: list[str], words: str) -> None:
    done = shell(*arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_bytes_that_are_nothing(shell: Shell) -> None:
    done = shell("check", "--policy", "policy.yaml", "-", stdin=b"\xff\xfe\x00")
    assert done.returncode == 2
    assert "not UTF-8" in done.stderr


def test_policy_commands(shell: Shell, tmp_path: Path) -> None:
    assert "test 1 is valid (3 rules" in shell("policy", "lint", "policy.yaml").stdout
    assert "redact" in shell("policy", "show", "policy.yaml").stdout
    shown = json.loads(shell("policy", "show", "policy.yaml", "--json").stdout)
    assert [rule["id"] for rule in shown["rules"]] == ["mask", "hold", "stop"]
    (tmp_path / "policy.yaml").write_text(POLICY.replace("redact", "redcat"), "utf-8")
    done = shell("policy", "lint", "policy.yaml")
    assert done.returncode == 2
    assert "policy.yaml:8: rules.0.action" in done.stderr


CASES = """\
cases:
  - {id: masked, prompt: hi, output: Ann, expect: {action: redact, rules: [mask], content: "[NAME]", state: released}}
  - {id: stopped, prompt: never, expect: {action: block, rules: [stop], state: blocked}}
  - {id: wrong, prompt: hi, output: fine, expect: {action: block}}
"""


def test_policy_cases(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text(CASES, "utf-8")
    done = shell("policy", "test", "policy.yaml")
    assert done.returncode == 1
    assert "2 passed, 1 failed" in done.stdout
    assert "action: expected block, got allow" in done.stdout
    (tmp_path / "cases.yaml").write_text(
        CASES.replace("expect: {action: block}", "expect: {action: block, rule: [x]}"), "utf-8"
    )
    done = shell("policy", "test", "policy.yaml")
    assert done.returncode == 2
    assert "cases.yaml:4: unknown key 'cases.2.expect.rule'; did you mean 'rules'?" in done.stderr


def test_a_read_only_record_releases_nothing(shell: Shell, tmp_path: Path) -> None:
    assert shell("check", "--policy", "policy.yaml", "-", stdin="fine").returncode == 0
    (tmp_path / "folder").mkdir()
    done = shell("check", "--policy", "policy.yaml", "-", "--store", f"sqlite:///{tmp_path / 'folder'}", stdin="fine")
    assert done.returncode == 1
    assert "fine" not in done.stdout
    assert "Traceback" not in done.stderr


def test_sources_are_files(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("place,temperature\nPorto,18.4\n", "utf-8")
    (tmp_path / "grounded.yaml").write_text(
        "name: g\nversion: '1'\ncheckers:\n  grounding: {params: {source: sources}}\n"
        "rules:\n  - {id: figure, checker: grounding, action: review}\n",
        "utf-8",
    )
    arguments = ("check", "--policy", "grounded.yaml", "-", "--source", "data.csv")
    assert shell(*arguments, stdin="It was 18.4 degrees.").returncode == 0
    assert shell(*arguments, stdin="It was 19.4 degrees.").returncode == 3
    (tmp_path / "data.csv").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in shell(*arguments, stdin="It was 18.4 degrees.").stderr
