"""Pseudonyms: equal for equal values, different for different ones, and back without a loss."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.digest import keyed
from guard.operators import Operator, label
from guard.pseudonyms import Pseudonyms, is_json, luhn, meant

LABELS, SHAPES = Operator("pseudonym"), Operator("pseudonym", shape="same")
BY_SUBJECT = Operator("pseudonym", scope="subject")


def noise(scope: str, value: str, attempt: int) -> bytes:
    data = f"{attempt}:{value}".encode("utf-8", "surrogatepass")
    return b"".join(keyed(b"k" * 32, f"{scope}{block}", data) for block in range(4))


words = st.text(alphabet="aA1_[]P@.\u00e9😀", min_size=1, max_size=8)


@given(st.lists(st.tuples(words, st.sampled_from(["P", "PERSON", "e-mail", "人"])), max_size=8), words)
def test_there_and_back(values: list[tuple[str, str]], between: str) -> None:
    given_names = Pseudonyms(noise)
    given_names.see(between.join(value for value, _ in values))
    pieces = [given_names.of(value, category, LABELS) for value, category in values]
    for (left, _), one in zip(values, pieces, strict=True):
        for (right, _), other in zip(values, pieces, strict=True):
            assert (left == right) == (one == other)
    assert all(re.fullmatch(r"\[[A-Z0-9_]+\]", piece) for piece in pieces)
    text = " ".join(pieces)
    expected = " ".join(value for value, _ in values)
    if not is_json(text):
        assert given_names.restored(text) == (expected, len(values))
        assert Pseudonyms.read(given_names.table).restored(text) == (expected, len(values))


@given(st.text(alphabet="P_12[] \n", max_size=30), st.text(alphabet="P_12[] \n", max_size=30))
def test_nothing_that_stood_there_already_is_turned_back(before: str, after: str) -> None:
    given_names = Pseudonyms()
    given_names.see(f"{before}Ann{after}")
    name = given_names.of("Ann", "P", LABELS)
    text = f"{before}{name}{after}"
    assert given_names.restored(text)[0] == f"{before}Ann{after}"


def test_a_model_may_drop_the_brackets_and_invent_others() -> None:
    given_names = Pseudonyms()
    assert given_names.of("Ann", "PERSON", LABELS) == "[PERSON_1]"
    given_names.see("ask PERSON_2")
    assert given_names.of("Bob", "PERSON", LABELS) == "[PERSON_3]"
    answer = "PERSON_1's friend PERSON_2, PERSON_13, xPERSON_1 and [PERSON_3]"
    assert given_names.restored(answer) == ("Ann's friend PERSON_2, PERSON_13, xPERSON_1 and Bob", 2)
    assert given_names.restored(answer, frozenset({"Bob"}))[1] == 1


def test_a_subject_keeps_its_pseudonyms() -> None:
    one, two = Pseudonyms(noise), Pseudonyms(noise)
    two.of("Bob", "PERSON", BY_SUBJECT)
    assert one.of("Ann", "PERSON", BY_SUBJECT) == two.of("Ann", "PERSON", BY_SUBJECT)
    other = Pseudonyms(lambda *given: noise("another subject" + given[0], *given[1:]))
    assert other.of("Ann", "PERSON", BY_SUBJECT) != one.of("Ann", "PERSON", BY_SUBJECT)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("+1 415-555-0134", r"\+\d \d{3}-\d{3}-\d{4}"),
        ("4111 1111 1111 1111", r"\d{4} \d{4} \d{4} \d{4}"),
        ("Ann Müller-Lee", r"[A-Z][a-z]{2} [A-Z][a-z]{5}-[A-Z][a-z]{2}"),
        ("ann.lee42@mail.org.uk", r"[a-z]{3}\.[a-z]{3}\d\d@[a-z]{4}\.[a-z]{3}\.example"),
        ('a"b\\c\nd 123456', r"[a-z]_[a-z]_[a-z]_[a-z] \d{6}"),
    ],
)
def test_a_surrogate_has_the_same_shape(value: str, shape: str) -> None:
    given_names = Pseudonyms(noise)
    given_names.see(value)
    made = given_names.of(value, "X", SHAPES)
    assert re.fullmatch(shape, made)
    assert made != value
    assert not luhn(made)
    assert given_names.restored(f"({made}), not x{made}") == (f"({value}), not x{made}", 1)


def test_what_is_too_short_for_a_surrogate_gets_a_label() -> None:
    assert Pseudonyms(noise).of("Ann", "P", SHAPES) == "[P_1]"
    assert Pseudonyms().of("Ann Ann Ann", "P", SHAPES) == "[P_1]"  # and so does all where there is no key


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_goes_into_json_cannot_change_its_structure(value: str, other: str) -> None:
    given_names = Pseudonyms()
    name = given_names.of(value, "P", LABELS)
    answer = json.dumps({"to": name, "text": f"Dear {name}"})
    assert json.loads(given_names.restored(answer)[0]) == {"to": value, "text": f"Dear {value}"}


@given(st.text(max_size=20), st.booleans())
def test_a_stretch_of_json_means_what_it_says(value: str, ascii_only: bool) -> None:
    assert meant(json.dumps(value, ensure_ascii=ascii_only)[1:-1], in_json=True) == value
    assert meant(value, in_json=False) == value


def test_what_is_json() -> None:
    assert is_json(' {"a": 1}')
    assert is_json("[1]")
    assert not is_json(label("P"))
    assert not is_json("1")
    assert not is_json("[" * 100_000)


def test_many_values_take_linear_time() -> None:
    import time

    def spent(count: int) -> float:
        values = [f"name{number}x" for number in range(count)]
        began = time.process_time()
        given_names = Pseudonyms(noise)
        given_names.see("P_1 P_3 " + " ".join(values))
        text = " ".join(given_names.of(value, "P", LABELS) for value in values)
        assert given_names.restored(text)[1] == count
        return time.process_time() - began

    assert min(spent(4_000) for _ in range(3)) < 40 * min(spent(400) for _ in range(3))
