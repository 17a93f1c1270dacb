"""Rows of several tables, read side by side in their common order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = Any


class Ahead:
    """Rows in order, with a look at the next one."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def peek(self) -> Row | None:
        return self._next

    def take(self) -> None:
        self._next = next(self._rows, None)

    def rest(self) -> Iterator[Row]:
        while self._next is not None:
            row = self._next
            self.take()
            yield row


def at_most(value: object, limit: object) -> bool:
    """Whether a row sorts no later; a value of a wrong type, which only tampering leaves, is dealt with at once."""
    return not isinstance(value, int) or not isinstance(limit, int) or value <= limit
