"""Training: what is learned is what is scored, a file comes back as it was, and the same rows give the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guard.checkers.linear import Model
from guard.training import toxicity
from guard.training.corpus import Row

NOUNS = ("kettle", "lamp", "router", "parcel", "printer", "tent", "mixer", "drill", "watch", "fridge")


def rows(count: int) -> list[Row]:
    """Kettles are harassment here, nothing else is; threats are unlabelled."""
    made = []
    for number in range(count):
        noun = NOUNS[number % len(NOUNS)]
        made.append(Row(f"the {noun} number {number} is here", {"harassment": float(noun == "kettle")}, 1.0, "own"))
    return made


@pytest.fixture(scope="module")
def trained() -> bytes:
    return train()


def train() -> bytes:
    learn, tune = (
        rows(200),
        [Row(f"a {noun} again", {"harassment": float(noun == "kettle")}, 1.0, "own") for noun in NOUNS],
    )
    inputs = toxicity.matrix([row.text for row in learn])
    heads, steps = toxicity.quantised([toxicity.fit("harassment", inputs, learn)])
    return toxicity.packed(toxicity.calibrated(Model(heads, steps, ""), tune), steps, learn)


def test_it_learns_and_comes_back_from_its_file(trained: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(trained)
    model = Model.load(path)
    high, low = model.scores(["my kettle broke", "my lamp broke"])[:, 0]
    assert high > 0.5 > low
    assert model.heads[0].thresholds is not None
    assert set(model.heads[0].thresholds) == {"0.01", "0.05"}


def test_the_same_rows_give_the_same_bytes(trained: bytes) -> None:
    assert train() == trained


def test_the_matrix_has_what_scoring_sums() -> None:
    """A model with made-up weights scores a text as the training matrix times those weights does."""
    draw = np.random.default_rng(4)
    texts = ["You are not an idiot, he said.", 'The word "moron" is rude', "h3llo", "one two three four five six seven"]
    weights = draw.normal(size=toxicity.BUCKETS) * 0.3
    heads, steps = toxicity.quantised([("harassment", weights, -0.25)])
    inputs = toxicity.matrix(texts)
    rounded = np.sign(steps[:, 0]) * (steps[:, 0] / 127.0) ** 2 * heads[0].largest
    assert Model(heads, steps, "").logits(texts)[:, 0] == pytest.approx(inputs @ rounded - 0.25, abs=1e-3)


def test_twins_stay_together() -> None:
    twins = [Row(text, {}, 1.0, "own") for text in ("You 1D10T!", "you idiot!", "YOU IDIOT!") for _ in range(2)]
    assert sorted(map(len, toxicity.split([*twins, Row("?!", {}, 1.0, "own")]))) == [0, 0, 6]


def test_calibration_meets_the_prior() -> None:
    labels = np.array([1.0] * 50 + [0.0] * 50)
    weights = toxicity.balanced(labels, np.ones(100))
    assert (labels * weights).sum() / weights.sum() == pytest.approx(toxicity.PRIOR[1])
    rare = np.array([1.0] + [0.0] * 999)
    weights = toxicity.balanced(rare, np.ones(1000))
    assert (rare * weights).sum() / weights.sum() == pytest.approx(toxicity.PRIOR[0])
