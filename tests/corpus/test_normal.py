"""The form in which texts are compared, and the way back to the characters that it came from."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.corpus.normal import characters, normalise, origins


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("It was the best\nof times,", "itwasthebestoftimes"),
        ("exam-\nple", "example"),
        ("don\u2019t DON'T", "dontdont"),
        ("Cr\u00e8me Cre\u0300me", "cremecreme"),
        ("\uff26\uff55\uff4c\uff4c", "full"),
        ("Stra\u00dfe STRASSE", "strassestrasse"),
        ("a\u200bb\u00adc\ufeffd", "abcd"),
        ("\ud55c\uae00 \u1112\u1161\u11ab\u1100\u1173\u11af", "\ud55c\uae00" + "\u1112\u1161\u11ab\u1100\u1173\u11af"),
        ("\U0001d400\U0001f600z", "az"),
        ("snake_case = 1;", "snakecase1"),
        ("\ud800x", "x"),
        ("", ""),
    ],
)
def test_what_remains_of_a_text(text: str, form: str) -> None:
    assert normalise(text).decode() == form


@given(st.text())
def test_every_byte_knows_its_character(text: str) -> None:
    data, where = normalise(text), origins(text)
    assert len(where) == len(data)
    assert list(where) == sorted(where)
    for char, at in zip(data.decode(), where[(np.frombuffer(data, np.uint8) & 0xC0) != 0x80], strict=True):
        assert char in normalise(text[at]).decode()
    assert characters(np.frombuffer(data, np.uint8)) == len(data.decode())


@given(st.text())
def test_case_accents_and_punctuation_do_not_count(text: str) -> None:
    assert normalise(normalise(text).decode()) == normalise(text)
    assert normalise(", ".join(text)) == normalise(text)
    latin = "".join(char for char in text if ord(char) < 0x250)  # elsewhere both may make other letters of marks
    assert normalise(latin.casefold()) == normalise(latin)
    assert normalise(unicodedata.normalize("NFD", latin)) == normalise(latin)
