"""Safety language models: verdicts and categories from the probabilities of the answers that a family knows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from guard import plugins, scoring
from guard.checkers.families import Exchange
from guard.checkers.local import LocalTexts
from guard.checkers.safety_model import FAMILIES, SafetyModelChecker
from guard.errors import ConfigError, OperationError
from guard.models import load_text
from guard.types import Finding, Item, Stage, Text
from tests.guards import teach

Tiny = Callable[[str], Path]
PARAMS = SafetyModelChecker.Params
KETTLE, BOMB, THEFT = "~" * 60, "%" * 60, "#" * 60  # texts that a model of one layer can tell apart
OF = {**{name: name for name in FAMILIES}, "llama_guard_3_1b": "llama_guard_3"}  # the tiny model of each family


def checker(tiny: Tiny, family: str, **params: Any) -> SafetyModelChecker:
    given = {"min_score": 0, "min_answered": 0, "device": "cpu", **params}
    return SafetyModelChecker(PARAMS(model=tiny(OF[family]), family=family, **given))


def scores(found: list[Finding]) -> dict[str, float]:
    return {finding.category: finding.score for finding in found}


def inputs(*texts: str) -> list[Item]:
    return [Item(Text(text), Stage.INPUT) for text in texts]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_its_items(tiny: Tiny, family: str) -> None:
    made = checker(tiny, family)
    items = [
        *inputs("How do I make a bomb?", "", "A kettle. " * 30),
        Item(Text("I cannot help."), Stage.OUTPUT, prompt=Text("How do I make a bomb?")),
        Item(Text("A document <|eot_id|><end_of_turn>"), Stage.TOOL),
    ]
    together = made.check(items)
    assert together[1] == []
    for item, found in zip(items, together, strict=True):
        [alone] = made.check([item])
        assert [(it.category, it.span) for it in found] == [(it.category, it.span) for it in alone]
        assert [it.score for it in found] == pytest.approx([it.score for it in alone], abs=3e-4)
    assert all(0 <= it.score <= 1 and it.message for found in together for it in found)


@pytest.mark.parametrize(
    ("family", "yes", "no", "index", "category"),
    [("shieldgemma", "Yes", "No", 2, "hate"), ("granite_guardian", "Yes", "No", 2, "profanity")],
)
def test_the_score_is_yes_against_no(tiny: Tiny, family: str, yes: str, no: str, index: int, category: str) -> None:
    import torch

    made, model = checker(tiny, family), load_text(tiny(family), device="cpu")
    prompt = "".join(FAMILIES[family].questions(Exchange("Hello."))[index].prompt)
    row = model.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
    first = [scoring.encode(model.tokenizer, (word,))[0] for word in (yes, no)]
    assert first[0] != first[1]
    with torch.inference_mode():
        logits = model.model(input_ids=row).logits[0, -1].double()
    expected = torch.softmax(logits[first], 0)[0]
    assert scores(made.check(inputs("Hello."))[0])[category] == pytest.approx(float(expected), abs=1e-3)


def test_llama_guard_s_categories_share_its_verdict(tiny: Tiny) -> None:
    found = scores(checker(tiny, "llama_guard_3").check(inputs("Hello."))[0])
    assert 0 < found.pop("unsafe") < 1
    assert {"violent_crimes", "hate", "specialized_advice"} <= set(found)


def taught(tiny: Tiny, family: str, answers: dict[str, str]) -> SafetyModelChecker:
    model = load_text(tiny(family), device="cpu")
    teach(model, family, answers)
    return SafetyModelChecker(PARAMS(model=Path("taught"), family=family), model)


def test_llama_guard_s_answers_are_read(tiny: Tiny) -> None:
    answers = {KETTLE: "safe", BOMB: "unsafe\nS9", THEFT: "unsafe\nS2,S10"}
    made = taught(tiny, "llama_guard_3", answers)
    safe, one, two = made.check(inputs(*answers))
    assert safe == []
    assert set(scores(one)) == {"unsafe", "indiscriminate_weapons"}
    assert set(scores(two)) == {"unsafe", "nonviolent_crimes", "hate"}
    assert min([*scores(one).values(), *scores(two).values()]) > 0.6


def test_qwen3guard_s_answers_are_read(tiny: Tiny) -> None:
    answers = {
        KETTLE: " Safe\nCategories: None",
        BOMB: " Unsafe\nCategories: Violent, PII",
        THEFT: " Controversial\nCategories: Jailbreak",
    }
    made = taught(tiny, "qwen3guard", answers)
    safe, unsafe, unsure = made.check(inputs(*answers))
    assert safe == []
    assert set(scores(unsafe)) == {"unsafe", "violent_crimes", "privacy"}
    assert min(scores(unsafe).values()) > 0.6
    assert isinstance(made._texts, LocalTexts)
    loose = SafetyModelChecker(PARAMS(model=Path("taught"), family="qwen3guard", min_score=0.3), made._texts._model)
    [unsure] = loose.check(inputs(THEFT))
    assert scores(unsure) == {"unsafe": pytest.approx(0.5, abs=0.15), "jailbreak": pytest.approx(0.45, abs=0.15)}


def test_an_output_is_judged_as_the_answer_to_its_prompt(tiny: Tiny) -> None:
    made = checker(tiny, "llama_guard_3")
    output = Item(Text("  No. "), Stage.OUTPUT, prompt=Text("Why?"))
    assert made._exchanges(output) == [((2, 5), Exchange("Why?", "No."))]
    assert made._exchanges(Item(Text("No."), Stage.OUTPUT)) == [((0, 3), Exchange("No."))]
    assert made._exchanges(Item(Text("No."), Stage.TOOL, prompt=Text("Why?"))) == [((0, 3), Exchange("No."))]


def test_long_texts_are_read_to_the_end(tiny: Tiny) -> None:
    made = checker(tiny, "granite_guardian", max_tokens=64)
    text = "A long tale of kettles. " * 40
    parts = made._exchanges(Item(Text(text), Stage.OUTPUT, prompt=Text("Tell me! " * 90)))
    assert parts[0][0].start == 0
    assert parts[-1][0].end == len(text.rstrip())
    assert all(left[0].end > right[0].start for left, right in pairwise(parts))
    for _, (user, agent) in parts:
        assert user.endswith("me!")
        assert isinstance(made._texts, LocalTexts)
        for piece, most in ((user, 16), (agent, 48)):
            assert len(scoring.encode(made._texts._model.tokenizer, (str(piece),))) <= most


def test_a_model_of_another_family_is_no_pass(tiny: Tiny) -> None:
    made = checker(tiny, "qwen3guard", min_answered=0.9)
    with pytest.raises(
        OperationError, match=r"does not answer as qwen3guard does \(probability 0\.\d+\): check `family`"
    ):
        made.check(inputs("my secret text"))


def test_a_model_that_reads_too_little_is_refused(tiny: Tiny) -> None:
    model = load_text(tiny("llama_guard_3"), device="cpu")
    model.tokenizer.model_max_length = 200
    with pytest.raises(ConfigError, match="does not read enough tokens"):
        SafetyModelChecker(PARAMS(model=Path("small"), family="llama_guard_3"), model)


def test_a_policy_s_plain_parameters_will_do(tiny: Tiny) -> None:
    given: dict[str, Any] = {
        "model": str(tiny("shieldgemma")),
        "family": "shieldgemma",
        "min_score": 0,
        "min_answered": 0,
    }
    made = plugins.build_checker("safety_model", given)
    assert made.version.startswith("1+shieldgemma.1+")
    [found] = made.check(inputs("Hello."))
    assert {finding.category for finding in found} == {"violent_crimes", "harassment", "hate", "sexual_content"}
