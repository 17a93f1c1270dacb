"""From which entry on the record is whole: written into entries of kind `prune`, and read back from them.

Such an entry says that entries below its `minimum` (C2SP tlog-tiles, "minimum index") may be missing, but for those in the
runs of `kept`, and names the root of the tree over all below it. The tiles keep the hashes of those that are gone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select

from guard.audit.leaf import parse_leaf
from guard.audit.merkle import TILE_WIDTH
from guard.store.tables import LogEntry

PRUNE = "prune"
KEPT = ("key", "policy")  # kinds whose entries stay: verifiers follow keys, and decisions are replayed with policies
MARK = "minimum:"  # before the index in the column `request_id`, by which the database itself allows the deletion


@dataclass(frozen=True, slots=True)
class Pruned:
    """What the newest such entry says; `by` is its number. Nothing is pruned where `minimum` is 0."""

    minimum: int = 0
    root: str = ""
    by: int | None = None
    kept: tuple[tuple[int, int], ...] = ()

    @classmethod
    def read(cls, connection: Connection, *, before: int | None = None) -> Pruned:
        """From a record, or its entries `before` one. Changing those entries is found like any other change."""
        query = select(LogEntry.seq, LogEntry.leaf).where(LogEntry.kind == PRUNE).order_by(LogEntry.seq.desc())
        query = query.where(LogEntry.seq < before) if before is not None else query
        newest = cls()
        for seq, leaf in connection.execute(query):
            said = _said(seq, parse_leaf(leaf) or {})
            if said.minimum > newest.minimum:
                newest = said
            elif said.minimum == newest.minimum:  # one that named more runs than fit into one entry
                newest = replace(newest, kept=tuple(sorted({*newest.kept, *said.kept})))
        return newest

    def allows(self, seq: int) -> bool:
        """Whether an entry may be missing."""
        return seq < self.minimum and not self.keeps(seq)

    def keeps(self, seq: int) -> bool:
        """Whether an entry lies below the minimum and must be there all the same."""
        return self.keeps_any(seq, seq + 1)

    def keeps_any(self, first: int, beyond: int) -> bool:
        """Whether one of the entries from `first` to before `beyond` is such a one."""
        index = bisect_right(self.kept, beyond - 1, key=lambda run: run[0]) - 1
        return index >= 0 and self.kept[index][1] >= first


def unpruned(minimum: int) -> ColumnElement[bool]:
    """Entries that pruning below `minimum` leaves."""
    return or_(LogEntry.seq >= minimum, LogEntry.kind.in_(KEPT))


def _said(seq: object, fields: Mapping[str, Any]) -> Pruned:
    minimum, root = fields.get("minimum"), fields.get("root")
    sound = type(seq) is int and type(minimum) is int and type(root) is str and fields.get("kind") == PRUNE
    if not sound or not 0 < minimum <= seq or minimum % TILE_WIDTH:  # type: ignore[operator]
        return Pruned()
    runs = fields.get("kept")
    listed = [run for run in runs if _is_run(run)] if isinstance(runs, list) else []
    return Pruned(minimum, root, seq, tuple(sorted((run[0], run[1]) for run in listed)))  # type: ignore[arg-type]


def _is_run(run: object) -> bool:
    return isinstance(run, list) and len(run) == 2 and all(type(number) is int for number in run)
