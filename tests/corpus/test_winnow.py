"""Fingerprints: the least hash of every window and no other, and so one in every run that two texts share."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.corpus import winnow
from guard.corpus.winnow import Winnow


def slowly(data: bytes, it: Winnow) -> set[int]:
    """As the paper says it, window by window."""
    hashes = it.hashes(data)
    found: set[int] = set()
    for start in range(max(1, len(hashes) - it.window + 1)):
        window = hashes[start : start + it.window]
        if len(window):
            found.update((start + np.flatnonzero(window == window.min())).tolist())
    return found


texts = st.one_of(st.binary(max_size=600), st.text("ab", max_size=600).map(str.encode))


@given(texts, st.integers(24, 160))
def test_the_least_hash_of_every_window_is_kept(data: bytes, run: int) -> None:
    it = Winnow(run)
    hashes, places = it.fingerprints(data)
    assert set(places.tolist()) == slowly(data, it)
    assert list(places) == sorted(places)
    assert np.array_equal(hashes, it.hashes(data)[places])


@given(st.binary(min_size=100, max_size=300), st.lists(st.binary(max_size=200), min_size=3, max_size=3))
def test_two_texts_with_a_shared_run_share_a_fingerprint_of_it(run: bytes, others: list[bytes]) -> None:
    it = Winnow(100)
    kept = []
    for before, after in ((others[0], others[1]), (others[2], others[0])):
        hashes, places = it.fingerprints(before + run + after)
        inside = (places >= len(before)) & (places + it.gram <= len(before) + len(run))
        kept.append(set(zip((places[inside] - len(before)).tolist(), hashes[inside].tolist(), strict=True)))
    assert kept[0] & kept[1]


def test_equal_stretches_have_equal_hashes_and_others_do_not() -> None:
    it, chance = Winnow(150), random.Random(5)
    stretch = chance.randbytes(it.gram)
    hashes = it.hashes(stretch + chance.randbytes(5000) + stretch)
    assert hashes[0] == hashes[-1]
    assert len(set(hashes.tolist())) == len(hashes) - 1


@settings(max_examples=25)
@given(st.integers(0, 1 << 32), st.integers(1, 2000))
def test_long_texts_are_cut_into_blocks_without_a_trace(seed: int, size: int) -> None:
    data, it = random.Random(seed).randbytes(size), Winnow(60)
    whole = it.fingerprints(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winnow, "_BLOCK", 128)
        cut = it.fingerprints(data)
    assert np.array_equal(whole[0], cut[0])
    assert np.array_equal(whole[1], cut[1])


def test_about_one_hash_in_half_a_window_is_kept() -> None:
    it, data = Winnow(150), random.Random(1).randbytes(200_000)
    assert 0.9 < len(it.fingerprints(data)[1]) * (it.window + 1) / 2 / len(data) < 1.1
