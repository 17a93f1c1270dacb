"""Bias: hostile and stereotyping claims about groups are found; mentions, denials and quotations are not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checkers import lexicon
from guard.checkers.bias import BiasChecker
from guard.checkers.patterns import compiled
from guard.types import Checker, Finding
from tests.checkers.drawn import draw

Ask = Callable[[Checker, str], list[Finding]]

CLAIMS = [
    ("Women are just not good with technology, so ask your husband about the router.", "stereotype"),
    ("Old people can never learn how to use a camera.", "stereotype"),
    ("Girls can't code.", "stereotype"),
    ("Asians are bad drivers, everyone knows.", "stereotype"),
    ("Women belong in the kitchen.", "stereotype"),
    ("Disabled people cannot handle this job.", "stereotype"),
    ("Customers from Porto are always trying to cheat us.", "hostile_generalisation"),
    ("All Muslims are terrorists.", "hostile_generalisation"),
    ("People from Poland should go back home.", "hostile_generalisation"),
    ("The elderly are a burden.", "hostile_generalisation"),
    ("We hate immigrants.", "hostile_generalisation"),
    ("Never trust a gypsy.", "hostile_generalisation"),
    ("ＷＯＭＥＮ are stu\u200bpid.", "hostile_generalisation"),
]
FAIR = [
    "It is wrong to say that women are bad with technology.",
    "Nobody should call immigrants criminals.",
    "Muslims are not terrorists.",
    "The stereotype that girls can't code is outdated.",
    "He said that women are bad drivers and was fired.",
    "Women aren't stupid.",
    "Many women and older people use this camera every day.",
    "Customers from Porto are always welcome.",
    "My neighbour from Porto bought a kettle.",
    "Women are paid less than men.",
    "The law protects disabled people.",
    "People with disabilities are eligible for a discount.",
    "Young people are our future.",
    "The women called us because the routers are bad.",
    "Women bought the lamp and our drivers are terrible.",
    "Our technicians cannot handle this model.",
    '"Women are stupid" was written on the wall, and we painted it over.',
    "\u201cAll Muslims are terrorists\u201d is the headline that the press council condemned.",
    "I was appalled that she said women are stupid.",
    "He is stupid.",
    "This kettle is useless and the manual is dumb.",
]


@pytest.mark.parametrize(("text", "category"), CLAIMS)
def test_claims_are_found(bias: BiasChecker, ask: Ask, text: str, category: str) -> None:
    assert [finding.category for finding in ask(bias, text)] == [category]


@pytest.mark.parametrize("text", FAIR)
def test_fair_sentences_are_left_alone(bias: BiasChecker, ask: Ask, text: str) -> None:
    assert ask(bias, text) == []


def test_a_denial_excuses_its_own_sentence_only(bias: BiasChecker, ask: Ask) -> None:
    first = "It is wrong to say that women are stupid. "
    (finding,) = ask(bias, first + "Jews are greedy.")
    assert finding.span == (len(first), len(first) + len("Jews are greedy"))


def test_quotation_marks_alone_excuse_nothing(bias: BiasChecker, ask: Ask) -> None:
    assert ask(bias, '"Women are stupid"')
    assert ask(bias, 'He likes "tea" and women are stupid in "his" world.')


GROUPS = [
    "women",
    "men",
    "Muslims",
    "Jews",
    "Christians",
    "gay people",
    "black people",
    "white people",
    "immigrants",
    "old people",
    "the disabled",
    "Germans",
    "teenagers",
]


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_is_treated_alike(bias: BiasChecker, ask: Ask, group: str) -> None:
    (finding,) = ask(bias, f"All {group} are lazy.")
    assert (finding.category, finding.score) == ("hostile_generalisation", 0.9)
    assert ask(bias, f"We invite {group} to our open day.") == []


def test_job_text_that_leans(bias: BiasChecker, ask: Ask) -> None:
    text = "We want a fearless, competitive and dominant leader, a ninja who wins."
    found = ask(bias, text)
    assert {finding.category for finding in found} == {"gendered_wording"}
    assert {text[slice(*finding.span)] for finding in found if finding.span} >= {"fearless", "competitive", "leader"}
    assert all("masculine" in finding.message and finding.score <= 0.6 for finding in found)


def test_coded_words_come_with_an_alternative(bias: BiasChecker, ask: Ask) -> None:
    text = "We want a fearless, dominant, competitive ninja, a warrior who acts."
    advice = {text[slice(*finding.span)]: finding.message for finding in ask(bias, text) if finding.span}
    assert advice["ninja"] == "masculine-coded wording; consider: expert"
    assert advice["dominant"] == "masculine-coded wording; consider: leading"


def test_balanced_or_sparse_coding_is_left_alone(bias: BiasChecker, ask: Ask) -> None:
    assert ask(bias, "We want a competitive, confident leader who is kind, patient and supportive.") == []
    assert (
        ask(bias, "Our leader wrote a long report about the weather, the kettle, the lamp and the garden. " * 3) == []
    )


def test_exclusionary_terms_name_the_remedy(bias: BiasChecker, ask: Ask) -> None:
    (finding,) = ask(bias, "A salesman will visit you.")
    assert finding.category == "exclusionary_term"
    assert finding.message == "gender-exclusive job title; consider: sales representative"
    (finding,) = ask(bias, "Native English speakers will like it.")
    assert finding.message.startswith("shuts people out by origin; consider: fluent")
    assert ask(bias, "The human manager ordered a chair, man.") == []
    assert ask(BiasChecker(BiasChecker.Params(exclusionary=False)), "A salesman will visit you.") == []


def test_further_groups(bias: BiasChecker, ask: Ask) -> None:
    text = "Night-shift workers are lazy."
    assert ask(bias, text) == []
    assert ask(BiasChecker(BiasChecker.Params(groups=("Night-shift workers",))), text)


def test_a_group_name_is_not_an_expression(ask: Ask) -> None:
    assert ask(BiasChecker(BiasChecker.Params(groups=("a.c",))), "Abc are lazy.") == []


def test_a_broken_lexicon_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "words.txt"
    source.write_text("[groups]\nwomen\n[> subject high: no]\nwomen\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not the head of a rule"):
        lexicon.load(source=source)


RULES = lexicon.load(("Größenwahnsinnige", "a.c (b)")).rules
around = st.text(alphabet="a\u00e9\u0436 -'\u2019.\n\U0001f600", max_size=4)


@pytest.mark.parametrize("kind", ["group", "term"])
@given(seed=st.integers(0, 2**32), before=around, behind=around)
def test_where_an_expression_is_found_so_is_what_is_looked_for_first(
    kind: str, seed: int, before: str, behind: str
) -> None:
    chance = random.Random(seed)
    rule = chance.choice(RULES[kind])
    text = before + draw(rule.words, chance) + behind
    first = compiled(rule.words, utf8=True).search(text.encode())
    assert first or not rule.expression.search(text)
    assert rule.expression.search(f". {draw(rule.words, chance)} !")
