"""`make bench`: what the guard costs, as ratios measured side by side in one run.

Rounds alternate between the two sides, so that a machine that slows down slows both; the table gives medians. The part
`faults` is no measurement: it repeats what kills writers in the ordinary tests some thousand times. The part `peers` installs
other libraries, in environments of their own under `.bench/`, and needs a package index the first time.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from guard.isolate import Workers
from guard.pipeline import Guard
from guard.types import CheckerSpec, Item, Stage, Text
from tests.bench import checks, copies, peers, provenance, record, textmarks
from tests.bench.measure import Line, paired

sys.path.append(str(Path(__file__).resolve().parent.parent / "sample_plugin"))

KILOBYTE = "The parcel left our warehouse this morning and should be with you within three working days. " * 11


def raw_database(folder: Path) -> sqlite3.Connection:
    """The physical limit of a durable record on this disk: bare SQLite, synchronous FULL."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, hash BLOB, leaf BLOB)")
    return connection


def raw_append(connection: sqlite3.Connection, count: int) -> None:
    """One transaction of `count` rows of 2 kB."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO entry (hash, leaf) VALUES (?, ?)", [(b"h" * 32, b"l" * 2048)] * count)
    connection.execute("COMMIT")


def flow(folder: Path) -> Iterator[Line]:
    """The guarded call and its parts."""
    raw = raw_database(folder)
    spec = CheckerSpec("words", "sample-words", {"words": ["idiot"]})
    workers, item = Workers([spec], home=folder), Item(Text(KILOBYTE), Stage.OUTPUT)
    workers.check(Stage.OUTPUT, [item])
    yield paired(
        "a check of 1 kB in its own process",
        lambda: workers.check(Stage.OUTPUT, [item]),
        "the same in this process",
        lambda: [match for word in ["idiot"] for match in [KILOBYTE.find(word)]],
        100,
    )
    workers.close()
    with Guard("default", store=f"sqlite:///{folder / 'guard.db'}", home=folder / "home") as guard:
        answer = guard.wrap(lambda _: KILOBYTE)
        answer("warm")
        yield paired(
            "a guarded call, default policy, 1 kB",
            lambda: answer("hi"),
            "bare row, one commit",
            lambda: raw_append(raw, 1),
            5,
        )


KILLED = (
    "test_faults.py::test_killed_writers_lose_nothing_that_they_acknowledged",
    "test_kills.py::test_writers_and_erasers_that_are_killed_lose_nothing",
)


def faults() -> None:
    """Kill writers and erasers, GUARD_TEST_KILLS times for each database (default 2000)."""
    tests = [f"tests/audit/{test}" for test in KILLED]
    env = {"GUARD_TEST_KILLS": "2000", **os.environ}
    subprocess.run([sys.executable, "-m", "pytest", "-v", "--durations=0", *tests], env=env, check=True)


def main(*parts: str) -> None:
    """Measure and print `parts` (flow, record, checks, copies, provenance, peers, faults, textmarks), or all."""
    with tempfile.TemporaryDirectory() as folder:
        made = {
            "flow": lambda: flow(Path(folder)),
            "record": record.lines,
            "checks": checks.lines,
            "copies": copies.lines,
            "provenance": provenance.lines,
        }
        whole = {"peers": peers.main, "faults": faults, "textmarks": textmarks.main}
        for name in parts or [*made, *whole]:
            if name in whole:
                whole[name]()
                continue
            table = Table(
                "what", "µs", "beside", "µs", "ratio", "range", "target", title=f"{name}: medians of alternating rounds"
            )
            for line in made[name]():
                table.add_row(*line.row())
            Console(width=170).print(table)


main(*sys.argv[1:])
