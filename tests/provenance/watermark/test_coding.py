"""The code of the marks: what it corrects, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.watermark import coding

KEY, OTHER = b"k" * 32, b"o" * 32


def soft(mark_id: bytes, deviation: float, seed: int) -> coding.Reals:
    noise = np.random.default_rng(seed).normal(0, deviation, coding.CODED)
    return np.asarray(coding.encode(mark_id, KEY) + noise, np.float32)


@settings(max_examples=25, deadline=None)
@given(mark_id=st.binary(min_size=6, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_an_identity_comes_back_through_noise_that_turns_one_sign_in_ten(mark_id: bytes, seed: int) -> None:
    assert coding.decode(soft(mark_id, 0.78, seed), KEY) == mark_id


@settings(max_examples=10, deadline=None)
@given(mark_id=st.binary(min_size=6, max_size=6))
def test_another_key_reads_nothing(mark_id: bytes) -> None:
    assert coding.decode(soft(mark_id, 0, 0), OTHER) is None


def test_any_two_words_differ_in_so_many_signs_that_rotation_confuses_none() -> None:
    """Tail-biting: the code is cyclic, so the weights of a few inputs show that no short cycle of it is light."""
    word = coding.encode(bytes(6), KEY)
    for byte in range(6):
        other = coding.encode(bytes(byte) + b"\x80" + bytes(5 - byte), KEY)
        assert (word != other).sum() >= 22  # the free distance


def test_what_carries_nothing_is_refused() -> None:
    for value in (0.0, 1.0, -1.0):
        assert coding.decode(np.full(coding.CODED, value, np.float32), KEY) is None
    chance = np.random.default_rng(1)
    for _ in range(30):
        assert coding.decode(chance.normal(size=coding.CODED).astype(np.float32), KEY) is None


def test_an_identity_has_six_bytes() -> None:
    with pytest.raises(ValueError, match="6 bytes"):
        coding.encode(b"short", KEY)
