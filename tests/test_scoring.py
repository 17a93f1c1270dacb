"""Encoding prompts and reading probabilities: the same as the model gives one by one, and no text becomes a control token."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import scoring
from guard.models import TextModel, load_classifier, load_text
from guard.scoring import Control

Tiny = Callable[[str], Path]


@pytest.fixture(scope="module")
def llama(tiny: Tiny) -> TextModel:
    return load_text(tiny("llama_guard_3"), device="cpu")


def test_a_prompt_is_read_as_one_text(llama: TextModel) -> None:
    prompt = (" ", Control("<|begin_of_text|>"), "The user", " said: ", "safe!", Control("<|eot_id|>"), "\n\n")
    whole = llama.tokenizer("".join(prompt), add_special_tokens=False)["input_ids"]
    assert scoring.encode(llama.tokenizer, prompt) == whole


def test_a_text_holds_no_control_token(llama: TextModel) -> None:
    text = "".join(llama.tokenizer.all_special_tokens)
    row = scoring.encode(llama.tokenizer, (text,))
    assert not set(row) & set(llama.tokenizer.all_special_ids)
    assert llama.tokenizer.decode(row) == text


def test_any_string_can_be_encoded(llama: TextModel) -> None:
    assert scoring.encode(llama.tokenizer, ("a\ud800b",)) == scoring.encode(llama.tokenizer, ("a\ufffdb",))
    assert scoring.encode(llama.tokenizer, ()) == []


def test_a_control_token_that_is_none_is_spelt(llama: TextModel) -> None:
    assert scoring.encode(llama.tokenizer, (Control("<nothing>"),)) == scoring.encode(llama.tokenizer, ("<nothing>",))


def forced(model: TextModel, row: list[int], answer: list[int]) -> float:
    """The probability of an answer, by one pass over it: another way to the same number."""
    import torch

    with torch.inference_mode():
        logits = model.model(input_ids=torch.tensor([row + answer])).logits[0].double().log_softmax(-1)
    return math.exp(sum(float(logits[len(row) + at - 1, token]) for at, token in enumerate(answer)))


OPTIONS = ["safe", "unsafe", "Safe and sound", "Unsafe at any speed"]


def test_choices_are_the_models_probabilities(llama: TextModel) -> None:
    rows = [
        scoring.encode(llama.tokenizer, (text,)) for text in ("A short one.", "One that is a good deal longer. " * 9)
    ]
    options = [scoring.encode(llama.tokenizer, (option,)) for option in OPTIONS]
    assert len({len(option) for option in options}) > 1
    shares, _ = scoring.choices(llama, rows, options)
    assert np.allclose(shares.sum(axis=1), 1)
    for row, share in zip(rows, shares, strict=True):
        for other in (1, 2, 3):  # where two options part, their shares are as their probabilities there
            common = next(at for at in range(9) if options[0][: at + 1] != options[other][: at + 1])
            left, right = (forced(llama, row, options[index][: common + 1]) for index in (0, other))
            reached = [
                sum(share[index] for index in range(4) if options[index][: common + 1] == options[one][: common + 1])
                for one in (0, other)
            ]
            assert reached[0] / reached[1] == pytest.approx(left / right, rel=1e-4)


def test_an_option_that_begins_another_ends(llama: TextModel) -> None:
    row = scoring.encode(llama.tokenizer, ("It is",))
    short = scoring.encode(llama.tokenizer, ("S1",))
    longer = [*short, *scoring.encode(llama.tokenizer, ("0",))]
    [[ends, goes_on]], _ = scoring.choices(llama, [row], [short, longer])
    assert goes_on == pytest.approx(forced(llama, [*row, *short], longer[len(short) :]), rel=1e-4)
    assert ends == pytest.approx(1 - goes_on)


def test_how_likely_any_answer_is(llama: TextModel) -> None:
    row = scoring.encode(llama.tokenizer, ("It is",))
    everything = [[token] for token in range(len(llama.tokenizer))]
    _, answered = scoring.choices(llama, [row], everything)
    assert answered == pytest.approx([1])
    _, answered = scoring.choices(llama, [row], everything[:9])
    assert answered == pytest.approx([sum(forced(llama, row, [token]) for token in range(9))], rel=1e-4)


@pytest.mark.parametrize("name", ["llama_guard_3", "llama_guard_4", "shieldgemma", "granite_guardian", "qwen3guard"])
def test_a_batch_is_its_rows_for_every_architecture(tiny: Tiny, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_text(tiny(name), device="cpu")
    rows = [scoring.encode(model.tokenizer, ("Is it safe? " * count,)) for count in (1, 40, 3, 17)]
    tokens = [1, 70, 300]
    together = scoring.next_tokens(model, rows, tokens)
    alone = np.concatenate([scoring.next_tokens(model, [row], tokens) for row in rows])
    assert np.allclose(together, alone, rtol=1e-4)
    assert len({tuple(row) for row in np.round(alone, 9).tolist()}) == 4  # they differ, so an order is an order
    monkeypatch.setattr(scoring, "BUDGET", {"cpu": 200})
    assert np.allclose(scoring.next_tokens(model, rows, tokens), alone, rtol=1e-4)


def test_label_logits_of_a_batch_are_those_of_its_rows(tiny: Tiny) -> None:
    model = load_classifier(tiny("toxic_bert"), device="cpu")
    rows = [model.tokenizer("word " * count)["input_ids"] for count in (9, 1, 4)]
    together = scoring.label_logits(model, rows)
    assert together.shape == (3, 6)
    assert np.allclose(together, np.concatenate([scoring.label_logits(model, [row]) for row in rows]), atol=1e-4)


def test_scores_that_are_no_numbers_are_no_answer(tiny: Tiny) -> None:
    model = load_classifier(tiny("toxic_bert"), device="cpu")
    next(iter(model.model.classifier.parameters())).data.fill_(math.nan)
    with pytest.raises(RuntimeError, match="not numbers"):
        scoring.label_logits(model, [[1, 2]])


@given(lengths=st.lists(st.integers(1, 300), max_size=40), budget=st.integers(1, 900))
def test_every_row_is_in_one_batch_that_keeps_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(scoring._batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
        assert longest <= scoring.PADDING * min(lengths[index] for index in batch) + 8
