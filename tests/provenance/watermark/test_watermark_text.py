"""Reading the marks of texts: exact tails, each context once, and the same numbers as the libraries that made them."""

from __future__ import annotations

from math import comb, exp, factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.keys import KeyRing
from guard.provenance.watermark import TEXT_KEY, Scheme, TextMark, key_id, key_ring, text_mark
from guard.provenance.watermark.text import (
    ALGORITHMS,
    CONTEXT,
    Found,
    _is_green,
    binomial_tail,
    context_hashes,
    detect,
    erlang_tail,
    greenlist_key,
    scheme_key,
    strongest,
    synthid_bits,
    synthid_keys,
    synthid_table,
    uniform,
)

KEY = b"k" * 32


# --- keys ----------------------------------------------------------------------------------------------------------


def test_the_newest_key_marks_and_all_of_them_read(tmp_path: Path) -> None:
    keys = KeyRing(tmp_path)
    assert text_mark(keys, None) is None
    first = text_mark(keys, "gumbel")
    assert first == TextMark("gumbel", keys.secret(TEXT_KEY))
    assert "key" not in repr(first)
    second = keys.secret(f"{TEXT_KEY}-2")
    keys.secret(f"{TEXT_KEY}-4")  # one is missing before it: it is none of the ring
    assert text_mark(keys, "gumbel") == TextMark("gumbel", second)
    assert list(key_ring(keys, TEXT_KEY)) == [key_id(keys.secret(TEXT_KEY)), key_id(second)]


# --- the keyed numbers -----------------------------------------------------------------------------------------------


@given(
    st.integers(0, 2**64 - 1),
    st.lists(st.integers(0, 2**31), min_size=CONTEXT, max_size=CONTEXT),
    st.integers(-1, 2**31),
)
def test_the_numbers_are_those_of_whole_arithmetic(key: int, context: list[int], token: int) -> None:
    """Python's own numbers have no width, so that nothing wraps by accident."""
    mask = 2**64 - 1

    def mix(x: int) -> int:
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
        return x ^ x >> 31

    wanted = key
    for each in context:
        wanted = mix(wanted + each + 0x9E3779B97F4A7C15 & mask)
    hashes = context_hashes(key, np.array([context]))
    assert hashes.tolist() == [wanted]
    stream = mix(wanted + (token + 1) * 0x9E3779B97F4A7C15 & mask) >> 12
    [u] = uniform(hashes, np.array([token]))
    assert u == (stream + 0.5) / 2**52
    assert 0 < u < 1


def test_the_numbers_stay_what_they_were() -> None:
    """Texts out there are marked with these."""
    contexts, tokens = np.array([[1, 2, 3, 4], [50_000, 0, 7, 151_935]]), np.array([5, 151_000])
    key = scheme_key(KEY, "gumbel")
    drawn = uniform(context_hashes(key, contexts), tokens) * 2**52 - 0.5
    assert drawn.tolist() == [132883569336206, 2989214411360410]
    assert greenlist_key(KEY) == 6025390450548705841
    assert synthid_keys(KEY)[:2] == [16750023, 198583]


def test_the_numbers_are_even() -> None:
    rng = np.random.default_rng(1)
    contexts = rng.integers(0, 50, (20_000, CONTEXT))  # small numbers, as likely to betray a poor hash as any
    u = uniform(context_hashes(scheme_key(KEY, "gumbel"), contexts), rng.integers(0, 50, 20_000))
    shares = np.histogram(u, 20, (0, 1))[0] / len(u)
    assert abs(shares - 0.05).max() < 5 * (0.05 * 0.95 / len(u)) ** 0.5
    pairs = np.corrcoef(u[:-1], u[1:])[0, 1]
    assert abs(pairs) < 5 / len(u) ** 0.5


# --- the same as the libraries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", [3, 57, 257, 5000])
def test_green_lists_are_those_of_transformers(vocabulary: int) -> None:
    import torch
    from transformers.generation.logits_process import WatermarkLogitsProcessor

    secret = greenlist_key(KEY)
    library = WatermarkLogitsProcessor(vocabulary, "cpu", 0.25, 2.0, secret, "lefthash", 1)
    for last in (0, 1, vocabulary - 1):
        last_token: Any = torch.tensor([last])
        green = set(library._get_greenlist_ids(last_token).tolist())
        seed = secret * last % (2**64 - 1)
        assert {token for token in range(vocabulary) if _is_green(seed, token, vocabulary)} == green


def test_the_bits_of_synthid_are_those_of_transformers() -> None:
    import torch
    from transformers.generation.logits_process import SynthIDTextWatermarkLogitsProcessor

    keys = synthid_keys(KEY)
    library = SynthIDTextWatermarkLogitsProcessor(CONTEXT + 1, keys, 1 << 16, 0, 1024, torch.device("cpu"))
    assert library.sampling_table.tolist() == synthid_table().tolist()
    ids: Any = torch.randint(0, 150_000, (1, 60), generator=torch.Generator().manual_seed(1))
    ngrams = np.lib.stride_tricks.sliding_window_view(ids[0].numpy(), CONTEXT + 1)
    assert synthid_bits(ngrams, keys).tolist() == library.compute_g_values(ids)[0].tolist()


# --- tails -----------------------------------------------------------------------------------------------------------


def test_the_likelihood_of_chance_is_exact() -> None:
    share = 0.25
    for hits, trials in ((0, 10), (1, 1), (3, 10), (10, 10), (40, 100)):
        wanted = sum(comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(hits, trials + 1))
        assert binomial_tail(hits, trials, share) == pytest.approx(wanted, rel=1e-9)
    for score, count in ((0.0, 3), (1.0, 1), (9.0, 4), (30.0, 12)):
        wanted = sum(score**k / factorial(k) for k in range(count)) * exp(-score)
        assert erlang_tail(score, count) == pytest.approx(wanted, rel=1e-9)
    assert erlang_tail(1e5, 200) == 0.0  # beyond what a number can hold


def test_every_look_is_paid_for() -> None:
    looks = [Found("a", 0.5, 9, "x"), Found("b", 0.01, 8, "y"), Found("c", 0.9, 7, "z")]
    assert strongest(looks) == Found("b", 0.03, 8, "y")
    assert strongest([Found("a", 0.5, 9, "x")] * 3).p_value == 1.0


# --- reading ---------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=40))
def test_any_tokens_give_a_verdict(ids: list[int]) -> None:
    found = detect(ids, 500, {"k": KEY})
    assert 0 <= found.p_value <= 1
    assert 0 <= found.tokens <= len(ids)
    assert found.key_id == "k"


@pytest.mark.parametrize("scheme", list(ALGORITHMS))
def test_chance_is_as_rare_as_it_says(scheme: Scheme) -> None:
    """Plain and templated text, each text under a key of its own; two in a hundred would be far outside of chance."""
    from guard.provenance.watermark.text import _READERS

    rng = np.random.default_rng(3)
    line = rng.integers(0, 300, 12)
    hits, runs = 0, 1500 if scheme != "greenlist" else 300
    for number in range(runs):
        ids = rng.integers(0, 300, 60)
        if number % 2:
            ids = np.tile(line, 6)
            ids[rng.integers(0, len(ids), 12)] = rng.integers(0, 300, 12)
        hits += _READERS[scheme](ids, 300, rng.bytes(32))[0] < 0.01
    assert hits < 0.01 * runs + 4 * (0.01 * runs) ** 0.5
