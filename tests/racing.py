"""Callers that do the same thing at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from guard import Guard, Outcome


def at_once(work: Callable[[], object], count: int = 4) -> None:
    """Run it in so many threads at the same moment, and raise what the first of them raised that failed."""
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait(timeout=30)
        work()

    with ThreadPoolExecutor(count) as threads:
        for task in [threads.submit(run) for _ in range(count)]:
            task.result()


def race(g: Guard) -> list[Outcome]:
    """What four threads get that ask under one request id; each one's model would answer something else."""
    barrier = threading.Barrier(4)

    def slow(prompt: str) -> str:
        barrier.wait(timeout=30)
        return f"answer {threading.get_ident()}"

    outcomes: list[Outcome] = []
    say = g.wrap(slow)
    at_once(lambda: outcomes.append(say("hi", id="race")))
    return outcomes
