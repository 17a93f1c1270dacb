"""Words for groups of people: all become one, and other words stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checkers import identities
from guard.checkers.identities import MANY, ONE


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a gay man and a jewish woman", "a norwegian man and a norwegian woman"),
        ("muslims, people in wheelchairs and jews", "norwegians, norwegians and norwegians"),
        ("the african american mayor", "the norwegian mayor"),
        ("women and men", "women and men"),
        ("blackboard, whitewash and gaily", "blackboard, whitewash and gaily"),
        ("", ""),
    ],
)
def test_one_stands_for_all(text: str, wanted: str) -> None:
    assert identities.neutral(text) == wanted
    assert identities.named(text) is (text != wanted)


@given(terms=st.lists(st.sampled_from(sorted({*MANY, *ONE})), min_size=1, max_size=4))
def test_every_term_is_known_and_nothing_is_left_of_it(terms: list[str]) -> None:
    text = identities.neutral(", ".join(terms))
    assert set(text.replace(",", " ").split()) <= set(identities.NEUTRAL)
    assert identities.neutral(text) == text


@given(text=st.text(max_size=60))
def test_whatever_the_text(text: str) -> None:
    if not identities.named(text):
        assert identities.neutral(text) == text


def test_no_term_is_listed_twice() -> None:
    assert len(set(ONE)) == len(ONE)
    assert len(set(MANY)) == len(MANY)
