"""Our own sentences: filled, labelled, alike for every group, and kept apart from the cases that test."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from guard.training import evaluate, templates


def test_every_blank_is_filled_and_every_seed_repeats() -> None:
    first = list(templates.sentences(3, 5))
    assert first == list(templates.sentences(3, 5))
    assert first != list(templates.sentences(4, 5))
    assert not [text for text, _, _ in first if re.search(r"[<>]", text)]
    assert all(0 < weight <= templates.HEAVIEST for _, _, weight in first)
    assert len({(text, family.name) for text, family, _ in first}) == len(first)


def test_hostile_and_harmless_sentences_draw_from_the_same_groups() -> None:
    families = {family.name: family for family in templates.read(templates.SOURCE)[1]}
    for hostile, harmless in (("hostile", "mention"), ("hostile_more", "mention_more"), ("hostile", "counter_speech")):
        for name in (hostile, harmless):
            assert any("<groups>" in wording for wording in families[name].sentences), name


def test_all_lists_are_used() -> None:
    words, families = templates.read(templates.SOURCE)
    used = set(
        re.findall(
            r"<(\w+)>", " ".join(w for f in families for w in f.sentences) + " ".join(map(" ".join, words.values()))
        )
    )
    assert used == set(words)


def test_the_functional_cases_are_not_learned_from() -> None:
    learned = {wording.lower() for family in templates.read(templates.SOURCE)[1] for wording in family.sentences}
    tested = [wording.lower() for family in templates.read(evaluate.FUNCTIONAL)[1] for wording in family.sentences]
    assert not learned & set(tested)
    assert len(tested) > 130
    assert max(Counter(tested).values()) == 1


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "own.txt"
    source.write_text("[= rude rudeness=1]\nhello\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'rudeness' is not a category"):
        templates.read(source)


def test_heads_are_read(tmp_path: Path) -> None:
    source = tmp_path / "own.txt"
    source.write_text("[x]\na|b\n[= rude** harassment=1 hate=?]\n<x> c\n", encoding="utf-8")
    words, [family] = templates.read(source)
    assert words == {"x": ["a", "b"]}
    assert (family.name, family.labels, family.share) == ("rude", {"harassment": 1.0, "hate": None}, 3)
