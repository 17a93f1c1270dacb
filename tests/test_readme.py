"""What the README shows is what happens: its code runs, its commands print what it says, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
EXAMPLES = [
    (code, BLOCKS[number + 1][1]) for number, (kind, code) in enumerate(BLOCKS) if kind == "python"
]  # each is followed by what it prints
SESSION = next(code for kind, code in BLOCKS if kind == "console" and code.startswith("$"))


def environment(home: Path) -> dict[str, str]:
    bin_folder = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "GUARD_HOME": str(home),
        "PATH": os.pathsep.join([bin_folder, os.environ["PATH"]]),
        "COLUMNS": "200",
    }


def matches(pattern: str, text: str) -> bool:
    """Whether a text is what the README shows, where … stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, pattern.strip().split("…"))), text.strip(), re.DOTALL) is not None


@pytest.mark.parametrize(("code", "expected"), EXAMPLES)
def test_code(code: str, expected: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert matches(expected, done.stdout), done.stdout


def test_session(tmp_path: Path) -> None:
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", SESSION, re.MULTILINE)
    assert len(steps) >= 4
    for command, expected in steps:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert matches(expected, done.stdout), f"{command}\n{done.stdout}\n{done.stderr}"


def test_links_and_make_targets() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_named_files_exist() -> None:
    for name in re.findall(r"`(guard/[\w/.]+|dashboards|policies[\w/.]*)`", README):
        assert (ROOT / name).exists(), name
