"""Callers that ask for the same thing at the same moment."""

from __future__ import annotations

import threading

from guard import Guard, Outcome


def race(g: Guard) -> list[Outcome]:
    """What four threads get that ask under one request id; each one's model would answer something else."""
    barrier = threading.Barrier(4)

    def slow(prompt: str) -> str:
        barrier.wait(timeout=30)
        return f"answer {threading.get_ident()}"

    outcomes: list[Outcome] = []
    say = g.wrap(slow)
    threads = [threading.Thread(target=lambda: outcomes.append(say("hi", id="race"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
