"""What takes the place of a value: nothing of it survives that should not, and JSON stays JSON."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guard.operators import UNSAFE, WEAKEST_FIRST, Operator, Redaction, label, plain, strictest, whole
from guard.policy.decide import redact

masks = st.builds(
    Operator,
    st.just("mask"),
    masking_char=st.sampled_from("*#█"),
    chars_to_mask=st.none() | st.integers(1, 30),
    from_end=st.booleans(),
)
unkeyed = masks | st.sampled_from([Operator(), Operator("redact"), Operator("replace", new_value="gone")])


@given(st.text(max_size=30), unkeyed)
def test_what_is_put_is_harmless(value: str, operator: Operator) -> None:
    put = plain(operator, "CARD", value)
    kept = set(value) if operator.name == "mask" and operator.chars_to_mask is not None else set()
    assert not UNSAFE.search("".join(char for char in put if char not in kept))


@given(st.text(max_size=40))
def test_a_label_cannot_break_out(category: str) -> None:
    made = label(category)
    assert made[0] + made[-1] == "[]"
    assert not set(made[1:-1]) & set('[]"\\\n')
    assert json.loads(f'"{made}"') == made


@given(st.lists(masks | st.sampled_from([Operator(name) for name in WEAKEST_FIRST]), min_size=1, max_size=4))
def test_the_strictest_wins_in_any_order(operators: list[Operator]) -> None:
    names = {strictest(list(order)).name for order in permutations(operators)}
    assert names == {max((it.name for it in operators), key=WEAKEST_FIRST.index)}
    assert strictest(operators).chars_to_mask is None


def test_a_pseudonym_is_turned_back_only_if_all_rules_agree() -> None:
    yes, no = Operator("pseudonym", restore=True), Operator("pseudonym")
    assert strictest([yes, yes]).restore
    assert not strictest([yes, no]).restore
    assert not strictest([no, yes]).restore


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (Operator("mask", chars_to_mask=12), "4111111111111111", "************1111"),
        (Operator("mask", chars_to_mask=2, from_end=True), "abcd", "ab**"),
        (Operator("mask", masking_char="█"), "a😀b", "███"),
        (Operator("mask", chars_to_mask=99), "ab", "**"),
        (Operator("mask", chars_to_mask=1), "e\u0301x", "**x"),  # the accent goes with its letter
        (Operator("mask", chars_to_mask=1, from_end=True), "xe\u0301", "x**"),
        (Operator("mask", chars_to_mask=2), r"\u00e9x", "******x"),  # so does half an escape sequence
        (Operator("redact"), "Ann", ""),
        (Operator("replace", new_value="someone"), "Ann", "someone"),
        (Operator(), "Ann", "[P]"),
    ],
)
def test_the_operators_without_keys(operator: Operator, value: str, expected: str) -> None:
    assert plain(operator, "P", value) == expected


def test_an_operator_that_needs_keys_does_not_run_without() -> None:
    for name in ("hash", "encrypt", "pseudonym"):
        with pytest.raises(ValueError, match="needs keys"):
            plain(Operator(name), "P", "Ann")


# --- widening --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span", "expected"),
    [
        ("ann x", (0, 3), (0, 3)),
        ("e\u0301 x", (0, 1), (0, 2)),
        ("e\u0301 x", (1, 2), (0, 2)),
        ("a😀b", (1, 2), (1, 2)),
        ("Ann\u200d👩", (0, 3), (0, 3)),
        (r'"x\nann"', (3, 7), (2, 7)),
        (r'"x\\nann"', (4, 8), (4, 8)),  # an escaped backslash, then a plain n
        (r'"ann\"x"', (1, 5), (1, 6)),
        (r'"\u00e9"', (4, 7), (1, 7)),
        (r'"\ud83d\ude00"', (1, 7), (1, 13)),
        ("ab", (1, 1), (1, 1)),
        ("ab", (1, 9), (1, 9)),
    ],
)
def test_spans_are_widened_to_whole_letters(text: str, span: tuple[int, int], expected: tuple[int, int]) -> None:
    assert whole(text, *span) == expected


@given(st.text(alphabet='a\u0301\u200d😀\\u0d8c"', max_size=20), st.data())
def test_widening_only_widens_and_is_done_once(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    wider = whole(text, start, end)
    assert wider[0] <= start <= end <= wider[1] <= len(text)
    assert whole(text, *wider) == wider


@given(st.text(max_size=30), st.booleans(), st.data(), unkeyed)
def test_json_stays_json(value: str, ascii_only: bool, data: st.DataObject, operator: Operator) -> None:
    text = json.dumps({"said": value, "n": 1}, ensure_ascii=ascii_only)
    first, last = text.index(': "') + 3, text.rindex('", "n"')
    start = data.draw(st.integers(first, last))
    end = data.draw(st.integers(start, last))
    assume(start < end)
    cut = Redaction(*whole(text, start, end), 'a "quoted" \\ category', "r", operator)
    assert json.loads(redact(text, [cut]))["n"] == 1
