"""The session in the documentation of fairness prints what it shows, and every source it cites is in the page's method."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from guard.fairness.method import METHOD
from tests.test_readme import environment, matches

README = (Path(__file__).resolve().parents[2] / "guard" / "fairness" / "README.md").read_text("utf-8")


def test_session(tmp_path: Path) -> None:
    session = re.findall(r"```console\n(.*?)```", README, re.DOTALL)[0]
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE)
    assert len(steps) == 5
    for command, expected in steps:
        shell = ["bash", "-c", command]
        done = subprocess.run(
            shell, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
        )
        assert matches(expected, done.stdout), f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_page_names_the_same_sources() -> None:
    for name in ("Wilson", "Newcombe", "Koopman", "Welch", "Fisher", "Phipson", "Holm", "Efron", "Hardt", "Shewhart"):
        assert name in README
        assert name in METHOD
