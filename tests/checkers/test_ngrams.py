"""Features: disguises are undone, hashes depend on the sentence alone, cues mark what stands under them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checkers import ngrams

TEXT = st.text(alphabet=st.sampled_from("abcdei xyz01@$!*\"'.é\u0430"), max_size=60)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("You 1D10T", "you idiot"),
        ("st00pid", "stoopid"),
        ("i d i o t", "idiot"),
        ("i.d.i.o.t", "idiot"),
        ("stuuuupid", "stupid"),
        ("don't", "dont"),
        ("café", "cafe"),
        ("\u0456d\u0456ot", "idiot"),
        ("“so”", '"so"'),
        ("order 4711 on 12 May", "order 4711 on 12 may"),
        ("good", "good"),
        ("wow!", "wow!"),
        ("a\nb", "a\nb"),
    ],
)
def test_normalised(text: str, plain: str) -> None:
    assert ngrams.normalised(text) == plain


def test_stars_have_several_readings() -> None:
    assert ngrams.readings("st*pid") == ("st*pid", "stupid", "stipid", "stopid", "stapid", "stepid")
    assert ngrams.normalised("st*pid", lambda options: [readings[1] for readings in options]) == "stupid"


def columns(text: str) -> list[tuple[Any, ...]]:
    """For each word its hashes, whatever stands around."""
    bag = ngrams.bag(text)
    if bag is None:
        return []
    pieces = [bag.pieces[:, bag.owner == word] for word in range(bag.size)]
    return [(part.tolist(), bag.phrases[:, word].tolist()) for word, part in enumerate(pieces)]


@given(st.lists(TEXT, max_size=5))
def test_a_sentence_has_the_same_features_in_any_company(texts: list[str]) -> None:
    plain = [ngrams.normalised(text) for text in texts]
    assert columns("\n".join(plain)) == [column for text in plain for column in columns(text)]


@given(TEXT)
def test_normalising_keeps_lines_and_is_repeatable(text: str) -> None:
    assert ngrams.normalised(f"{text}\n{text}").count("\n") == 1
    assert ngrams.normalised(text) == ngrams.normalised(text)


def test_words_and_pieces_are_hashed_apart() -> None:
    bag = ngrams.bag("you are a moron")
    assert bag is not None
    assert bag.size == 4
    hashes = np.concatenate([bag.pieces[bag.pieces > 0], bag.phrases[bag.phrases > 0]])
    assert len(np.unique(hashes)) >= len(hashes) - 1
    assert ngrams.bag(" .,! \n") is None


def under(text: str, cue: int, word: int) -> bool:
    bag = ngrams.bag(ngrams.normalised(text))
    assert bag is not None
    return bool(bag.phrases[2 + cue, word] > 0)


def test_cues_reach_so_far_and_no_further() -> None:
    assert under("they are not bad", 0, 3)
    assert not under("bad they are not", 0, 0)
    assert not under("not one of all my old bad", 0, 6)
    assert not under("they are not\nbad", 0, 3)
    assert under("bad people he said", 1, 0)
    assert not under("bad people\nhe said", 1, 0)
    assert under("you are bad", 2, 2)
    assert under("i am bad", 3, 2)


def test_quotation_marks() -> None:
    text = 'he said "you are bad" today'
    assert [under(text, ngrams.QUOTED, word) for word in range(6)] == [False, False, True, True, True, False]
    assert not under('5" of rain are bad', ngrams.QUOTED, 4)
    assert not under('she "left\nyou bad"', ngrams.QUOTED, 2)


def test_long_words_are_cut() -> None:
    bag = ngrams.bag("a" * 10_000)
    assert bag is not None
    assert len(bag.owner) == ngrams.MAX_WORD + 1
