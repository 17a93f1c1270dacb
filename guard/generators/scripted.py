"""A generator that says what it is told: for tests, policy cases and demonstrations. It ships, so nobody needs a mock."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from guard.errors import GenerationError
from guard.types import Content, Generated, Request, Text


class ScriptedGenerator:
    """Answers with the given contents, one a call, in order; an exception in the script is raised in its turn.

    `seen` keeps the requests as the model would have received them (redacted prompts included).
    """

    def __init__(self, script: Iterable[Content | str | Exception], *, name: str = "scripted") -> None:
        self.name = name
        self.seen: list[Request] = []
        self._script = iter(script)
        self._lock = threading.Lock()

    def generate(self, request: Request) -> Generated:
        """The next line of the script."""
        with self._lock:
            self.seen.append(request)
            line = next(self._script, None)
        if line is None:
            raise GenerationError("the script is at its end: give ScriptedGenerator one line for each call")
        if isinstance(line, Exception):
            raise line
        return Generated(Text(line) if isinstance(line, str) else line, {"model": self.name, "library": "scripted"})
