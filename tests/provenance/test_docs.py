"""The folder's own documentation: its states, reasons and formats are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import guard.provenance
from guard.provenance.credentials import SIGNABLE, State

HERE = Path(guard.provenance.__path__[0])
README = (HERE / "README.md").read_text("utf-8")
NAMES = {"jpeg": "JPEG", "webp": "WebP", "mpeg": "MP3", "audio/mp4": "M4A", "quicktime": "MOV"}


def first_cells(heading: str) -> list[str]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [row.split("|")[1].strip() for row in rows]


def test_states() -> None:
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells("States")))) == {state.value for state in State}


def test_formats() -> None:
    named = " ".join(first_cells("What carries what")[:4]).replace(",", "").split()
    short = {NAMES.get(kind) or NAMES.get(kind.split("/")[1], kind.split("/")[1].upper()) for kind in SIGNABLE}
    assert sorted(named) == sorted(short)


def test_reasons() -> None:
    """All words that `StampError` is raised with, and those for the two errors that are not ours to word."""
    found = {"key_file", "missing_extra", "signing_failed"}
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "StampError":
                found |= {str(it.value) for it in node.args[1:] if isinstance(it, ast.Constant)}
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells("When a mark cannot be made")))) == found
