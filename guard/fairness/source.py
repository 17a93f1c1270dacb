"""Where rows came from, as a report states it: enough to fetch the same rows again and see that they are the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from guard.digest import JSON, sha256

BLOCK = 1000  # rows whose digests are hashed together
PERIODS = ("day", "week", "month")


@dataclass(slots=True)
class Source:
    """`kind` is traffic, data or probe, `what` names it in words. `facts` go into the report as they are."""

    kind: str
    what: str
    digest: str = ""
    facts: dict[str, JSON] = field(default_factory=dict)
    policies: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # name, version, digest
    models: Counter[tuple[str, str]] = field(default_factory=Counter)  # name, digest of its weights
    limits: list[str] = field(default_factory=list)  # sentences for the part on what the report cannot say


class Chain:
    """A digest of many rows in their order: SHA-256 over the one before and the digests of the next thousand rows."""

    def __init__(self) -> None:
        self._state, self._held = bytes(32), bytearray()

    def add(self, digest: bytes) -> None:
        """The next row's 32 bytes."""
        self._held += digest
        if len(self._held) == 32 * BLOCK:
            self._flush()

    def label(self) -> str:
        """`sha256:<hex>` of everything so far."""
        self._flush()
        return "sha256:" + self._state.hex()

    def _flush(self) -> None:
        if self._held:
            self._state = sha256(self._state + bytes(self._held))
            self._held.clear()


@lru_cache(maxsize=4096)
def period_of(day: str, length: str) -> str:
    """The period that a day (`YYYY-MM-DD`) lies in, sortable: the day, its ISO week or its month. Raises ValueError."""
    if length == "week":
        year, week, _ = date.fromisoformat(day).isocalendar()
        return f"{year}-W{week:02d}"
    return date.fromisoformat(day).isoformat()[: 7 if length == "month" else 10]
