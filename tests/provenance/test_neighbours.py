"""The indexes find exactly what a look at everything finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance import neighbours
from guard.provenance.neighbours import FaissScan, Hamming, Postings, Scan


@pytest.mark.parametrize("make", [FaissScan, Scan])
@pytest.mark.parametrize("size", [8, 32])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), most=st.integers(0, 40))
def test_near_hashes_are_found_and_no_others(make: type[Hamming], size: int, seed: int, most: int) -> None:
    chance = np.random.default_rng(seed)
    rows = chance.integers(0, 256, (60, size), dtype=np.uint8)
    asked = rows[:3].copy()
    asked[:, : size // 8] ^= chance.integers(0, 256, (3, size // 8), dtype=np.uint8)
    index = make(size)  # type: ignore[call-arg]
    for part in np.array_split(rows, 4):
        index.add(part)
    apart = np.bitwise_count(asked[:, None] ^ rows[None]).sum(axis=2)
    wanted = sorted((int(apart[at, row]), row, at) for at in range(3) for row in range(60) if apart[at, row] <= most)
    assert [(hit.apart, hit.row, hit.which) for hit in index.within(asked, most)] == wanted


def test_without_faiss_numpy_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(neighbours.hamming(8), FaissScan)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert isinstance(neighbours.hamming(8), Scan)


@given(
    st.lists(st.lists(st.integers(0, 30), max_size=6, unique=True), max_size=40),
    st.sets(st.integers(0, 30), max_size=6),
)
def test_items_that_share_keys_are_counted(items: list[list[int]], asked: set[int]) -> None:
    postings = Postings()
    for number, keys in enumerate(items):
        postings.add(number, np.array(keys, np.uint64))
        if number % 7 == 3:
            postings._sort()
    shared = [(number, len(asked & set(keys))) for number, keys in enumerate(items) if asked & set(keys)]
    assert postings.sharing(np.array(sorted(asked), np.uint64)) == sorted(shared, key=lambda it: (-it[1], -it[0]))


def test_of_very_many_items_with_one_key_the_newest_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_TAIL", 100)
    postings = Postings()
    for number in range(1000):
        postings.add(number, np.array([7], np.uint64))
    found = [item for item, _ in postings.sharing(np.array([7], np.uint64))]
    assert len(found) < 1000 / 2
    assert found[:100] == list(range(999, 899, -1))
