"""Tier 1: the file that ships is loaded and run; a score does not depend on company, and damage is named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from guard.checkers import encoder
from guard.checkers.encoder import Encoder
from guard.checkers.toxicity import MODEL, TIER1
from guard.errors import ConfigError, MissingExtra

LINES = [
    "you are a complete idiot", "thank you for the parcel", "kill the process", "nobody should call them vermin", "ok",
    "they are vermin and should be gassed",
]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Encoder:
    return Encoder.load(TIER1)


def test_it_tells_harm_from_look_alikes(model: Encoder) -> None:
    found = model.logits(LINES)
    harassment, hate = model.names.index("harassment"), model.names.index("hate")
    assert found[0, harassment] > 0 > found[1, harassment]
    assert found[2].max() < 0
    assert found[5, hate] > found[3, hate] + 1


def test_company_and_order_do_not_matter(model: Encoder) -> None:
    together = model.logits(LINES)
    assert (together == np.concatenate([model.logits([line]) for line in LINES])).all()
    assert (model.logits(LINES[::-1])[::-1] == together).all()
    assert model.logits([]).shape == (0, len(model.names))


def test_it_comes_to_the_same_in_another_session(model: Encoder) -> None:
    assert (Encoder.load(TIER1).logits(LINES[:3]) == model.logits(LINES[:3])).all()


@pytest.mark.parametrize("words", [0, 1, 37, 38, 39, 64, 65, 300])
def test_windows_cover_every_token(model: Encoder, words: int) -> None:
    line = " ".join(["one", "two", "three"][place % 3] for place in range(words))
    windows = list(model.windows(line))
    first, last = model._ends
    inner = [window[1:-1] for window in windows]
    assert all((window[0], window[-1]) == (first, last) and len(window) <= encoder.WINDOW for window in windows)
    joined = [*inner[0], *(token for window in inner[1:] for token in window[encoder.WINDOW - 2 - encoder.STRIDE :])]
    assert joined == model._words.encode(line, add_special_tokens=False).ids


def test_length_does_not_dilute(model: Encoder) -> None:
    filler = "and the parcel with the kettle was sent to the address on the invoice " * 8
    column = model.names.index("harassment")
    calm, rude = model.logits([filler, f"{filler} you are a stupid worthless idiot, shut up {filler}"])[:, column]
    assert calm < 0 < rude


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"X" + data[1:],
        lambda data: b"",
        lambda data: data[:30] + b"}" + data[31:],
        lambda data: data[:-5000] + bytes(5000),
        lambda data: data[:-22_000_000] + bytes(1000) + data[-21_999_000:],
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "tier1.bin"
    path.write_bytes(change(TIER1.read_bytes()))
    with pytest.raises(ConfigError, match="reinstall genguard"):
        Encoder.load(path)


@pytest.mark.parametrize("library", ["onnxruntime", "tokenizers"])
def test_a_missing_library_names_the_command(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=r"pip install 'genguard\[toxicity\]'"):
        Encoder.load(TIER1)


def test_small_enough_to_ship() -> None:
    assert MODEL.stat().st_size + TIER1.stat().st_size < 30_000_000
