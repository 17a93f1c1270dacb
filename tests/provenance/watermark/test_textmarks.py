"""A small sample of the bench's part `textmarks`, with limits that chance does not cross."""

from __future__ import annotations

import numpy as np

from guard.provenance.watermark import TextMark
from tests.bench import textmarks


def test_chat_of_200_tokens_is_found_and_half_survives_an_edit() -> None:
    texts, entropy = textmarks.simulated(textmarks.OPEN["chat"], TextMark("gumbel", textmarks.KEY), 12, 200)
    assert 0.9 < entropy < 1.2
    assert textmarks.found(texts, 1e-6) >= 12
    rng = np.random.default_rng(1)
    assert textmarks.found([textmarks.replaced(ids, 0.1, rng) for ids in texts], 1e-2) >= 11
    assert (
        textmarks.found([textmarks.replaced(ids, 0.9, rng) for ids in texts], 1e-2) <= 1
    )  # and this is what defeats it


def test_unmarked_texts_raise_as_many_alarms_as_they_may() -> None:
    rng = np.random.default_rng(1)
    for kind in ("plain", "templated", "repetitive"):
        texts = textmarks.unmarked(kind, 1000, rng)
        hits = textmarks.false_alarms(texts, 0.01, [rng.bytes(32) for _ in range(1000)])
        assert hits <= 10 + 4 * 10**0.5


def test_shares_come_with_their_intervals() -> None:
    assert textmarks.wilson(0, 100) == "0.000 [0.000, 0.037]"
    assert textmarks.wilson(50, 100) == "0.500 [0.404, 0.596]"
