"""Event loops: a thousand callers at once, time-outs, cancellation, and whose threads they use."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from guard import Guard, Outcome, State, Text
from guard.audit.receipt import verify_receipt
from guard.audit.verify import verify
from guard.errors import CallerError

POLICY: dict[str, Any] = {"name": "open", "version": "1", "checkers": {}, "rules": []}
CALLERS = 1000


@pytest.fixture
def g(url: str, tmp_path: Path) -> Iterator[Guard]:
    with Guard({**POLICY, "stamp": {"text": []}}, home=tmp_path / "home", store=url) as one:
        yield one


@pytest.fixture
def file_guard(tmp_path: Path) -> Iterator[Guard]:
    with Guard(POLICY, home=tmp_path / "home", store=f"sqlite:///{tmp_path / 'g.db'}") as one:
        yield one


async def echo(prompt: str) -> str:
    return f"on {prompt}"


def sound(g: Guard) -> bool:
    return verify(g.ledger.engine, g.ledger.log.vkey, vault=g.ledger.log.vault).ok


async def test_a_thousand_callers_at_once(g: Guard) -> None:
    """Each gets its own outcome, the record has all of them, and they shared its commits."""
    answer = g.wrap(echo)
    outcomes: list[Outcome] = await asyncio.gather(
        *(answer(f"n{number}", id=f"r{number}") for number in range(CALLERS))
    )
    assert [outcome.content for outcome in outcomes] == [Text(f"on n{number}") for number in range(CALLERS)]
    receipts = [outcome.receipt for outcome in outcomes]
    assert sorted(receipt.entry for receipt in receipts) == list(range(1, CALLERS + 1))
    assert len({receipt.size for receipt in receipts}) < CALLERS / 4  # a checkpoint for each commit
    for receipt in receipts[::50]:
        verify_receipt(receipt, g.ledger.log.vkey)
    assert sound(g)


async def test_the_application_s_own_threads_are_left_alone(file_guard: Guard) -> None:
    """Its executor may be full for minutes, with models or with work of its own."""
    free = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, free.wait, 60)
    try:
        outcome = await asyncio.wait_for(file_guard.wrap(echo)("x"), 30)
        assert outcome.content == Text("on x")
        assert not busy.done()
    finally:
        free.set()
        await busy


async def test_context_variables_reach_what_runs_in_threads(file_guard: Guard) -> None:
    who, seen = contextvars.ContextVar("who", default="nobody"), []
    file_guard.earlier = lambda request: seen.append(who.get())  # type: ignore[method-assign]
    who.set("ann")
    await file_guard.wrap(echo)("x")
    assert seen == ["ann"]


async def test_who_stops_waiting_is_free_at_once_and_finds_the_outcome_later(file_guard: Guard) -> None:
    answer, made = file_guard.wrap(echo), []
    holder = sqlite3.connect(str(file_guard.ledger.engine.url.database), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")  # nothing can be recorded now
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            made.append(await answer("x", id="late"))
    tasks = [asyncio.create_task(answer(f"n{number}", id=f"n{number}")) for number in range(200)]
    await asyncio.sleep(0.3)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(each) for each in ended} == {asyncio.CancelledError}
    assert time.monotonic() - began < 15  # and not the 30 seconds that a writer waits for its turn
    holder.execute("ROLLBACK")
    holder.close()
    assert made == []
    outcome = await answer("x", id="late")
    assert (outcome.content, outcome.state) == (Text("on x"), State.RELEASED)
    again = await asyncio.gather(*(answer(f"n{number}", id=f"n{number}") for number in range(200)))
    assert [each.content for each in again] == [Text(f"on n{number}") for number in range(200)]
    requests = [entry.request_id for entry in file_guard.ledger.reader.latest(1000, kind="generation")]
    assert len(requests) == len(set(requests)) == 201
    assert sound(file_guard)


async def test_what_has_begun_is_recorded_before_a_guard_closes(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'g.db'}"
    entered, free = threading.Event(), threading.Event()
    with Guard(POLICY, home=tmp_path / "home", store=store) as g:
        record: Callable[..., Outcome] = g.record

        def slow(*arguments: Any) -> Outcome:
            entered.set()
            free.wait(30)
            return record(*arguments)

        g.record = slow  # type: ignore[method-assign, assignment]
        answer = g.wrap(echo)
        task = asyncio.create_task(answer("x", id="r"))
        while not entered.is_set():
            await asyncio.sleep(0.005)
        threading.Timer(0.2, free.set).start()
    assert (await task).content == Text("on x")
    with pytest.raises(CallerError, match="this Guard is closed"):
        await answer("y")
    with Guard(POLICY, home=tmp_path / "home", store=store) as g:
        assert g.collect("r").content == Text("on x")
