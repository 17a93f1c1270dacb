"""Sequence classifiers: their labels under our names, long texts in windows, and clear words where something is missing."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from guard.checkers.classifier import ClassifierChecker
from guard.errors import ConfigError
from guard.types import Finding, Item, Stage, Text

Tiny = Callable[[str], Path]
PARAMS = ClassifierChecker.Params


@pytest.fixture(scope="module")
def folder(tiny: Tiny) -> Path:
    return tiny("toxic_bert")


@pytest.fixture(scope="module")
def checker(folder: Path) -> ClassifierChecker:
    return ClassifierChecker(PARAMS(model=folder, device="cpu", min_score=0))


def ask(checker: ClassifierChecker, *texts: str) -> list[list[Finding]]:
    return checker.check([Item(Text(text), Stage.OUTPUT) for text in texts])


def changed(folder: Path, to: Path, **config: Any) -> Path:
    shutil.copytree(folder, to)
    known = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**known, **config}))
    return to


def test_scores_are_sigmoids_of_the_models_logits(checker: ClassifierChecker, folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    text = "You are not nice."
    [found] = ask(checker, text)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        row = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
        logits = model(row["input_ids"], row["attention_mask"]).logits[0]
    by_label = {model.config.id2label[at]: 1 / (1 + math.exp(-float(logit))) for at, logit in enumerate(logits)}
    assert {finding.category: finding.score for finding in found} == {
        "harassment": pytest.approx(max(by_label[label] for label in ("toxic", "severe_toxic", "insult")), abs=1e-3),
        "profanity": pytest.approx(by_label["obscene"], abs=1e-3),
        "threat": pytest.approx(by_label["threat"], abs=1e-3),
        "hate": pytest.approx(by_label["identity_hate"], abs=1e-3),
    }
    assert all(finding.span == (0, len(text)) and finding.message for finding in found)


def test_only_what_reaches_the_least_score_is_reported(checker: ClassifierChecker, folder: Path) -> None:
    scores = {finding.category: finding.score for finding in ask(checker, "You are not nice.")[0]}
    least = sorted(scores.values())[1]
    strict = ClassifierChecker(PARAMS(model=folder, device="cpu", min_score=least - 1e-4))
    assert {it.category for it in ask(strict, "You are not nice.")[0]} == {it for it in scores if scores[it] >= least}


def test_a_batch_is_its_items(checker: ClassifierChecker) -> None:
    texts = ["You.", "", "  A longer one, with a word or two more in it.  ", "x" * 500, "\ud800 [SEP] [CLS]"]
    together = ask(checker, *texts)
    for text, found in zip(texts, together, strict=True):
        [alone] = ask(checker, text)
        assert [(it.category, it.span) for it in found] == [(it.category, it.span) for it in alone]
        assert [it.score for it in found] == pytest.approx([it.score for it in alone], abs=2e-4)
    assert together[1] == []


def test_long_texts_are_read_to_the_end_in_windows_that_overlap(checker: ClassifierChecker) -> None:
    text = "  " + "All is well that ends well, said the \u00e4ldest of \U0001f600 them. " * 30 + "end"
    [found] = ask(checker, text)
    spans = sorted({finding.span for finding in found if finding.span})
    assert spans[0].start == 2
    assert spans[-1].end == len(text)
    assert len(spans) > 10
    assert all(left.end > right.start for left, right in pairwise(spans))


def test_control_tokens_in_a_text_are_text(checker: ClassifierChecker) -> None:
    row = checker._encoded("well [SEP] and [CLS][PAD]")
    specials = set(checker._model.tokenizer.all_special_ids)
    assert [token for token in row if token in specials] == [row[0], row[-1]]


def test_softmax_where_one_label_holds(folder: Path, tmp_path: Path) -> None:
    made = changed(folder, tmp_path / "one", problem_type="single_label_classification")
    params = PARAMS(
        model=made, device="cpu", min_score=0, labels={"severe_toxic": "violent_crimes", "insult": "sex_crimes"}
    )
    scores = [finding.score for finding in ask(ClassifierChecker(params), "You are not nice.")[0]]
    assert len(scores) == 6
    assert sum(scores) == pytest.approx(1, abs=1e-3)


def test_labels_of_ones_own_and_harmless_ones(folder: Path, tmp_path: Path) -> None:
    names = dict(enumerate(["neutral", "Muslim", "spam", "abuse", "LABEL_4", "toxic"]))
    made = changed(folder, tmp_path / "own", id2label=names, label2id={name: at for at, name in names.items()})
    with pytest.raises(ConfigError, match=r"label 'spam' of own is not known: say in `labels` which category it means"):
        ClassifierChecker(PARAMS(model=made))
    labels = {"SPAM": "nonviolent_crimes", "abuse": "hate", "LABEL_4": None}
    checker = ClassifierChecker(PARAMS(model=made, device="cpu", min_score=0, labels=labels))
    assert {it.category for it in ask(checker, "x")[0]} == {"nonviolent_crimes", "hate", "harassment"}
    with pytest.raises(ValidationError, match="unknown category 'rude'; known are harassment, threat"):
        PARAMS(model=made, labels={"abuse": "rude"})


def test_how_logits_become_scores_must_be_known(folder: Path, tmp_path: Path) -> None:
    made = changed(folder, tmp_path / "silent", problem_type=None)
    with pytest.raises(ConfigError, match="set `activation` to sigmoid"):
        ClassifierChecker(PARAMS(model=made))
    ClassifierChecker(PARAMS(model=made, activation="sigmoid"))


def test_the_version_names_the_weights(checker: ClassifierChecker, folder: Path) -> None:
    import hashlib

    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert checker.version == f"1+{digest[:12]}"


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such model folder"):
        ClassifierChecker(PARAMS(model=tmp_path / "nowhere"))


def test_a_missing_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from guard.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'genguard\[local\]'"):
        ClassifierChecker(PARAMS(model=folder))
