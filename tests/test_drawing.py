"""Drawing tokens: the model's own odds, with and without a key, and what a text remembers."""

from __future__ import annotations

from collections import Counter
from math import log, sqrt
from typing import Any

import numpy as np
import pytest

from guard import drawing
from guard.provenance.watermark.text import CONTEXT, detect, scheme_key

KEY = b"k" * 32
NEVER = -float("inf")


def draw(scores: list[float], rows: int, seed: int = 1) -> list[int]:
    import torch

    processor = drawing.hook(seed).construct_processor(len(scores), "cpu")
    chosen = processor(torch.zeros(rows, 1, dtype=torch.long), torch.tensor([scores]).repeat(rows, 1))
    assert (chosen == 0).sum().item() == rows
    return [int(token) for token in chosen.argmax(dim=-1)]


def raced(scores: list[float], rows: int) -> list[int]:
    """Each row after a context of its own."""
    import torch

    torch.manual_seed(0)
    hashes = np.random.default_rng(0).integers(0, 2**64, rows, np.uint64)
    points = torch.rand(rows, 1, dtype=torch.float64)
    return [int(token) for token in drawing.race(torch.tensor([scores]).repeat(rows, 1), hashes, points)]


@pytest.mark.parametrize("way", [draw, raced])
def test_tokens_are_drawn_as_likely_as_the_model_says(way: Any) -> None:
    shares, rows = [0.05, 0.25, 0.7], 20_000
    drawn = way([log(share) for share in shares], rows)
    for token, share in enumerate(shares):
        assert abs(drawn.count(token) - share * rows) < 5 * sqrt(share * (1 - share) * rows)


def test_tokens_beyond_the_likeliest_blocks_are_drawn_as_likely_too() -> None:
    # 200 blocks; more tokens are outside the race than in it
    rows, size = 800, 32 * 200 - 7
    drawn = Counter(token < 64 for token in raced([2.0] * 64 + [0.0] * (size - 64), rows))
    share = 64 * 2.718281828**2 / (64 * 2.718281828**2 + size - 64)
    assert abs(drawn[True] - share * rows) < 5 * sqrt(share * (1 - share) * rows)
    far = [token for token in raced([0.0] * size, rows) if token >= 32 * 64]
    assert len(far) > rows / 2
    assert max(far) < size
    assert len(set(far)) > len(far) / 2


@pytest.mark.parametrize("way", [draw, raced])
def test_a_token_that_is_ruled_out_is_never_drawn(way: Any) -> None:
    assert set(way([NEVER, 0.0, NEVER, 0.0, NEVER], 2000)) == {1, 3}
    assert set(way([NEVER] * 9000 + [0.0, NEVER, 1.0] + [NEVER] * 997, 200)) == {9000, 9002}


@pytest.mark.parametrize("scores", [[float("nan"), 1.0], [NEVER] * 2, [float("inf"), 1.0]])
@pytest.mark.parametrize("way", [draw, raced])
def test_scores_that_are_no_numbers_are_not_drawn_from(way: Any, scores: list[float]) -> None:
    with pytest.raises(RuntimeError, match="not numbers"):
        way(scores, 1)


def test_seeds() -> None:
    assert draw([0.0] * 9, 50, seed=2) == draw([0.0] * 9, 50, seed=2) != draw([0.0] * 9, 50, seed=3)


def texts(rows: int, length: int, vocabulary: int, seed: int = 1) -> list[list[int]]:
    """Marked texts of a model to which all tokens are alike."""
    import torch

    processor = drawing.hook(seed, gumbel=scheme_key(KEY, "gumbel")).construct_processor(vocabulary, "cpu")
    ids = torch.zeros(rows, 3, dtype=torch.long)  # a prompt
    for _ in range(length):
        chosen = processor(ids, torch.zeros(rows, vocabulary)).argmax(-1, keepdim=True)
        ids = torch.cat([ids, chosen], 1)
    made: list[list[int]] = ids[:, 3:].tolist()
    return made


def test_each_row_carries_its_own_mark() -> None:
    made = texts(5, 60, 500)
    for ids in made:
        assert detect(ids, 500, {"k": KEY}).p_value < 1e-9
        assert detect(ids, 500, {"k": b"o" * 32}).p_value > 1e-5
    assert len({tuple(ids) for ids in made}) == 5  # a prompt has more than one answer
    assert made == texts(5, 60, 500) != texts(5, 60, 500, seed=2)


def test_a_text_marks_a_context_once_and_only_its_own_tokens() -> None:
    stream = drawing.Stream()
    seen = []
    for number in range(3 * CONTEXT):
        seen.append(stream.context())
        stream.append(number % CONTEXT)
    assert seen[:CONTEXT] == [None] * CONTEXT
    assert [context is not None for context in seen[CONTEXT:]] == [True] * CONTEXT + [False] * CONTEXT


def test_repeated_contexts_are_drawn_from_the_seed() -> None:
    # Two tokens have 16 contexts: a mark without a memory would go round in a circle for ever.
    [ids] = texts(1, 400, 2)
    tail = Counter(tuple(ids[start : start + 6]) for start in range(100, 394))
    assert len(tail) > 40  # of 64
