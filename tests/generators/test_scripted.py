"""The generator that says what it is told, among threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from guard.generators.scripted import ScriptedGenerator
from guard.types import Request, Text


def test_each_line_is_said_once_however_many_ask() -> None:
    lines = [f"line {number}" for number in range(200)]
    script = ScriptedGenerator(iter(lines), name="script")
    asked = [Request(Text(f"prompt {number}")) for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(script.generate, asked))
    assert sorted(str(made.content) for made in answers) == sorted(str(Text(line)) for line in lines)
    assert sorted(request.id for request in script.seen) == sorted(request.id for request in asked)
    assert {made.facts["model"] for made in answers} == {"script"}
