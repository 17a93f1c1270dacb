"""A server that forks processes which append to a log; tests may kill them at any moment.

Reads one job a line from stdin and answers with the process id. A writer appends a line to its `out` file for each
acknowledged entry. Forking from a process that has everything imported already keeps the tests quick.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.keys import KeyRing
from guard.store.engine import open_engine
from guard.types import Text


def write(
    *, url: str, keys: str, out: str, name: str, threads: int, entries: int, batch: int, alone: bool = False
) -> None:
    """Append from several threads, and note each acknowledged entry at once; `alone`: a transaction for each."""
    log = Log(open_engine(url), KeyRing(Path(keys)))
    within = (lambda *_: None) if alone else None
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def work(thread: int) -> None:
        for start in range(0, entries, batch):
            requests = [f"{name}-{thread}-{start + offset}" for offset in range(batch)]
            drafts = [
                Draft("generation", request, {"state": "released"}, {"output": Text(request)}) for request in requests
            ]
            for appended, request in zip(log.append(drafts, within=within), requests, strict=True):
                line = {"id": appended.id, "request": request, "receipt": asdict(appended.receipt)}
                os.write(file, json.dumps(line).encode() + b"\n")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def serve() -> None:
    """Fork a writer for each job."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            write(**json.loads(line))
            os._exit(0)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
