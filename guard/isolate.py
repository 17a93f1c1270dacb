"""Checks in processes of their own, so that a deadline is a deadline.

A check may loop for ever, hold the interpreter lock inside a regular expression, or crash the interpreter; in the caller's
process nothing could stop it. So each checker of a policy gets one worker process, started once, with its model loaded once.
The caller waits for a future, never for a checker. A worker that passes its deadline is killed and started anew, and after
some failures in a row its circuit opens, so that a broken checker costs nothing until it is tried again.

The other end of the line is `guard.worker`.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from guard.errors import CallerError
from guard.types import CheckerSpec, CheckResult, Finding, Item, Region, Span, Stage, Status, Text

START_TIMEOUT = 120.0
GRACE = 1.0  # how much later than its parent a worker kills itself, in case the parent died

Clock = Callable[[], float]


class CheckFailed(Exception):  # noqa: N818
    """Why a check gave no answer; never leaves this module, and never quotes content."""


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


class Worker:
    """One checker in one process. `check` may be called from any thread; calls are served one at a time, in order."""

    def __init__(self, spec: CheckerSpec, environment: Mapping[str, str]) -> None:
        self.spec = spec
        self._environment = dict(environment)
        self._breaker = Breaker(spec.failures, spec.cooldown)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._version = "unknown"
        self._kinds: frozenset[str] | None = None
        self._trouble = ""
        self._closed = False
        self._process_lock = threading.Lock()  # closing may meet a restart
        self._line = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"check-{spec.name}")
        self._started = self._line.submit(self._start)

    def wait_until_started(self) -> None:
        """Wait for the first start; how it went shows in the results."""
        self._started.result()

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

    # --- the caller's side -----------------------------------------------------------------------------------------

    def _answers(self, items: Sequence[Item]) -> list[CheckResult]:
        if not items:
            return []
        began = time.perf_counter()
        budget = self.spec.timeout * len(items)
        if self._breaker.open:
            return self._failed(items, self._trouble_text("the circuit is open after repeated failures"), began)
        try:
            task = self._line.submit(self._serve, tuple(items), began + budget)
        except RuntimeError:  # the executor is shut down
            return self._failed(items, "the guard is closed", began)
        try:
            found, version = task.result(timeout=budget)
        except FutureTimeout:
            # Either still in line behind other calls, or running: then the serving thread kills the worker itself.
            waiting = task.cancel()
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
        try:
            findings = validated(item, answer)
        except CheckFailed as error:
            self._breaker.record(success=False)
            return self._result(item, Status.ERROR, elapsed=elapsed, error=str(error))
        return CheckResult(self.spec.name, version, item.stage, Status.OK, findings, elapsed)

    def _failed(self, items: Iterable[Item], why: str, began: float) -> list[CheckResult]:
        elapsed = time.perf_counter() - began
        return [self._result(item, Status.ERROR, elapsed=elapsed, error=why) for item in items]

    def _result(self, item: Item, status: Status, *, elapsed: float = 0.0, error: str | None = None) -> CheckResult:
        return CheckResult(self.spec.name, self._version, item.stage, status, elapsed=elapsed, error=error)

    def _trouble_text(self, text: str) -> str:
        return f"{text}: {self._trouble}" if self._trouble else text

    # --- the serving thread's side ---------------------------------------------------------------------------------

    def _serve(self, items: tuple[Item, ...], deadline: float) -> tuple[Sequence[object], str]:
        if self._connection is None:
            self._start()  # the one trial after a failed start; callers do not wait longer than their deadline
        if self._connection is None:
            raise CheckFailed(self._trouble_text("the checker cannot start"))
        limit = self.spec.timeout * len(items)
        if time.perf_counter() >= deadline:
            raise CheckFailed("no turn before the deadline")
        try:
            answer = self._exchange(("check", items, limit), limit)
        except CheckFailed as error:
            self._fail(str(error))
            self._kill()
            with contextlib.suppress(RuntimeError):
                self._line.submit(self._start)  # unless a waiting call starts it first
            raise
        status, value = answer
        if status != "ok":
            self._fail(value)
            raise CheckFailed(value)
        if not isinstance(value, list) or len(value) != len(items):
            why = f"answered nonsense: not one list of findings for each of {len(items)} items"
            self._fail(why)
            raise CheckFailed(why)
        self._breaker.record(success=True)
        self._trouble = ""
        return value, self._version

    def _fail(self, why: str) -> None:
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
            self._version, self._kinds = value
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


def validated(item: Item, answer: object) -> tuple[Finding, ...]:
    """The findings for one item, or CheckFailed where they make no sense (NaN, a span outside the text, another type)."""
    if not isinstance(answer, list | tuple):
        raise CheckFailed("answered nonsense: findings are not a list")
    for finding in answer:
        if not isinstance(finding, Finding):
            raise CheckFailed("answered nonsense: something that is not a Finding")
        problem = _nonsense(item, finding)
        if problem:
            raise CheckFailed(f"answered nonsense: {problem}")
    return tuple(answer)


def _nonsense(item: Item, finding: Any) -> str | None:
    if not isinstance(finding.category, str) or not finding.category or not isinstance(finding.message, str):
        return "a finding without a category, or with a message that is not text"
    score = finding.score
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return "a score outside 0 to 1"
    if finding.span is not None and not _span_fits(item, finding.span):
        return "a span outside the text"
    region = finding.region
    if region is not None and not (isinstance(region, Region) and all(isinstance(edge, int) for edge in region)):
        return "a region that is not four whole numbers"
    return None


def _span_fits(item: Item, span: object) -> bool:
    if not (isinstance(span, Span) and isinstance(item.content, Text)):
        return False
    start, end = span
    return type(start) is int and type(end) is int and 0 <= start < end <= len(item.content.text)


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
        self._threads = ThreadPoolExecutor(max_workers=max(8, 2 * len(self._workers)), thread_name_prefix="checks")
        self._finalizer = weakref.finalize(self, _close_all, self._workers, self._threads)

    def check(self, stage: Stage, items: Sequence[Item]) -> list[list[CheckResult]]:
        """For each item the results of all checkers that the policy sends to this stage, in the policy's order."""
        if not items:
            return []
        asked = [worker for worker in self._workers if stage in worker.spec.stages]
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
