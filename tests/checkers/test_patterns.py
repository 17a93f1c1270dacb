"""One pass for many patterns: overlaps, windows, and what the end of a text may still become."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from guard.checkers import patterns
from guard.checkers.patterns import REACH, WINDOW, Match, Scanner, surest
from guard.checkers.tails import prefixes

MATCHES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from("ABC"), st.sampled_from([0.5, 0.7, 0.9])).map(
        lambda item: (item[0], item[0] + item[1], item[2], item[3])
    ),
    max_size=30,
)


@given(MATCHES)
def test_what_lies_inside_a_surer_match_is_left_out(found: list[tuple[int, int, str, float]]) -> None:
    kept = surest(found)
    assert sorted(kept) == sorted(surest(reversed(found)))
    assert [match.start for match in kept] == sorted(match.start for match in kept)

    def inside(small: tuple[int, int, str, float], large: tuple[int, int, str, float]) -> bool:
        return large[0] <= small[0] and small[1] <= large[1] and large[3] >= small[3]

    for match in found:
        assert any(inside(match, other) for other in kept)
    for match in kept:
        assert tuple(match) in found
        assert not any(inside(match, other) for other in kept if other != match)


def test_the_sweep_is_not_quadratic() -> None:
    many = [(place, place + 5, "A", 0.5 + (place % 7) / 20) for place in range(0, 2_000_000, 10)]
    assert len(surest(many)) == len(many)


@dataclass(frozen=True)
class Source:
    data: bytes


class Letters:
    """Finds runs of an `x` and some digits."""

    gate, tail, exclusive = "x[0-9]", "x[0-9]{0,9}", False

    def find(self, source: Source, start: int, stop: int) -> Iterator[Match]:
        for match in re.compile(rb"x[0-9]{1,9}").finditer(source.data, start):
            if match.start() >= stop:
                return
            yield Match(*match.span(), "X", 1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 7, WINDOW - 3, WINDOW - 1, WINDOW]), st.sampled_from(["x1", "x12345678", "x"])),
        max_size=6,
    )
)
def test_windows_change_nothing(pieces: list[tuple[int, str]]) -> None:
    data = "".join("." * gap + word for gap, word in pieces).encode()
    found = Scanner([Letters()]).scan(Source(data))
    assert [(match.start, match.end) for match in found] == [
        match.span() for match in re.finditer(rb"x[0-9]{1,9}", data)
    ]
    assert REACH < WINDOW


class Large(Letters):
    gate = "x[a-z]{1,90}[0-9]{1,90}"


def test_a_set_without_memory_is_an_error_and_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_MEMORY", 1 << 14)
    with pytest.raises(re2.error):
        Scanner([Large()] * 80)


FORMS = [
    "abc", "a{2,4}b", "(?:ab|cd)+e", r"\b\d{2}[ -]?[A-Z]\b", "a?b?c", "(?i)ab|c(?:d|ee)", r"[0-9a-c]{1,3}\.x", "a(?i)b", "(?:a|b){0,2}c*d", r"\$x\{",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_every_beginning_of_a_match_is_a_tail(form: str, data: st.DataObject) -> None:
    plain = re.sub(r"\(\?i\)", "", form.replace(r"\b", ""))
    text = data.draw(st.from_regex(rf"\A(?:{plain})\Z", alphabet=st.characters(codec="ascii")))
    tail = patterns.compiled(prefixes(form))
    for size in range(1, len(text) + 1):
        assert tail.fullmatch(text[:size].encode()), text[:size]


@pytest.mark.parametrize(
    ("form", "no"), [("abc", "ac"), ("a{2,4}b", "ba"), (r"[0-9]{2}x", "1x"), ("(?:ab|cd)e", "ad"), ("a?b", "aa")]
)
def test_other_texts_are_no_tails(form: str, no: str) -> None:
    assert not patterns.compiled(prefixes(form)).fullmatch(no.encode())


def test_an_expression_that_closes_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="closes"):
        prefixes("a)b")
