"""Entries get their time and are sealed before anything is locked; those that then wait for too long are sealed anew.

An erasure may destroy the key of an entry that is on its way: where the person comes back, it gets a new one.

Nobody may be able to slip an old date into the record, so the verifier wants entries in the order of their times, but for
what slow clocks and waiting explain. A process that was stopped between sealing and committing must not look like that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from guard.audit import rows
from guard.audit.draft import Draft, Ready, prepare, timestamp
from guard.audit.vault import Vault
from guard.store.engine import reading

STALE = timedelta(seconds=20)  # between sealing and committing: well below what the verifier takes for waiting


class Sealer:
    """Knows the newest time of the log, as far as this process has seen it. Safe to share between threads."""

    def __init__(self, engine: Engine, vault: Vault, clock: Callable[[], datetime]) -> None:
        self._engine, self._vault, self._clock = engine, vault, clock
        self._lock = threading.Lock()
        self._newest: str | None = None

    def now(self) -> str:
        """The time by the clock, in the record's form."""
        return timestamp(self._clock())

    def seal(self, drafts: Sequence[Draft]) -> list[Ready]:
        """Seal drafts. Their time is the clock's, or the newest time known where the clock went back."""
        now = self._clock()
        clock = timestamp(now)
        at = self._time(clock)
        return [prepare(draft, self._vault, now, clock, at) for draft in drafts]

    def fresh(self, ready: Sequence[Ready]) -> Sequence[Ready]:
        """The entries, those sealed anew that are too old to be committed now, or whose key was destroyed since.

        Call it where no key can be destroyed before the transaction ends: with the log's head locked, or the inbox open.
        """
        limit = self.limit()
        stale = [item.row[2] < limit or not self._opens(item) for item in ready]
        if not any(stale):
            return ready
        return [
            self.seal([item.draft])[0] if old and item.draft else item for item, old in zip(ready, stale, strict=True)
        ]

    def _opens(self, item: Ready) -> bool:
        return all(self._vault.holds(sealed) for _, sealed in item.bodies[:1])  # they share a key

    def limit(self) -> str:
        """The oldest time that an entry may have that is committed now."""
        return timestamp(datetime.fromisoformat(self._time(self.now())) - STALE)

    def learn(self, at: str) -> None:
        """An entry of this time is in the log."""
        with self._lock:
            self._newest = max(self._newest or "", at)

    def _time(self, clock: str) -> str:
        with self._lock:
            if self._newest is None:
                with reading(self._engine) as connection:
                    self._newest = rows.last(connection)[1]
            self._newest = max(self._newest, clock)
            return self._newest
