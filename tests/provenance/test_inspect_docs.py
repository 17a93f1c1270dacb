"""What the document on inspection shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from guard.provenance.fingerprint import audio, image, text
from guard.provenance.verdict import Reason, Verdict
from tests.test_readme import environment, matches

DOCUMENT = (Path(__file__).resolve().parents[2] / "guard" / "provenance" / "INSPECT.md").read_text("utf-8")


def test_the_walk_through(tmp_path: Path) -> None:
    code, expected = (re.findall(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)[0] for kind in ("python", "text"))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert matches(expected, done.stdout), done.stdout


def test_verdicts_and_figures_are_those_of_the_code() -> None:
    rows = [
        line.split("|")[1].strip()
        for line in DOCUMENT.split("## A walk-through")[0].splitlines()
        if line.startswith("|")
    ]
    assert rows[2:] == [verdict.value.replace("_", " ") for verdict in Verdict]
    for reason in Reason:
        assert reason.replace("_", " ") in DOCUMENT
    assert f"{image.SIDE} pixels" in DOCUMENT
    assert f"at most {audio.SAME:.0%}".replace("%", " %") in DOCUMENT
    assert (text.SAME, text.ALGORITHM.endswith("96")) == (0.5, True)
