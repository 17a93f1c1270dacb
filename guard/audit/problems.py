"""What a verification finds wrong."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not hold; `seq` is the entry that it concerns, where one can be named."""

    seq: int | None
    what: str

    def __str__(self) -> str:
        return self.what if self.seq is None else f"entry {self.seq}: {self.what}"


class Problems:
    """Problems in the order in which they were found, cut off after some; the broken entries are all counted."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.broken: set[int] = set()

    def report(self, seq: int | None, what: str) -> None:
        """Note one."""
        if seq is not None:
            self.broken.add(seq)
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(Problem(seq, what))

    def any_in(self, numbers: range) -> bool:
        """Whether one of these entries is broken already."""
        return any(seq in numbers for seq in self.broken)
