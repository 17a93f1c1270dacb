"""A server that forks processes which work on a log; tests may kill them at any moment.

Reads one job a line from stdin and answers with the process id. A process appends a line to its `out` file for each thing
that is done. Forking from a process that has everything imported already keeps the tests quick.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from guard.audit import erase as erasing
from guard.audit.draft import Draft
from guard.audit.erase import Why, erase_subject, retain
from guard.audit.log import Log
from guard.cli.evidence import rotate_key
from guard.keys import KeyRing
from guard.store.engine import open_engine
from guard.types import Text

WHY = Why("kim", "asked by letter")


def write(
    *,
    url: str,
    keys: str,
    out: str,
    name: str,
    threads: int,
    entries: int,
    batch: int,
    alone: bool = False,
    people: int = 0,
) -> None:
    """Append from several threads, and note each acknowledged entry at once; `alone`: a transaction for each.

    With `people`, the entries are about `person-0` to `person-<people - 1>` in turn.
    """
    log = Log(open_engine(url), KeyRing(Path(keys)))
    within = (lambda *_: None) if alone else None
    note = _notes(out)

    def work(thread: int) -> None:
        for start in range(0, entries, batch):
            requests = [f"{name}-{thread}-{start + offset}" for offset in range(batch)]
            who = log.vault.pseudonym(f"person-{start // batch % people}") if people else None
            drafts = [
                Draft("generation", request, {"state": "released"}, {"output": Text(request)}, who)
                for request in requests
            ]
            for appended, request in zip(log.append(drafts, within=within), requests, strict=True):
                note({"id": appended.id, "request": request, "receipt": asdict(appended.receipt)})

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def erase(*, url: str, keys: str, out: str, people: list[str], turns: int = 1, late: bool = False) -> None:
    """Erase people, one after the other. `late`: as if all of their content had come while the erasure ran."""
    if late:
        erasing._spans = lambda *_: iter(())
    log, note = Log(open_engine(url), KeyRing(Path(keys))), _notes(out)
    for turn in range(turns):
        who = people[turn % len(people)]
        note({"erased": who, "bodies": erase_subject(log, log.vault.pseudonym(who), WHY).bodies})


def keep_nothing(*, url: str, keys: str, out: str, turns: int = 1) -> None:
    """Erase everything by age."""
    log, note = Log(open_engine(url), KeyRing(Path(keys))), _notes(out)
    for _ in range(turns):
        note({"bodies": retain(log, timedelta(0), by="kim", reason="a test").bodies})


def rotate(*, url: str, keys: str, out: str, turns: int = 1, finish: bool = False) -> None:
    """Change the log's signing key at the command line, again and again; or destroy the old one."""
    note = _notes(out)
    for turn in range(turns):
        rotate_key(store=url, home=Path(keys).parent, finish=finish)
        note({"turn": turn})


JOBS: dict[str, Callable[..., None]] = {
    "write": write,
    "erase": erase,
    "keep_nothing": keep_nothing,
    "rotate": rotate,
}


def _notes(out: str) -> Callable[[dict[str, Any]], None]:
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(data: dict[str, Any]) -> None:
        os.write(file, json.dumps(data).encode() + b"\n")

    return note


def doomed(at: int) -> None:
    """Die at the step of this number: before or after a file or a row is written, a transaction or a file is finished."""
    count = 0

    def step(*_: object) -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(owner: Any, names: Iterable[str]) -> None:
        for name in names:
            original = getattr(owner, name)

            def stepped(*args: Any, original: Callable[..., Any] = original, **more: Any) -> Any:
                step()
                done = original(*args, **more)
                step()
                return done

            setattr(owner, name, stepped)

    around(os, ("fsync", "link", "pwrite"))
    around(Path, ("replace", "unlink"))
    event.listen(Engine, "commit", step)
    event.listen(Pool, "checkin", step)

    @event.listens_for(Engine, "before_cursor_execute")
    def _statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("SELECT", "PRAGMA", "BEGIN")):
            step()


def serve() -> None:
    """Fork a process for each job."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            job = json.loads(line)
            if at := job.pop("die_at", 0):
                doomed(at)
            sys.stdout = sys.stderr  # the answers are the server's
            JOBS[job.pop("job", "write")](**job)
            os._exit(0)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
