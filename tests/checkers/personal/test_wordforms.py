"""Words of a shadow: where they begin and end, what they are made of, and that none depends on what stands far away."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checkers.personal import wordforms
from guard.checkers.personal.wordforms import ADDRESS_PARTS, FEATURES, LONGEST, NEARBY, PARTS, Words, words
from guard.checkers.shadow import shadow

PIECES = ["O'Brien's", "Jean-Luc", "U.S.", "e.g.", "a.b@mail.example", "https://x.example/y", "www.x", "@ann", "don\u2019t", "1,234.5", "12B",
          "\u00e9", "\u0416", "\u5f20", "\n", "  ", "\t", "'", "-", "*", "_", "\x1f", "\x00", "x" * 70, "A", "&", "."]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=15).map("".join)


def parts(text: str) -> list[str]:
    data = shadow(text).data
    found = words(data)
    return [] if found is None else [data[a:b].decode() for a, b in zip(found.starts, found.ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I met O'Brien's son.", ["I", "met", "O'Brien", "'s", "son", "."]),
        ("Jean-Luc of AT&T", ["Jean-Luc", "of", "AT&T"]),
        ("in the U.S. (e.g. J.R.R. Tolkien)", ["in", "the", "U.S", ".", "(", "e.g", ".", "J.R.R", ".", "Tolkien", ")"]),
        ("see you there.Then go", ["see", "you", "there", ".", "Then", "go"]),
        ("don\u2019t ask Ann\u2019s", ["don*t", "ask", "Ann", "*s"]),
        ("mail a.b@c.example or https://x.example/y?z", ["mail", "a.b@c.example", "or", "https://x.example/y?z"]),
        ("@ann and #berlin", ["@ann", "and", "#", "berlin"]),
        ("1,234.5 kg, 12B", ["1,234.5", "kg", ",", "12B"]),
        ("Jos\u00e9 M\u00fcller", ["Jose", "Muller"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert [word for word in parts(text) if word != "."] == [word for word in expected if word != "."]


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("ann", wordforms.LOWER), ("Ann", wordforms.TITLE), ("ANN", wordforms.CAPITALS), ("A", wordforms.LETTER),
        ("McDonald", wordforms.MIXED), ("12", wordforms.DIGITS), ("12B", wordforms.CODE), ("!", wordforms.MARK),
        ("\u0416\u0416", wordforms.FOREIGN), ("a@b.c", wordforms.ADDRESS), ("@ann", wordforms.HANDLE),
    ],
)  # fmt: skip
def test_what_a_word_is_made_of(word: str, form: int) -> None:
    found = words(shadow(word).data)
    assert found is not None
    assert found.forms.tolist() == [form]


@given(TEXTS)
def test_words_cover_what_is_no_space_and_nothing_else(text: str) -> None:
    data = shadow(text).data
    found = words(data)
    pairs = [] if found is None else list(zip(found.starts.tolist(), found.ends.tolist(), strict=True))
    covered = [place for start, end in pairs for place in range(start, end)]
    assert covered == [place for place in range(len(data)) if not data[place : place + 1].isspace()]
    assert all(end - start <= LONGEST * (PARTS + 2) + ADDRESS_PARTS for start, end in pairs)


def rows(found: Words | None, first: int, last: int) -> list[list[int]]:
    assert found is not None
    parts = (found.forms[:, None], found.codes[:, None], found.features)
    whole: list[list[int]] = np.hstack([part.astype(np.int64) for part in parts])[first:last].tolist()
    return whole


@given(TEXTS, TEXTS, TEXTS)
def test_a_word_does_not_depend_on_what_is_far_away(before: str, text: str, after: str) -> None:
    fence = " w" * (NEARBY + 1) + " "
    inner = f"{fence}{text}{fence}"
    alone = words(shadow(inner).data)
    assert alone is not None
    among = words(shadow(f"{before}{inner}{after}").data)
    count = len(alone) - 2 * (NEARBY + 1)
    skipped = len(words(shadow(f"{before}{fence}").data) or ()) - (NEARBY + 1)
    assert rows(alone, NEARBY + 1, NEARBY + 1 + count) == rows(
        among, skipped + NEARBY + 1, skipped + NEARBY + 1 + count
    )


def test_each_feature_tells_words_apart() -> None:
    found = words(shadow("Anna anna Annex Hannah 12 34 1234").data)
    assert found is not None
    same = found.features == found.features[0]
    assert same[1].tolist() == [True, False, True, True, True, True, True, True, False, False]
    assert found.features.shape == (7, FEATURES)
    assert found.features[4, 0] == found.features[5, 0] != found.features[6, 0]  # digits are all the same


@pytest.mark.parametrize("attack", ["a", "a'", "a.", "1,", "@", "a@", "://", "www.", "*s", "A "])
def test_time_grows_with_the_text(attack: str) -> None:
    def cost(size: int) -> float:
        data = shadow((attack * size)[:size]).data
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            words(data)
            best = min(best, time.process_time() - began)
        return best

    assert cost(64_000) < 40 * max(cost(4_000), 0.0005)
