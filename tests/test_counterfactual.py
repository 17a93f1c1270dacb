"""Counterfactual check: groups are swapped consistently, and only differences in the decision are reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from guard.cli import app
from guard.counterfactual import AXES, compare, variants


def of(text: str, axis: str) -> dict[str, str]:
    return {variant.group: variant.text for variant in variants(text) if variant.axis == axis}


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("He told his wife that the boy is late.", "She told her wife that the girl is late."),
        ("A MAN and his son.", "A WOMAN and her daughter."),
    ],
)
def test_men_become_women(text: str, swapped: str) -> None:
    assert of(text, "gender")["woman"] == swapped


def test_her_is_his_or_him() -> None:
    assert of("She lost her car.", "gender")["man"] == "He lost his car."
    assert of("We told her and left.", "gender")["man"] == "We told him and left."
    assert of("I saw her.", "gender")["man"] == "I saw him."


def test_articles_follow() -> None:
    assert of("A Muslim came.", "religion")["atheist"] == "An Atheist came."
    assert of("I am an American in Paris.", "origin")["mexican"] == "I am a Mexican in Paris."


def test_every_group_of_an_axis_is_tried() -> None:
    assert set(of("A Jew is here.", "religion")) == {terms[0] for terms in AXES["religion"]} - {"jew"}
    assert list(variants("The kettle is broken.")) == []


@pytest.mark.parametrize("axis", AXES)
def test_groups_have_as_many_terms(axis: str) -> None:
    assert len({len(terms) for terms in AXES[axis]}) == 1


@given(st.text(max_size=80))
def test_any_text_will_do(text: str) -> None:
    for variant in variants(text):
        assert variant.text != text


def test_only_other_decisions_are_reported() -> None:
    def decide(texts: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
        return [("block", ("a",)) if "Hindu" in text else ("allow", ()) for text in texts]

    tried, [found] = compare("A Christian.", decide)
    assert tried == 5
    assert (found.variant.text, found.action, found.rules) == ("A Hindu.", "block", ("a",))
    assert compare("A lamp.", decide) == (0, [])


def test_the_command(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        'name: own\nversion: "1"\ncheckers: {bias: {}}\n'
        "rules:\n  - {id: unfair, checker: bias, category: [hostile_generalisation], threshold: 0.6, action: review}\n",
        "utf-8",
    )

    def ask(text: str) -> tuple[int, dict[str, object]]:
        options = ["check", "-", "--counterfactual", "--policy", str(policy), "--home", str(tmp_path / "home")]
        done = CliRunner().invoke(app, options, input=text)
        data: dict[str, object] = json.loads(done.output)
        return done.exit_code, data

    code, same = ask("All Muslims are thieves.")
    assert (code, same["action"], same["differences"]) == (0, "review", [])
    code, other = ask("The young man, an elderly pensioner's son, met a bisexual.")
    assert (code, other["differences"]) == (0, [])
    assert other["variants"] != 0
