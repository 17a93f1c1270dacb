"""Fine-tuning: it learns what shows in a sentence, goes on from a checkpoint, and draws rows as they weigh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from guard.checkers.hazards import SCORED
from guard.training import encoder, evaluate, templates, toxicity
from guard.training.corpus import Row
from tests.training import tiny


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As training has it; several get in each other's way where a batch is small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(encoder.THREADS)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_it_learns_and_goes_on_from_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    base = tiny.base(tmp_path / "base")
    monkeypatch.setattr(encoder, "EVERY", 10)
    monkeypatch.setattr(encoder, "BATCH", 16)
    monkeypatch.setattr(encoder, "RATE", 3e-3)
    monkeypatch.setattr(encoder, "HEAD_RATE", 3e-3)
    encoder.train(tiny.rows(), base, tmp_path / "work", 10)
    first = (tmp_path / "work" / encoder.WEIGHTS).read_bytes()
    encoder.train(tiny.rows(), base, tmp_path / "work", 10)
    assert (tmp_path / "work" / encoder.WEIGHTS).read_bytes() == first  # nothing was left to do
    encoder.train(tiny.rows(), base, tmp_path / "work", 40)
    model = encoder.trained(base, SCORED, tmp_path / "work")
    words = {word: place for place, word in enumerate(encoder.vocabulary(base))}
    with torch.no_grad():
        high, low = (
            float(model(ids, torch.ones_like(ids))[0, 0])
            for ids in (
                torch.tensor([[words[word] for word in f"[CLS] my {noun} [SEP]".split()]])
                for noun in ("kettle", "lamp")
            )
        )
    assert high > low + 1


def test_the_same_rows_are_drawn_for_the_same_seed() -> None:
    def drawn() -> list[bytes]:
        return [ids.tobytes() for ids, *_ in encoder.batches(tiny.rows(), tiny.WORDS, 3)]

    assert drawn() == drawn()
    ids, mask, labels, known = next(encoder.batches(tiny.rows(), tiny.WORDS, 1))
    assert ids.shape == mask.shape
    assert labels.shape == known.shape == (encoder.BATCH, len(SCORED))
    assert (known[:, 0] == 1).all()
    assert (known[:, 1:] == 0).all()  # rows here know one label
    assert ((ids != 0) == (mask == 1)).all()


def test_rows_weigh_as_they_say_and_our_own_no_more_than_their_share() -> None:
    rows = [
        Row("a", {"harassment": 0.0}, weight, origin) for weight, origin in ((1, "x"), (3, "x"), (9, "own"), (1, "own"))
    ]
    found = encoder.weights(rows)
    assert found.sum() == pytest.approx(1)
    assert found[1] == pytest.approx(3 * found[0])
    assert found[2:].sum() == pytest.approx(encoder.OWN)
    scarce = encoder.weights([*rows[:2], Row("b", {"privacy": 1.0}, 1.0, "x")])
    assert scarce[2] == pytest.approx(encoder.OFTENER * scarce[0])


def test_one_group_stands_for_all() -> None:
    rows = [Row(f"{group} people are welcome", {}, 1.0, "x") for group in ("Gay", "Jewish", "Korean")]
    assert set(encoder.lines(rows)) == {"norwegian people are welcome"}


def test_the_rows_are_tier_0s_and_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toxicity, "rows", lambda folder: iter([Row("x", {}, 1.0, "public")]))
    found = list(encoder.rows(tmp_path))
    assert [row.origin for row in found].count("public") == 1
    assert {row.origin for row in found} == {"public", "own"}
    plain = {text for text, _, _ in templates.sentences(encoder.SEED, 3)}
    assert not plain & {row.text for row in found}


def test_the_functional_cases_are_not_learned_from_by_tier_1_either() -> None:
    learned = {wording.lower() for family in templates.read(templates.TIER1)[1] for wording in family.sentences}
    tested = {wording.lower() for family in templates.read(evaluate.FUNCTIONAL)[1] for wording in family.sentences}
    assert not learned & tested


def test_the_rate_rises_and_falls() -> None:
    rates = [encoder._rate(step, 100) for step in range(100)]
    assert np.argmax(rates) in range(4, 8)
    assert rates[-1] == pytest.approx(0, abs=0.02)
    assert max(rates) <= 1
