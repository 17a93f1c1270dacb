"""`make bench`: what the guard costs, as ratios measured side by side in one run.

Rounds alternate between the two sides, so that a machine that slows down slows both; the table gives medians.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.verify import verify
from guard.isolate import Workers
from guard.keys import KeyRing
from guard.pipeline import Guard
from guard.store.engine import open_engine, upgrade
from guard.types import CheckerSpec, Item, Stage, Text

sys.path.append(str(Path(__file__).resolve().parent.parent / "sample_plugin"))

ROUNDS = 15
KILOBYTE = "The parcel left our warehouse this morning and should be with you within three working days. " * 11


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: seconds of ours and of the yardstick, in pairs."""

    what: str
    yardstick: str
    pairs: list[tuple[float, float]]

    def row(self) -> tuple[str, ...]:
        """Medians in microseconds, and the median ratio with its range."""
        ours, theirs = (statistics.median(pair[side] for pair in self.pairs) * 1e6 for side in (0, 1))
        ratios = sorted(left / right for left, right in self.pairs)
        middle = statistics.median(ratios)
        return (
            self.what,
            f"{ours:,.0f}",
            self.yardstick,
            f"{theirs:,.0f}",
            f"{middle:.2f}",
            f"{ratios[0]:.2f}–{ratios[-1]:.2f}",
        )


def timed(action: Callable[[], object], times: int = 1) -> float:
    """Seconds for one of `times` calls."""
    began = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - began) / times


def paired(what: str, ours: Callable[[], object], yardstick: str, theirs: Callable[[], object], times: int) -> Line:
    """Alternate between the two sides, after one round that does not count."""
    pairs = [(timed(ours, times), timed(theirs, times)) for _ in range(ROUNDS + 1)]
    return Line(what, yardstick, pairs[1:])


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


def lines(folder: Path) -> Iterator[Line]:
    """All comparisons."""
    raw = raw_database(folder)
    engine = open_engine(f"sqlite:///{folder / 'log.db'}")
    upgrade(engine)
    log = Log(engine, KeyRing(folder / "keys"))
    draft = Draft("check", None, {"note": "n" * 500}, {"output": Text(KILOBYTE)})
    yield paired(
        "append one entry, 1 kB sealed",
        lambda: log.append([draft]),
        "bare row, one commit",
        lambda: raw_append(raw, 1),
        10,
    )
    yield paired(
        "append 64 entries at once",
        lambda: log.append([draft] * 64),
        "64 bare rows, one commit",
        lambda: raw_append(raw, 64),
        2,
    )
    scan = "SELECT seq, leaf_hash, leaf FROM log_entry"
    with engine.connect() as connection:
        yield paired(
            "verify the whole record, decrypting",
            lambda: verify(engine, log.vkey, vault=log.vault),
            "scan its rows",
            lambda: connection.exec_driver_sql(scan).fetchall(),
            1,
        )
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


def main() -> None:
    """Measure and print."""
    table = Table("what", "µs", "beside", "µs", "ratio", "range", title="genguard, medians of alternating rounds")
    with tempfile.TemporaryDirectory() as folder:
        for line in lines(Path(folder)):
            table.add_row(*line.row())
    Console(width=140).print(table)


main()
