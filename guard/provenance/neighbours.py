"""Indexes in memory: hashes within a few bits of one another, and items that share keys.

For pictures faiss compares with all of them (extra `registry`; about a millisecond for a million); without it numpy does, in
some ten milliseconds. Rows are numbered from 0 in the order in which they were added; they only ever grow.
"""

from __future__ import annotations

import importlib.util
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
_TAIL = 1 << 14  # keys that wait before they are sorted into a run


class Near(NamedTuple):
    """Which of the given hashes is near which row, and in how many bits they differ."""

    which: int
    row: int
    apart: int


class Rows:
    """An array that grows at its end, in amortised constant time."""

    def __init__(self, width: int, kind: type[np.generic]) -> None:
        self._held: NDArray[Any] = np.empty((1024, width), kind)
        self.count = 0

    def add(self, values: NDArray[Any]) -> None:
        """Append rows (n, width)."""
        needed = self.count + len(values)
        if needed > len(self._held):
            grown = np.empty((max(needed, len(self._held) * 3 // 2), self._held.shape[1]), self._held.dtype)
            grown[: self.count] = self._held[: self.count]
            self._held = grown
        self._held[self.count : needed] = values
        self.count = needed

    @property
    def values(self) -> NDArray[Any]:
        """All of them (count, width), without a copy."""
        return self._held[: self.count]


class Hamming(Protocol):
    """Finds binary hashes that differ in few bits."""

    def add(self, hashes: Bytes) -> None:
        """Append hashes (n, size)."""

    def within(self, hashes: Bytes, most: int) -> list[Near]:
        """Those that differ in `most` bits or fewer from one of the given ones (n, size); nearest first."""


def hamming(size: int) -> Hamming:
    """For hashes of `size` bytes, a multiple of 8."""
    return FaissScan(size) if importlib.util.find_spec("faiss") is not None else Scan(size)


class FaissScan:
    """Compares with all of them, in faiss."""

    def __init__(self, size: int) -> None:
        import faiss

        faiss.omp_set_num_threads(1)  # waking others takes longer than a look-up
        self._index: Any = faiss.IndexBinaryFlat(size * 8)

    def add(self, hashes: Bytes) -> None:
        """See `Hamming`."""
        self._index.add(np.ascontiguousarray(hashes))

    def within(self, hashes: Bytes, most: int) -> list[Near]:
        """See `Hamming`."""
        limits, apart, rows = self._index.range_search(np.ascontiguousarray(hashes), most + 1)
        which = np.repeat(np.arange(len(hashes)), np.diff(limits.astype(np.int64)))
        return _nearest(which.tolist(), rows.tolist(), apart.tolist())


class Scan:
    """Compares with all of them, in numpy.

    Hashes that differ in few bits differ in few of those in one of their words: only such are compared in full.
    """

    def __init__(self, size: int) -> None:
        self._rows = Rows(size // 8, np.uint64)

    def add(self, hashes: Bytes) -> None:
        """See `Hamming`."""
        self._rows.add(np.ascontiguousarray(hashes).view(np.uint64))

    def within(self, hashes: Bytes, most: int) -> list[Near]:
        """See `Hamming`."""
        rows, found = self._rows.values, list[Near]()
        few = most // rows.shape[1]
        for which, one in enumerate(np.ascontiguousarray(hashes).view(np.uint64)):
            close = np.zeros(len(rows), bool)
            for word in range(rows.shape[1]):
                close |= np.bitwise_count(rows[:, word] ^ one[word]) <= few
            some = np.flatnonzero(close)
            apart = np.bitwise_count(rows[some] ^ one).sum(axis=1, dtype=np.int64)
            near = apart <= most
            found += _nearest([which] * int(near.sum()), some[near].tolist(), apart[near].tolist())
        return sorted(found, key=_by_distance)


def _nearest(which: list[int], rows: list[int], apart: list[int]) -> list[Near]:
    return sorted((Near(*hit) for hit in zip(which, rows, (int(it) for it in apart), strict=True)), key=_by_distance)


def _by_distance(hit: Near) -> tuple[int, int, int]:
    return hit.apart, hit.row, hit.which


Run = tuple[NDArray[np.uint64], NDArray[np.int64]]  # keys and their items


class Postings:
    """Which items have a key. A key that very many have finds the newest of them only.

    Keys lie in sorted runs, each at least twice as long as the next: a look-up searches a handful of them, and adding sorts
    each key some log₂ n times.
    """

    MOST = 256  # items that one key finds in a run

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._tail: list[Run] = []
        self._waiting = 0

    def add(self, item: int, keys: NDArray[np.uint64]) -> None:
        """Add an item, numbered higher than those before it, with its keys, each once."""
        self._tail.append((keys, np.full(len(keys), item, np.int64)))
        self._waiting += len(keys)
        if self._waiting > _TAIL:
            self._sort()

    def _sort(self) -> None:
        self._runs.append(_joined(self._tail))
        self._tail, self._waiting = [], 0
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            self._runs[-2:] = [_joined(self._runs[-2:])]

    def sharing(self, keys: NDArray[np.uint64]) -> list[tuple[int, int]]:
        """Items that have some of the keys, with how many of them; those with most first, then the newest."""
        if self._tail:
            self._tail = [_joined(self._tail)]
        found = [items for run in (*self._runs, *self._tail) for items in self._within(run, keys)]
        if not found:
            return []
        items, counts = np.unique(np.concatenate(found), return_counts=True)
        order = np.lexsort((-items, -counts))
        return list(zip(items[order].tolist(), counts[order].tolist(), strict=True))

    def _within(self, run: Run, keys: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
        held, items = run
        starts, ends = np.searchsorted(held, keys, side="left"), np.searchsorted(held, keys, side="right")
        starts = np.maximum(starts, ends - self.MOST)
        some = starts < ends
        return [items[start:end] for start, end in zip(starts[some], ends[some], strict=True)]


def _joined(runs: list[Run]) -> Run:
    keys, items = (np.concatenate(side) for side in zip(*runs, strict=True))
    order = np.argsort(keys, kind="stable")  # items of one key stay in their order
    return keys[order], items[order]
