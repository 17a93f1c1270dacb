"""Which contents the record says were erased: written into erasure entries, and read back from them. Pure but for the reading.

An entry of kind `erasure` holds runs of entry numbers by the roles of their bodies: `{"output prompt": [[3, 5], [9, 9]]}`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from guard.audit.leaf import parse_leaf
from guard.digest import JSON
from guard.store.tables import LogEntry

ERASURE = "erasure"
MOST_RUNS = 2_000  # in one entry, which holds at most 65,535 bytes


def pieces(bodies: Iterable[tuple[int, str]]) -> Iterator[tuple[dict[str, JSON], list[int]]]:
    """Bodies, sorted by entry, as what erasure entries hold: the runs by roles, and the numbers that they name."""
    runs: dict[str, list[list[int]]] = {}
    numbers: list[int] = []
    count = 0
    for seq, roles in _by_entry(bodies):
        listed = runs.setdefault(roles, [])
        if listed and listed[-1][1] == seq - 1:
            listed[-1][1] = seq
        elif count < MOST_RUNS:
            listed.append([seq, seq])
            count += 1
        else:
            yield {name: found for name, found in runs.items() if found}, numbers
            runs, numbers, count = {roles: [[seq, seq]]}, [], 1
        numbers.append(seq)
    if numbers:
        yield dict(runs), numbers


def _by_entry(bodies: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    roles: list[str] = []
    current = -1
    for seq, role in bodies:
        if seq != current and roles:
            yield current, " ".join(sorted(roles))
            roles = []
        current = seq
        roles.append(role)
    if roles:
        yield current, " ".join(sorted(roles))


class Erased:
    """What the erasure entries name. Changing those entries is found like any other change, so this need not check them."""

    def __init__(self, entries: Iterable[Mapping[str, Any]] = ()) -> None:
        self._runs: dict[str, list[tuple[int, int, str]]] = {}
        for fields in entries:
            for role, first, last in _named(fields.get("erased")):
                self._runs.setdefault(role, []).append((first, last, str(fields.get("at"))))
        for listed in self._runs.values():
            listed.sort()

    @classmethod
    def read(cls, connection: Connection, *, before: int | None = None) -> Erased:
        """From all erasure entries of a record, or those `before` an entry."""
        query = select(LogEntry.leaf).where(LogEntry.kind == ERASURE).order_by(LogEntry.seq)
        query = query.where(LogEntry.seq < before) if before is not None else query
        parsed = (parse_leaf(leaf) or {} for leaf in connection.execute(query).scalars())
        return cls(fields for fields in parsed if fields.get("kind") == ERASURE)

    def at(self, seq: object, role: object) -> str | None:
        """When an entry says that a body was erased; None when none does."""
        runs = self._runs.get(role) if isinstance(role, str) else None
        if not runs or not isinstance(seq, int):
            return None
        index = bisect_right(runs, seq, key=lambda run: run[0]) - 1
        return runs[index][2] if index >= 0 and runs[index][1] >= seq else None

    def allows(self, seq: object, role: object, marked: object) -> bool:
        """Whether a body may be missing: an entry names it, and the row is marked with the time of that entry."""
        at = self.at(seq, role)
        return at is not None and marked == at


def _named(erased: object) -> Iterator[tuple[str, int, int]]:
    for roles, runs in erased.items() if isinstance(erased, dict) else ():
        for run in runs if isinstance(runs, list) else ():
            if isinstance(run, list) and len(run) == 2 and all(isinstance(number, int) for number in run):
                for role in roles.split():
                    yield role, run[0], run[1]
