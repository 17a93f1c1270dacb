"""The taxonomy: one table, whose names lead back to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guard.checkers import hazards
from guard.checkers.hazards import BY_NAME, SCORED, TAXONOMY

OPENAI = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
AILUMINATE = {"vcr", "ncr", "src", "cse", "dfm", "spc", "prv", "ipv", "iwp", "hte", "ssh", "sxc"}


def test_names_are_unique_words() -> None:
    assert len(BY_NAME) == len(TAXONOMY)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in BY_NAME)


def test_every_ailuminate_hazard_is_there_once() -> None:
    codes = [category.ailuminate for category in TAXONOMY if category.ailuminate]
    assert len(codes) == len(set(codes))
    assert set(codes) == AILUMINATE


@pytest.mark.parametrize("name", OPENAI)
def test_every_openai_category_has_a_name_here(name: str) -> None:
    assert name in BY_NAME[hazards.vocabulary("openai")[name]].openai


@pytest.mark.parametrize("number", range(1, 15))
def test_every_llama_guard_hazard_has_a_name_here(number: int) -> None:
    assert f"S{number}" in BY_NAME[hazards.vocabulary("llama_guard")[f"S{number}"]].llama_guard


def test_where_two_claim_a_name() -> None:
    assert hazards.vocabulary("llama_guard")["S1"] == "violent_crimes"
    assert hazards.vocabulary("openai")["illicit/violent"] == "violent_crimes"
    with pytest.raises(KeyError):
        hazards.vocabulary("openai")["rudeness"]


def table() -> str:
    head = ("here", "AILuminate", "OpenAI", "Llama Guard", "ShieldGemma", "Granite Guardian", "Qwen3Guard", "Detoxify")
    lines = [head, ["---"] * len(head)]
    for it in TAXONOMY:
        theirs = [getattr(it, name) for name in hazards.VOCABULARIES]
        theirs = [
            [name for name in names if hazards.vocabulary(whose)[name] == it.name]
            for whose, names in zip(hazards.VOCABULARIES, theirs, strict=True)
        ]
        lines.append([f"`{it.name}`", it.ailuminate or "", *(", ".join(names) for names in theirs)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def test_the_table_in_the_docs_is_this_one() -> None:
    assert table() in (Path(hazards.__file__).parent / "README.md").read_text("utf-8"), table()


def test_what_is_scored_is_known() -> None:
    assert set(SCORED) < set(BY_NAME)
