"""The linear model: scores are the same in any company and on any machine, files are checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.checkers import linear, ngrams
from guard.checkers.linear import Head, Model
from guard.checkers.toxicity import MODEL
from guard.errors import ConfigError

WORDS = st.lists(
    st.sampled_from(
        [
            "you",
            "idiot",
            "are",
            "not",
            "a",
            "kettle",
            "kill",
            "he",
            "said",
            "women",
            "stupid",
            "1d10t",
            "the",
            "lamp",
            "so",
        ]
    ),
    max_size=45,
).map(" ".join)
CALM = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(MODEL)


def tiny(word: str, step: int = 127, bias: float = -4.0, heads: int = 1) -> Model:
    """A model that knows one word."""
    bag = ngrams.bag(word)
    assert bag is not None
    steps = np.zeros((1 << 12, heads), np.int8)
    steps[int(bag.phrases[0, 0]) & (len(steps) - 1)] = step
    return Model([Head(f"h{number}", 40.0, bias) for number in range(heads)], steps, "abc")


@CALM
@given(texts=st.lists(WORDS, max_size=6))
def test_company_does_not_matter(model: Model, texts: list[str]) -> None:
    together = model.logits(texts)
    for text, row in zip(texts, together, strict=True):
        assert (model.logits([text])[0] == row).all()


def test_a_known_word_counts() -> None:
    model = tiny("kettle")
    high, low, none = model.scores(["a kettle", "a lamp", "?"])[:, 0]
    assert high > 0.5 > low > none == 0
    assert tiny("kettle", -127).scores(["a kettle"])[0, 0] < low


def test_heads_have_their_own_columns() -> None:
    model = tiny("kettle", heads=3)
    assert model.names == ("h0", "h1", "h2")
    assert model.logits(["kettle", "lamp"]).shape == (2, 3)
    assert model.logits([]).shape == (0, 3)


@pytest.mark.parametrize("words", [1, 8, 9, 29, 30, 31, 50, 51, 200])
@pytest.mark.parametrize("size", [(30, 20), (8, 4)])
def test_windows_cover_every_word(words: int, size: tuple[int, int]) -> None:
    sentence = np.array([0] * 3 + [1] * words)
    starts, ends = linear._windows(np.array([0, 3]), 3 + words, *size, longer=False)
    covered = {place for start, end in zip(starts, ends, strict=True) for place in range(start, end)}
    assert covered == set(range(3 + words))
    assert all(
        sentence[start] == sentence[end - 1] and end - start <= size[0] for start, end in zip(starts, ends, strict=True)
    )
    reference = list(range(0, max(1, words - size[0] + size[1]), size[1]))
    assert [start - 3 for start in starts if start >= 3] == reference


def test_padding_dilutes_little() -> None:
    model = tiny("kettle", bias=-2.0)
    assert model.scores(["lamp " * 300 + "kettle " * 8 + "lamp " * 300])[0, 0] >= linear.SURE


def test_weights_keep_sign_and_order() -> None:
    values = linear.expanded(np.array([[0, 1, 2, 127, -1, -127]], np.int8))[0].tolist()
    assert values[0] == 0 < values[1] < values[2] < values[3] == linear.SCALE
    assert values[5] == -linear.SCALE < values[4] == -values[1] < 0


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"X" + data[1:], lambda data: b""]
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(change(MODEL.read_bytes()))
    with pytest.raises(ConfigError, match="reinstall genguard"):
        Model.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the model"):
        Model.load(tmp_path / "none.bin")


def test_the_file_says_what_it_was_made_of(model: Model) -> None:
    facts = json.loads(MODEL.read_bytes().split(b"\n")[1])
    assert sum(facts["trained_on"].values()) > 50_000
    assert all(set(head["thresholds"]) == {"0.01", "0.05"} for head in facts["heads"])
    for head in model.heads:
        assert head.thresholds is not None
        assert 0 < head.thresholds["0.05"] <= head.thresholds["0.01"] <= 1


def test_adversarial_lengths_cost_in_proportion(model: Model) -> None:
    assert np.isfinite(model.logits(["a" * 100_000, "1a" * 50_000, "* " * 1_000 + "a"])).all()
