"""The shadow of a text, and the way back: every byte belongs to one character, and no span cuts a grapheme cluster."""

from __future__ import annotations

import regex  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from guard.checkers.personal.encoded import decoded
from guard.checkers.shadow import shadow, tokens, whole_clusters

TEXTS = st.lists(
    st.one_of(
        st.characters(),
        st.sampled_from(
            [
                "\u200b",
                "\u0301",
                "\u20e3",
                "\U0001f469\u200d\U0001f4bb",
                "\U0001f1e9\U0001f1ea",
                "\ufe0f",
                "\u00ad",
                "_",
                "\ud800",
                "4",
            ]
        ),
    ),
    max_size=60,
).map("".join)


@given(TEXTS)
def test_one_byte_for_each_character_that_has_a_width(text: str) -> None:
    view = shadow(text)
    assert view.data.isascii()
    assert len(view.data) <= len(text)
    covered = 0
    for place in range(len(view.data)):
        start, end = view.span(place, place + 1)
        assert covered <= start < end <= len(text)
        assert view.span(place, len(view.data))[0] == start
        covered = start + 1
    assert len(tokens(text).data) == len(view.data)


@given(TEXTS, st.data())
def test_spans_end_where_a_grapheme_cluster_ends(text: str, data: st.DataObject) -> None:
    view = shadow(text)
    if not view.data:
        return
    start = data.draw(st.integers(0, len(view.data) - 1))
    _, end = view.span(start, data.draw(st.integers(start + 1, len(view.data))))
    # What may follow inside a cluster beyond marks: the second half of a flag, a letter after a joiner or a prefix, CR LF.
    inside = {match.end() for match in regex.finditer(r"\X", text)}
    joined = text[end - 1] in "\r\u200d" or any(
        0x1F1E6 <= ord(c) <= 0x1F1FF or ord(c) >= 0x600 for c in text[end : end + 1]
    )
    assert end in inside or joined


def test_marks_joiners_and_tones_go_with_their_character() -> None:
    assert whole_clusters("e\u0301\u0302x", 0, 1) == (0, 3)
    assert whole_clusters("4\ufe0f\u20e3 5", 0, 1) == (0, 3)
    assert whole_clusters("\U0001f44d\U0001f3fd!", 0, 1) == (0, 2)


def test_what_a_person_reads() -> None:
    def read(text: str) -> str:
        return shadow(text).data.decode()

    assert read("\uff24\uff25\uff18\uff19") == "DE89"
    assert read("\u0664\u0967\u0e52\U0001d7d7\u2463") == "41294"
    assert read("\u0410\u0412\u0421 \u0430\u0435") == "ABC ae"
    assert read("\u00e9\u00f1\u0141") == "en_"
    assert read("4\u0336 4\u200b1\u00ad1") == "4 411"
    assert read("a_b\u2013c\u00a0d\u2028e") == "a\x1fb-c d\ne"
    assert read("\u53614111\u5186") == "*4111*"
    assert read("\u0436\u0434") == "__"


@given(st.text(alphabet="4%&#;x0123456789ABab \u00e9@", max_size=60))
def test_decoded_texts_lead_back_to_where_they_stand(text: str) -> None:
    view = decoded(text)
    if view is None:
        return
    for place in range(len(view.data)):
        start, end = view.span(place, place + 1)
        assert 0 <= start < end <= len(text)
    assert view.span(0, len(view.data))[0] == 0 or text[0] in "%&"


def test_references_and_percent_codes_are_resolved_in_place() -> None:
    text = "mail ann&#64;shop%2eexample &amp; co"
    view = decoded(text)
    assert view is not None
    assert view.data == b"mail ann@shop.example & co"
    assert text[slice(*view.span(5, 21))] == "ann&#64;shop%2eexample"
    assert decoded("100 % & more; %zz") is None
