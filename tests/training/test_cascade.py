"""The file of tier 1: what is exported scores as what was trained, and comes back from the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.checkers.cascade import Cascade
from guard.checkers.encoder import Encoder, Head
from guard.checkers.linear import Model
from guard.errors import ConfigError
from guard.training import cascade, encoder, toxicity
from tests.training import tiny

NAMES = ("harassment",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trained(folder: Path) -> Any:
    """Random weights, and a head that tells something."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = encoder.network(folder, NAMES).eval()
        torch.nn.init.normal_(model.head.weight)
        return model


@pytest.fixture(scope="module")
def network(trained: Any) -> bytes:
    return cascade.exported(trained)


@pytest.fixture(scope="module")
def first() -> Model:
    rows = tiny.rows()
    inputs = toxicity.matrix([row.text for row in rows])
    heads, steps = toxicity.quantised([toxicity.fit("harassment", inputs, rows)])
    return Model(heads, steps, "f" * 64)


def test_the_network_that_ships_scores_as_the_one_that_was_trained(trained: Any, network: bytes) -> None:
    import torch

    lines = ["my kettle broke", "the lamp is here", "a printer", "parcel"]
    found = Encoder(network, tiny.WORDS, [Head("harassment")], first="", digest="").logits(lines)
    words = {word: place for place, word in enumerate(tiny.WORDS)}
    with torch.no_grad():
        wanted = [
            trained(ids, torch.ones_like(ids)).numpy()[0]
            for ids in (torch.tensor([[words[word] for word in f"[CLS] {line} [SEP]".split()]]) for line in lines)
        ]
    spread = float(np.std(wanted))
    assert found == pytest.approx(np.array(wanted), abs=0.15 * spread)
    assert trained.bert.embeddings.word_embeddings.weight.dtype == torch.float32  # what was trained is left alone


def test_from_rows_to_a_file_and_back(network: bytes, first: Model, tmp_path: Path) -> None:
    rows = tiny.rows()
    heads = cascade.fitted(first, network, tiny.WORDS, rows)
    path = tmp_path / "tier1.bin"
    path.write_bytes(cascade.packed(network, tiny.WORDS, heads, first.digest, rows))
    model = Cascade.load(first, path)
    assert model.names == NAMES
    assert model.second.heads == tuple(heads)
    assert set(model.thresholds["harassment"]) == {"0.01", "0.05"}
    facts = json.loads(path.read_bytes().split(b"\n")[1])
    assert facts["trained_on"] == {"public": len(rows)}
    report = cascade.tested(model, rows)
    assert report["harassment"]["positive"] == sum(row.labels["harassment"] for row in rows)
    assert report["harassment"]["tier0"]["auroc"] == 1
    assert 0 <= report["asked"] <= 1
    other = Model(first.heads, np.zeros((1 << 10, 1), np.int8), "0" * 64)
    with pytest.raises(ConfigError, match="was fitted with tier 0 ffffffffffff, and this is 000000000000"):
        Cascade.load(other, path)


def test_the_band_lies_where_harmless_and_harmful_meet(network: bytes, first: Model) -> None:
    (head,) = cascade.fitted(first, network, tiny.WORDS, tiny.rows())
    lamps = first.logits([row.text for row in tiny.rows() if row.labels["harassment"] == 0])[:, 0]
    assert np.quantile(lamps, 0.9) < head.low < head.high
