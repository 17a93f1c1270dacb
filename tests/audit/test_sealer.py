"""Times: whoever is stopped between sealing and committing, or has a slow clock, does not make the record look backdated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, event, text

from guard.audit import inbox
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.audit.sealer import STALE
from guard.audit.sweep import SKEW
from guard.audit.verify import verify
from guard.errors import RecordError
from guard.keys import KeyRing
from guard.store.engine import open_engine
from guard.types import Ack, Text
from tests.clock import Clock

Maker = Callable[..., Draft]
PAUSE = timedelta(seconds=100)
WAYS = ("alone", "within", "large", "durable")


def append(log: Log, way: str, request_id: str) -> None:
    body = {"output": Text("x" * (100_000 if way == "large" else 10))}
    within = (lambda *_: None) if way == "within" else None
    ack = Ack.DURABLE if way == "durable" else Ack.SEQUENCED
    [made] = log.append([Draft("generation", request_id, {"state": "released"}, body)], within=within, ack=ack)
    assert made.receipt.entry == made.seq
    assert Reader(log.engine, log.vault).body(made.seq, "output") == body["output"]


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 23, 12, tzinfo=UTC))


@pytest.fixture
def timed(engine: Engine, keys: KeyRing, clock: Clock) -> Log:
    log = Log(engine, keys, clock=clock)
    log.append([Draft("check", None, {})])
    return log


@pytest.fixture
def other(timed: Log, keys: KeyRing) -> Iterator[Callable[[Callable[[], datetime]], Log]]:
    """Another process on the same log, with a clock of its own."""
    engine = open_engine(timed.engine.url.render_as_string(hide_password=False))
    yield lambda clock: Log(engine, keys, clock=clock)
    engine.dispose()


@pytest.mark.parametrize("way", WAYS)
def test_a_process_stopped_between_sealing_and_committing_seals_anew(
    timed: Log, clock: Clock, other: Callable[..., Log], way: str
) -> None:
    beside = other(clock)

    def stop(*_: object) -> None:
        clock.now += PAUSE
        beside.append([Draft("check", None, {})])

    event.listen(timed.engine, "checkout", stop, once=True)  # sealed, and about to begin its transaction
    append(timed, way, "r")
    entries = Reader(timed.engine).latest()
    assert [entry.kind for entry in entries] == ["generation", "check", "check"]
    assert entries[0].at == entries[1].at == "2026-11-23T12:01:40.000000Z"
    assert verify(timed.engine, timed.vkey, vault=timed.vault).ok


@pytest.mark.parametrize("way", WAYS)
def test_a_slow_clock_takes_the_time_of_the_log(timed: Log, clock: Clock, other: Callable[..., Log], way: str) -> None:
    slow = other(lambda: clock.now - PAUSE)
    append(slow, way, "a")
    clock.now += PAUSE
    timed.append([Draft("check", None, {})])
    append(slow, way, "b")
    entries = {entry.request_id: entry for entry in Reader(timed.engine).latest(3)}
    assert entries["b"].at == "2026-11-23T12:01:40.000000Z"
    assert json.loads(entries["b"].leaf)["clock"] == "2026-11-23T12:00:00.000000Z"
    assert verify(timed.engine, timed.vkey).ok


def test_all_that_an_entry_may_wait_is_less_than_what_the_verifier_allows() -> None:
    assert STALE.total_seconds() + inbox.PATIENCE < SKEW


def test_a_deposit_that_is_stopped_in_the_middle_is_rolled_back(
    postgresql_url: str, keys: KeyRing, draft: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(postgresql_url)
    log = Log(engine, keys)
    log.append([draft()])
    monkeypatch.setattr(inbox, "PATIENCE", 1)
    limits: list[object] = []

    def stop(connection: Connection) -> None:
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        limits.extend(connection.execute(text(f"SHOW {name}")).scalar_one() for name in names)
        time.sleep(1.5)

    event.listen(engine, "commit", stop)
    with pytest.raises(RecordError, match="whether it was recorded is not known"):
        log.append([draft("r")], ack=Ack.DURABLE)
    event.remove(engine, "commit", stop)
    assert limits == ["1s", "1s"]
    log.append([draft("r")], ack=Ack.DURABLE)
    log.settle()
    assert Reader(engine).size() == 2
    engine.dispose()
