"""Group commit: callers that arrive while one commits are committed together by the next, so a flush to disk is shared.

There is no thread of its own to start, watch or stop: one of the waiting callers leads, commits for all, and hands on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from guard.errors import RecordError

Item = TypeVar("Item")
Result = TypeVar("Result")
Commit = Callable[[Sequence[Item]], Sequence[Result | BaseException]]

LARGEST = 512  # items a commit
_LOST = "the transaction was interrupted; nothing was released: run  guard audit verify  to see whether it was recorded"
PATIENCE = 1 / 3  # of the last commit's time, at most, to wait for callers who are likely to come


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    event: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    handed: bool = False  # whether it has passed the lead on
    result: Result | BaseException | None = None


class Group(Generic[Item, Result]):
    """Commits what several threads submit. `commit` gets items in order and answers with a result or an error for each."""

    def __init__(self, commit: Commit[Item, Result]) -> None:
        self._commit = commit
        self._state = threading.Condition()
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._led = False
        self._callers, self._took = 1, 0.0  # how many came last time, and how long their commit took

    def submit(self, item: Item) -> Result:
        """Wait until the item is committed; raises what its commit raised."""
        mine = _Waiting[Item, Result](item)
        with self._state:
            self._queue.append(mine)
            mine.leads, self._led = not self._led, True
            self._state.notify()  # a leader may be waiting for one more
        try:
            if not mine.leads:
                mine.event.wait()
            if mine.leads:
                self._lead(mine)
        finally:
            if mine.result is None:  # interrupted: nobody must wait for this caller to lead
                self._withdraw(mine)
        if isinstance(mine.result, BaseException):
            raise mine.result
        return mine.result  # type: ignore[return-value]

    def _withdraw(self, mine: _Waiting[Item, Result]) -> None:
        with self._state:
            if mine in self._queue:
                self._queue.remove(mine)
            if mine.leads and not mine.handed:
                self._hand_on(mine)

    def _hand_on(self, mine: _Waiting[Item, Result]) -> None:
        mine.handed = True
        self._led = bool(self._queue)
        if self._led:
            self._queue[0].leads = True
            self._queue[0].event.set()

    def _lead(self, mine: _Waiting[Item, Result]) -> None:
        """Commit one batch, the leader's own item in it, then hand the lead to whoever came meanwhile."""
        batch: list[_Waiting[Item, Result]] = []
        began = time.perf_counter()
        answers: Sequence[Result | BaseException] | None = None
        try:
            self._gather(batch)
            began = time.perf_counter()
            answers = self._commit([waiting.item for waiting in batch])
        finally:  # an error of the commit itself goes through the leader; whoever waits for it must not wait for ever
            self._took = time.perf_counter() - began
            with self._state:
                if mine in self._queue:  # interrupted while it gathered
                    self._queue.remove(mine)
                self._callers = min(LARGEST, len(batch) + len(self._queue))
                self._hand_on(mine)
            lost = RecordError(_LOST)
            for number, waiting in enumerate(batch):
                waiting.result = lost if answers is None else answers[number]
                waiting.event.set()

    def _gather(self, batch: list[_Waiting[Item, Result]]) -> None:
        # Those whose last item was just committed come back at once: without a short wait they would miss every other commit.
        end = time.perf_counter() + self._took * PATIENCE
        with self._state:
            while len(self._queue) < self._callers and (rest := end - time.perf_counter()) > 0:
                self._state.wait(rest)
            while self._queue and len(batch) < LARGEST:
                batch.append(self._queue.popleft())
