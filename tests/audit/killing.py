"""Processes that work on a log until they are killed, and what must hold afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from guard.audit.erased import Erased
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.audit.receipt import from_json, verify_receipt
from guard.audit.verify import verify
from guard.errors import EvidenceError
from guard.keys import KeyRing
from guard.store.engine import reading
from guard.store.tables import LogBody
from guard.types import Receipt, Text

KILLS = int(os.environ.get("GUARD_TEST_KILLS", "50"))  # for each engine
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Writer:
    """A process that appends, and the file in which it notes what was acknowledged."""

    process: int
    out: Path

    def lines(self) -> list[str]:
        text = self.out.read_text() if self.out.exists() else ""
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]  # a kill may leave half a line

    def wait(self) -> None:
        """Until the process has ended."""
        while self.alive():
            time.sleep(0.005)

    def alive(self) -> bool:
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """At once, and wait until it is gone."""
        if self.alive():
            os.kill(self.process, signal.SIGKILL)
        self.wait()


@dataclass
class Server:
    """Starts processes on one database; see `appender`."""

    process: subprocess.Popen[str]
    url: str
    keys: KeyRing
    folder: Path

    def start(self, name: str, **job: Any) -> Writer:
        """Start a writer called `name`, or another job."""
        out = self.folder / f"{name}.jsonl"
        if job.get("job", "write") == "write":
            job["name"] = name
        job |= {"url": self.url, "keys": str(self.keys.folder), "out": str(out)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return Writer(int(self.process.stdout.readline()), out)


@contextmanager
def forking() -> Iterator[subprocess.Popen[str]]:
    """The process that forks others."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "tests.audit.appender"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        yield process
        process.kill()


def acknowledged(writers: Sequence[Writer]) -> Iterator[tuple[str, str, Receipt]]:
    for writer in writers:
        for line in writer.lines():
            data = json.loads(line)
            yield data["id"], data["request"], from_json(json.dumps(data["receipt"]))[0]


@dataclass
class Findings:
    """How much was acknowledged and stored, and what does not hold."""

    acknowledged: int = 0
    stored: int = 0
    violations: list[str] = field(default_factory=list)


def examine(engine: Engine, keys: KeyRing, writers: Sequence[Writer]) -> Findings:
    """Whether every acknowledged entry is stored where its receipt says, with its content or with an entry that says it was
    erased, and whether the record holds against the newest receipt."""
    log = Log(engine, keys)
    reader, found = Reader(engine, log.vault), Findings()
    with reading(engine) as connection:
        erased = Erased.read(connection)
    newest: Receipt | None = None
    for entry_id, request, receipt in acknowledged(writers):
        found.acknowledged += 1
        entry = reader.entry(receipt.entry)
        if entry is None or (entry.id, entry.request_id, entry.intact) != (entry_id, request, True):
            found.violations.append(f"entry {receipt.entry} is not what was acknowledged")
            continue
        try:
            verify_receipt(receipt, log.vkeys, leaf=entry.leaf)
            content = reader.body(entry.seq, "output")
        except EvidenceError as error:
            found.violations.append(f"entry {entry.seq}: {error}")
            continue
        if content != Text(request) and not (content is None and _erased(reader, erased, entry.seq)):
            found.violations.append(f"the content of entry {entry.seq} is lost")
        newest = receipt if newest is None or receipt.size > newest.size else newest
    report = verify(engine, log.vkey, against=newest.checkpoint if newest else None, vault=log.vault)
    found.violations += map(str, report.problems)
    found.stored = report.size
    if newest is not None and report.size < newest.size:
        found.violations.append("the record is shorter than a receipt")
    return found


def _erased(reader: Reader, erased: Erased, seq: int) -> bool:
    with reading(reader.engine) as connection:
        rows = connection.execute(select(LogBody.role, LogBody.erased_at).where(LogBody.seq == seq)).all()
    return bool(rows) and all(erased.allows(seq, role, at) for role, at in rows)


def check_all_present(engine: Engine, keys: KeyRing, writers: Sequence[Writer]) -> int:
    """Nothing is wrong; how many entries were acknowledged."""
    found = examine(engine, keys, writers)
    assert found.violations == []
    return found.acknowledged
