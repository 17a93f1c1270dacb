"""The process in which one checker runs: `python -m guard.worker <descriptor>`, started by `guard.isolate`.

Messages are pickled tuples over a socket pair: ("build", name, params) is answered by ("ok", (version, kinds, gather,
streams)), and ("check", items, seconds) by ("ok", findings of each item; of an unfinished one with the place up to which they
are final); either by ("error", text), which never quotes content.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from guard import plugins
from guard.digest import JSON
from guard.errors import GuardError
from guard.types import Checker, Item, Text

GRACE = 1.0  # how much later than its parent's deadline a worker ends itself, in case the parent is gone


def serve(descriptor: int) -> None:
    """Answer until the parent closes the line or dies."""
    connection = Connection(descriptor)
    checkers: list[Checker] = []

    def build(use: str, params: Mapping[str, JSON]) -> object:
        checkers[:] = [plugins.build_checker(use, params)]
        gather = float(getattr(checkers[0], "gather", 0.0))
        return str(checkers[0].version), frozenset(checkers[0].kinds), gather, streams(checkers[0])

    def check(items: Sequence[Item], limit: float) -> object:
        # Should the parent die while a check hangs: SIGALRM's default action ends the process, lock or no lock.
        signal.setitimer(signal.ITIMER_REAL, limit + GRACE)
        try:
            return look(checkers[0], items)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    while True:
        try:
            kind, *arguments = connection.recv()
        except (EOFError, OSError):
            return
        answer = attempt(build if kind == "build" else check, *arguments)
        sent = attempt(connection.send, answer)
        if sent[0] != "ok":  # an answer that cannot be pickled, or a parent that is gone
            attempt(connection.send, ("error", "answered nonsense: something that cannot be passed on"))


def streams(checker: Checker) -> bool:
    """Whether a checker can be asked about a text that is not finished."""
    return getattr(checker, "horizon", "document") != "document" and callable(getattr(checker, "pending", None))


def look(checker: Any, items: Sequence[Item]) -> list[object]:
    """The findings of each item; of an unfinished one the place up to which more text changes nothing, and those before it."""
    answers: list[object] = []
    for item, findings in zip(items, checker.check(items), strict=True):
        if item.unfinished and isinstance(item.content, Text):
            settled = len(item.content.text) - checker.pending(item.content.text)
            answers.append((settled, [it for it in findings if it.span is None or it.span.start < settled]))
        else:
            answers.append(list(findings))
    return answers


def attempt(action: Callable[..., object], *arguments: object) -> tuple[str, object]:
    """Run a checker's code: the one place where any exception becomes an error result. A crash is never a pass."""
    try:
        return "ok", action(*arguments)
    except GuardError as error:  # ours: the text is made for people and never quotes content
        return "error", str(error)
    except Exception as error:  # noqa: BLE001
        return "error", f"{type(error).__name__} in the checker"


if __name__ == "__main__":
    serve(int(sys.argv[1]))
