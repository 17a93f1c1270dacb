"""Checks in processes of their own, so that a deadline is a deadline.

A check may loop for ever, hold the interpreter lock inside a regular expression, or crash the interpreter; in the caller's
process nothing could stop it. So each checker of a policy gets one worker process, started once, with its model loaded once.
The caller waits for a future, never for a checker. A worker that passes its deadline is killed and started anew, and after
some failures in a row its circuit opens, so that a broken checker costs nothing until it is tried again.

Calls that wait for a worker are served together, as one batch: that spares most of the line's cost, and it is how a model on a
GPU sees the texts of several callers at once. A batch that fails is asked again call by call.

The other end of the line is `guard.worker`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from guard.answers import CheckFailed, settled, validated
from guard.errors import CallerError
from guard.types import CheckerSpec, CheckResult, Item, Stage, Status

START_TIMEOUT = 120.0
GATHERED = 64  # items in a batch of several calls
THREADS = 64  # that wait for checkers, at least

Clock = Callable[[], float]


class Breaker:
    """A circuit breaker: open after `failures` in a row, one trial after `cooldown` seconds. Not thread-safe by itself."""

    def __init__(self, failures: int, cooldown: float, clock: Clock = time.monotonic) -> None:
        self._limit, self._cooldown, self._clock = failures, cooldown, clock
        self._failures, self._until = 0, -math.inf

    @property
    def open(self) -> bool:
        """Whether calls are refused now."""
        return self._failures >= self._limit and self._clock() < self._until

    def record(self, *, success: bool) -> None:
        """Count an answer or a failure."""
        self._failures = 0 if success else self._failures + 1
        if self._failures >= self._limit:
            self._until = self._clock() + self._cooldown


@dataclass(frozen=True, slots=True)
class Reader:
    """What is known of a checker that runs: whether it reads text, and whether it can be asked about unfinished text."""

    text: bool
    streams: bool


@dataclass(eq=False, slots=True)
class Call:
    """Items that one caller waits for, for how many seconds, and until when (`time.perf_counter`)."""

    items: tuple[Item, ...]
    limit: float
    deadline: float
    answer: Future[tuple[Sequence[object], str]] = field(default_factory=Future)


class Worker:
    """One checker in one process. `check` may be called from any thread; calls are served in order, those that wait together.

    A checker with an attribute `gather` waits so many seconds for others to join, where calls came together before."""

    def __init__(self, spec: CheckerSpec, environment: Mapping[str, str]) -> None:
        self.spec = spec
        self._environment = dict(environment)
        self._breaker = Breaker(spec.failures, spec.cooldown)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._version = "unknown"
        self._kinds: frozenset[str] | None = None
        self._streams = False
        self._trouble = ""
        self._closed = False
        self._waiting: deque[Call] = deque()
        self._arrived = threading.Condition()
        self._gather = 0.0
        self._company = 1  # calls in the last batch
        self._pace = 0.0  # seconds for an item of the last batch
        self._process_lock = threading.Lock()  # closing may meet a restart
        self._line = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"check-{spec.name}")
        self._started = self._line.submit(self._start)

    def wait_until_started(self) -> None:
        """Wait for the first start; how it went shows in the results."""
        self._started.result()

    @property
    def reader(self) -> Reader:
        """What it is to streams; one that has not started may read anything."""
        return Reader(text=self._kinds is None or "text" in self._kinds, streams=self._streams)

    def check(self, items: Sequence[Item]) -> list[CheckResult]:
        """One result for each item, within `spec.timeout` seconds an item, whatever the checker does."""
        seen = [self._kinds is None or item.content.kind in self._kinds for item in items]
        answers = iter(self._answers([item for item, looks in zip(items, seen, strict=True) if looks]))
        return [
            next(answers) if looks else self._result(item, Status.SKIPPED)
            for item, looks in zip(items, seen, strict=True)
        ]

    def close(self) -> None:
        """Stop the process. Calls in flight fail."""
        with self._process_lock:
            self._closed = True
        self._kill()
        self._line.shutdown(wait=False, cancel_futures=True)
        for call in list(self._waiting):
            call.answer.cancel()

    # --- the caller's side -----------------------------------------------------------------------------------------

    def _answers(self, items: Sequence[Item]) -> list[CheckResult]:
        if not items:
            return []
        began = time.perf_counter()
        budget = self.spec.timeout * len(items)
        if self._breaker.open:
            return self._failed(items, self._trouble_text("the circuit is open after repeated failures"), began)
        call = Call(tuple(items), budget, began + budget)
        try:
            with self._arrived:
                self._waiting.append(call)
                self._arrived.notify()
            self._line.submit(self._serve_waiting)
        except RuntimeError:  # the executor is shut down
            return self._failed(items, "the guard is closed", began)
        try:
            found, version = call.answer.result(timeout=budget)
        except FutureTimeout:
            # Either still in line behind other calls, or running: then the serving thread kills the worker itself.
            waiting = call.answer.cancel()
            why = "no turn before the deadline" if waiting else f"no answer within {budget:g} s"
            return self._one_by_one(items) if len(items) > 1 else self._failed(items, why, began)
        except CancelledError:
            return self._failed(items, "the guard was closed during the check", began)
        except CheckFailed as error:
            return self._one_by_one(items) if len(items) > 1 else self._failed(items, str(error), began)
        elapsed = (time.perf_counter() - began) / len(items)
        return [self._judge(item, answer, version, elapsed) for item, answer in zip(items, found, strict=True)]

    def _one_by_one(self, items: Sequence[Item]) -> list[CheckResult]:
        """A batch failed: ask again for each item, so that a bad one does not spoil its neighbours."""
        with contextlib.suppress(CancelledError, RuntimeError):
            self._line.submit(self._start).result()  # wait until the worker is back
        return [result for item in items for result in self._answers([item])]

    def _judge(self, item: Item, answer: object, version: str, elapsed: float) -> CheckResult:
        sure = None
        try:
            if item.unfinished:
                sure, answer = settled(item, answer)
            findings = validated(item, answer)
        except CheckFailed as error:
            self._breaker.record(success=False)
            return self._result(item, Status.ERROR, elapsed=elapsed, error=str(error))
        return CheckResult(self.spec.name, version, item.stage, Status.OK, findings, elapsed, settled=sure)

    def _failed(self, items: Iterable[Item], why: str, began: float) -> list[CheckResult]:
        elapsed = time.perf_counter() - began
        return [self._result(item, Status.ERROR, elapsed=elapsed, error=why) for item in items]

    def _result(self, item: Item, status: Status, *, elapsed: float = 0.0, error: str | None = None) -> CheckResult:
        return CheckResult(self.spec.name, self._version, item.stage, status, elapsed=elapsed, error=error)

    def _trouble_text(self, text: str) -> str:
        return f"{text}: {self._trouble}" if self._trouble else text

    # --- the serving thread's side ---------------------------------------------------------------------------------

    def _serve_waiting(self) -> None:
        """Serve the calls that wait as one; if that fails, each by itself, so that none pays for another's."""
        calls = [call for call in self._gathered() if call.answer.set_running_or_notify_cancel()]
        try:
            if len(calls) > 1:
                with contextlib.suppress(CheckFailed):
                    self._serve_together(calls)
                    return
            for call in calls:
                try:
                    call.answer.set_result(self._serve(call.items, call.deadline, call.limit))
                except CheckFailed as error:
                    call.answer.set_exception(error)
        finally:
            for call in calls:
                if not call.answer.done():
                    call.answer.set_exception(CheckFailed("the check broke off"))

    def _gathered(self) -> list[Call]:
        """The calls to serve next: all that wait, as long as a batch of them needs no more than half of a deadline."""
        most = GATHERED if not self._pace else min(GATHERED, int(self.spec.timeout / 2 / self._pace))
        calls: list[Call] = []
        with self._arrived:
            if self._gather and self._company > 1:  # those who came together a moment ago will again
                self._arrived.wait_for(lambda: len(self._waiting) >= self._company, self._gather)
            while self._waiting and (not calls or sum(len(call.items) for call in calls) < most):
                calls.append(self._waiting.popleft())
        self._company = len(calls) or self._company
        return calls

    def _serve_together(self, calls: Sequence[Call]) -> None:
        items = tuple(item for call in calls for item in call.items)
        limit = max(call.limit for call in calls)  # a hang must cost no more than it would alone
        found, version = self._serve(items, max(call.deadline for call in calls), limit, together=True)
        rest = iter(found)
        for call in calls:
            call.answer.set_result((list(itertools.islice(rest, len(call.items))), version))

    def _serve(
        self, items: tuple[Item, ...], deadline: float, limit: float, *, together: bool = False
    ) -> tuple[Sequence[object], str]:
        """Ask the worker. What fails for several calls together is asked again, so it does not count as a failure yet."""
        if self._connection is None:
            self._start()  # the one trial after a failed start; callers do not wait longer than their deadline
        if self._connection is None:
            raise CheckFailed(self._trouble_text("the checker cannot start"))
        began = time.perf_counter()
        if began >= deadline:
            raise CheckFailed("no turn before the deadline")
        try:
            status, value = self._exchange(("check", items, limit), limit)
        except CheckFailed as error:
            self._fail(str(error), counts=not together)
            self._kill()
            with contextlib.suppress(RuntimeError):
                self._line.submit(self._start)  # unless a waiting call starts it first
            raise
        if status == "ok" and not (isinstance(value, list) and len(value) == len(items)):
            status, value = "error", f"answered nonsense: not one list of findings for each of {len(items)} items"
        if status != "ok":
            self._fail(value, counts=not together)
            raise CheckFailed(value)
        self._breaker.record(success=True)
        self._trouble = ""
        self._pace = (time.perf_counter() - began) / len(items)
        return value, self._version

    def _fail(self, why: str, *, counts: bool = True) -> None:
        if counts:
            self._trouble = why
            self._breaker.record(success=False)

    def _start(self) -> None:
        try:
            with self._process_lock:
                if self._closed or self._connection is not None:
                    return
                self._launch()
            status, value = self._exchange(("build", self.spec.use, self.spec.params), START_TIMEOUT)
        except CheckFailed as error:
            status, value = "error", str(error)
        except OSError as error:
            status, value = "error", f"its process cannot start ({error.strerror})"
        if status == "ok":
            self._version, self._kinds, self._gather, self._streams = value
            return
        self._kill()
        for _ in range(self.spec.failures):  # no use in trying at every call
            self._fail(str(value))

    def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        with theirs:
            self._process = subprocess.Popen(
                # -P: a module in the working directory must not stand in for one of ours
                [sys.executable, "-P", "-m", "guard.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libraries log what they scan; content must not reach a log
                start_new_session=True,  # Ctrl-C is for the parent, which then closes the line
                env=self._environment,
            )

    def _exchange(self, message: object, limit: float) -> tuple[str, Any]:
        connection = self._connection
        if connection is None:
            raise CheckFailed("the checker's process is gone")
        _limit_blocking(connection, limit)
        try:
            connection.send(message)
            if not connection.poll(limit):
                raise CheckFailed(f"no answer within {limit:g} s")
            status, value = connection.recv()
        except (EOFError, OSError, ValueError, TypeError) as error:
            if isinstance(error, BlockingIOError):
                raise CheckFailed(f"no answer within {limit:g} s") from error
            code = self._process.poll() if self._process else None
            raise CheckFailed(f"the checker's process died (exit {code})") from error
        return status, value

    def _kill(self) -> None:
        with self._process_lock:
            connection, process = self._connection, self._process
            self._connection = self._process = None
        if process is not None:
            process.kill()
            process.wait()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def _limit_blocking(connection: Connection, seconds: float) -> None:
    """Let reads and writes on the pipe fail after `seconds`, for a worker that stopped reading or answers half."""
    whole, fraction = divmod(max(seconds, 0.001), 1)
    limit = struct.pack("ll", int(whole), int(fraction * 1e6))
    with socket.socket(fileno=os.dup(connection.fileno())) as view:
        view.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        view.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


class Workers:
    """The checkers of one policy."""

    def __init__(self, specs: Iterable[CheckerSpec], *, home: Path, chain: Path | None = None) -> None:
        environment = {
            **os.environ,
            "GUARD_HOME": str(home),
            # A plug-in that the caller can import, the worker can import as well.
            "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path),
            "HF_HUB_OFFLINE": "1",  # invariant: no hub look-ups in the check path
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        if chain is not None:  # whose images the provenance checker knows as ours
            environment["GUARD_C2PA_CHAIN"] = str(chain.absolute())
        self._workers = [Worker(spec, environment) for spec in specs]
        # Several checkers look at one item at once; each waits in a thread of its own.
        self._threads = ThreadPoolExecutor(max(THREADS, 2 * len(self._workers)), thread_name_prefix="checks")
        self._finalizer = weakref.finalize(self, _close_all, self._workers, self._threads)

    def readers(self, stage: Stage) -> dict[str, Reader]:
        """The checkers that the policy sends to a stage, and what they are to streams."""
        asked = [worker for worker in self._workers if stage in worker.spec.stages]
        for worker in asked:
            worker.wait_until_started()
        return {worker.spec.name: worker.reader for worker in asked}

    def check(self, stage: Stage, items: Sequence[Item], only: frozenset[str] | None = None) -> list[list[CheckResult]]:
        """For each item the results of all checkers that the policy sends to this stage (or `only` some), in its order."""
        if not items:
            return []
        asked = [it for it in self._workers if stage in it.spec.stages and (only is None or it.spec.name in only)]
        for worker in asked:
            worker.wait_until_started()
        try:
            tasks: list[Future[list[CheckResult]]] = [self._threads.submit(worker.check, items) for worker in asked]
        except RuntimeError as error:
            raise CallerError("this Guard is closed: make a new one") from error
        columns = [task.result() for task in tasks]
        return [[column[row] for column in columns] for row in range(len(items))]

    def close(self) -> None:
        """Stop all processes; also happens when the object is collected and when Python exits."""
        self._finalizer()


def _close_all(workers: Sequence[Worker], threads: ThreadPoolExecutor) -> None:
    for worker in workers:
        worker.close()
    threads.shutdown(wait=False, cancel_futures=True)
