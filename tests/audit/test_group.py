"""Group commit: everybody is answered, whoever is interrupted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from guard.audit.group import Group
from guard.errors import RecordError


class InterruptError(Exception):
    """What a signal raises."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[float], object]]:
    """Raise InterruptError in the main thread after some seconds."""

    def ring(number: int, frame: object) -> None:
        raise InterruptError

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def in_threads(group: Group[int, int], items: Sequence[int]) -> list[int]:
    """What each item came to; a caller that is never answered fails the test instead of hanging it."""
    found: list[int] = []
    threads = [threading.Thread(target=lambda it=it: found.append(group.submit(it)), daemon=True) for it in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    return sorted(found)


def test_callers_share_commits_and_get_their_own_results() -> None:
    sizes: list[int] = []

    def commit(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        time.sleep(0.01)
        return [item * 10 for item in items]

    group: Group[int, int] = Group(commit)
    assert in_threads(group, range(64)) == [item * 10 for item in range(64)]
    assert sum(sizes) == 64
    assert len(sizes) < 32


def test_an_error_reaches_the_one_that_it_is_for() -> None:
    group: Group[int, int] = Group(lambda items: [RecordError("no") if item == 3 else item for item in items])
    with pytest.raises(RecordError, match="no"):
        group.submit(3)
    assert group.submit(4) == 4


def test_a_commit_that_breaks_lets_nobody_wait() -> None:
    def commit(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise LookupError
        return list(items)

    group: Group[int, int] = Group(commit)
    with pytest.raises(LookupError):
        group.submit(0)
    assert in_threads(group, [1, 2, 3]) == [1, 2, 3]


def test_a_waiting_caller_that_is_interrupted_is_not_asked_to_lead(interrupt: Callable[[float], object]) -> None:
    entered = threading.Event()

    def slow(items: Sequence[int]) -> list[int]:
        entered.set()
        time.sleep(0.4)
        return list(items)

    group: Group[int, int] = Group(slow)
    leader = threading.Thread(target=group.submit, args=(1,), daemon=True)
    leader.start()
    entered.wait()
    interrupt(0.1)
    with pytest.raises(InterruptError):
        group.submit(2)
    leader.join(20)
    assert in_threads(group, [3, 4]) == [3, 4]


def test_a_leader_that_is_interrupted_while_it_gathers_hands_on(interrupt: Callable[[float], object]) -> None:
    group: Group[int, int] = Group(lambda items: list(items))
    group._callers, group._took = 2, 9.0  # as after a slow commit of two
    interrupt(0.1)
    with pytest.raises(InterruptError):
        group.submit(1)
    group._callers, group._took = 1, 0.0
    assert in_threads(group, [3, 4]) == [3, 4]
