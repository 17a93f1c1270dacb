"""Erasing, retention and the change of a key, killed at every step: a second run finishes, and the record holds throughout."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count, islice
from pathlib import Path

import pytest
from sqlalchemy import Engine

from guard.audit.draft import Draft
from guard.audit.erase import erase_subject, retain
from guard.audit.log import Log
from guard.audit.problems import Problem
from guard.audit.read import Reader
from guard.audit.rotation import log_vkeys
from guard.audit.verify import verify
from guard.keys import KeyRing
from guard.types import Text
from tests.audit.appender import WHY
from tests.audit.killing import KILLS, Server, Writer, check_all_present, forking

Start = Callable[..., Writer]


@pytest.fixture(scope="module")
def forks() -> Iterator[subprocess.Popen[str]]:
    with forking() as process:
        yield process


@pytest.fixture
def start(forks: subprocess.Popen[str], url: str, keys: KeyRing, tmp_path: Path) -> Start:
    return Server(forks, url, keys, tmp_path).start


def say(log: Log, who: str | None, *, kind: str = "generation") -> int:
    subject = log.vault.pseudonym(who) if who else None
    bodies = {"prompt": Text(f"of {who}"), "output": Text("words")}
    return log.append([Draft(kind, None, {"state": "released"}, bodies, subject)])[0].seq


def problems(log: Log, *, content: bool = True) -> tuple[Problem, ...]:
    return verify(log.engine, log.vkey, vault=log.vault if content else None).problems


def dying(start: Start, url: str, job: str, **more: object) -> Iterator[int]:
    """Run a job again and again, killed at its first step, at its second, and so on, until it gets through.

    On PostgreSQL, where a step takes longer, at every third.
    """
    for at in count(1, 1 if url.startswith("sqlite") else 3):
        one = start(f"{job}-{at}", job=job, die_at=at, **more)
        one.wait()
        if one.lines():
            return
        yield at


def test_an_erasure_killed_at_any_step_is_finished_by_a_second(
    start: Start, log: Log, reader: Reader, url: str
) -> None:
    ann, killed = log.vault.pseudonym("ann"), 0
    bob = say(log, "bob")
    say(log, "ann")
    for killed in dying(start, url, "erase", people=["ann"]):  # noqa: B007
        assert problems(log) == ()  # what was not erased still opens
        erase_subject(log, ann, WHY)
        assert log.vault.keys.existing([ann]) == []
        assert {reader.body(it.seq, "prompt") for it in reader.latest(5, subject=ann)} == {None}
        assert problems(log) == ()
        say(log, "ann")
        say(log, "ann", kind="ruling")
    assert killed > 10
    assert log.vault.keys.existing([ann]) == []
    assert reader.body(bob, "prompt") == Text("of bob")


def test_what_comes_while_the_key_goes_is_finished_by_a_second_run(
    start: Start, log: Log, reader: Reader, url: str
) -> None:
    """Here the key goes before the entry is durable that says so. The tree holds at any step; the content does in the end."""
    ann, gone = log.vault.pseudonym("ann"), 0
    say(log, "ann")
    for _ in dying(start, url, "erase", people=["ann"], late=True):
        assert problems(log, content=False) == ()
        gone += problems(log) != ()
        erase_subject(log, ann, WHY)
        assert log.vault.keys.existing([ann]) == []
        assert problems(log) == ()
        say(log, "ann")
    assert gone
    assert log.vault.keys.existing([ann]) == []
    assert problems(log) == ()


def test_a_retention_killed_at_any_step_is_finished_by_the_next(
    start: Start, log: Log, reader: Reader, url: str
) -> None:
    people = ("ann", "bob", None)
    names = [log.vault.pseudonym(who) for who in people if who]
    for who in people:
        say(log, who)
    killed = 0
    for killed in dying(start, url, "keep_nothing"):  # noqa: B007
        assert problems(log) == ()
        # Even where it was killed between the entry and the keys, of which nothing is left to be erased.
        retain(log, timedelta(0), by="kim", reason="a test")
        day = log.now()[:10]
        assert log.vault.keys.existing([*names, f"d:{day}"]) == []
        assert log.vault.keys.existing([f"r:{day}"])  # of the newest reason
        assert problems(log) == ()
        for who in people:
            say(log, who)
    assert killed > 15
    assert log.vault.keys.existing(names) == []


def test_writers_and_erasers_that_are_killed_lose_nothing(
    start: Start, log: Log, reader: Reader, engine: Engine, keys: KeyRing
) -> None:
    """What was acknowledged opens, or an entry says that it was erased, also where people came back while their keys went."""
    people, killed = [f"person-{number}" for number in range(3)], list[Writer]()
    names = [log.vault.pseudonym(who) for who in people]
    for number in range(KILLS // 10):
        pair = [start(f"w{number}-{side}", threads=2, entries=10_000, batch=1, people=4) for side in (0, 1)]
        eraser = start(f"e{number}", job="erase", people=people, turns=10_000)
        while not (len(eraser.lines()) > number % 4 and sum(len(it.lines()) for it in pair) > number % 7):
            assert eraser.alive()
            time.sleep(0.002)
        for worker in (eraser, *pair):
            worker.kill()
        killed += pair
        for name in names:
            erase_subject(log, name, WHY)
        assert log.vault.keys.existing(names) == []
        if number % 4 == 0:
            assert check_all_present(engine, keys, killed) > number
    assert check_all_present(engine, keys, killed) > KILLS // 10
    assert log.vault.keys.existing([log.vault.pseudonym("person-3")])
    assert len(reader.latest(1000, kind="erasure")) > KILLS // 10


def test_a_change_of_the_key_killed_at_any_step_is_finished_by_a_second(
    start: Start, log: Log, reader: Reader, keys: KeyRing, url: str
) -> None:
    first = log.vkey
    say(log, "ann")
    for finish in (False, True):
        for at in islice(dying(start, url, "rotate", finish=finish), 8):  # each key makes every later step longer
            log = Log(log.engine, keys)
            say(log, "ann")
            assert verify(log.engine, first, vault=log.vault).problems == ()
            start(f"again-{finish}-{at}", job="rotate", finish=finish).wait()
            log = Log(log.engine, keys)
            say(log, "ann")
            assert verify(log.engine, first, vault=log.vault).problems == ()
            if finish:
                start(f"next-{at}", job="rotate").wait()
    assert log_vkeys(keys, log.origin)[0] == first
    assert len(reader.latest(500, kind="key")) > 8
