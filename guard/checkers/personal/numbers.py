"""Identifiers made of groups of digits, all kinds at one look at how a number is written.

The lengths of the groups lead through a tree ("3-2-4": three digits, two, four) to the kinds that are written so; most walks
end at the first or second group. What a walk over a way of writing ("999-99-9999") leads to is remembered, so that a form that
comes again costs one look-up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guard.checkers.patterns import Match
from guard.checkers.personal.context import AFTER, Nearby, Words, mentions
from guard.checkers.personal.identifiers import Kind
from guard.checkers.shadow import Shadow

SEPARATOR = "[^0-9A-Za-z_]{0,3}"  # up to three characters that are neither digits nor letters
_RUN = re.compile(rb"\d(?:[^0-9A-Za-z_]{0,3}\d){6,}")
_GROUP = re.compile(rb"9+")
_USUAL = frozenset((b" ", b"-", b".", b"/", b" - ", b". ", b"  ", b" -", b"- "))
_CARD = (
    "CREDIT_CARD"  # so distinctive that any separator will do, line ends included, and letters may touch it ("CC4111…")
)
_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_LONGEST = 19 + 18 * 3  # bytes from the first digit of a number to its last
_NOT_DIGITS = bytes(code for code in range(256) if not 48 <= code <= 57)
_AS_NINES = bytes.maketrans(b"012345678", b"999999999")
_REMEMBERED = 4096  # ways of writing
_WORTH_REMEMBERING = 40  # bytes; longer runs are tables of numbers, and seldom alike


class _Node:
    """A place in the tree of shapes: the kinds that end here, and where each length of a next group leads."""

    __slots__ = ("kinds", "next")

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.next: dict[int, _Node] = {}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a run some kinds may stand, each with its words and what it scores without them."""

    start: int
    end: int
    kinds: tuple[tuple[Kind, Words, float], ...]
    scored: tuple[tuple[Kind, Words, float], ...]  # those that need no word
    words: Words  # of all kinds


class Numbers:
    """Finds the kinds of a table. `before` is how many characters ahead of a number may hold a word that names it."""

    gate = rf"\d(?:{SEPARATOR}\d){{6}}"
    tail = rf"\d(?:{SEPARATOR}\d){{0,18}}{SEPARATOR}|\d(?:{SEPARATOR}\d){{6,18}}(?s:.){{0,{AFTER}}}"
    exclusive = False

    def __init__(self, kinds: Sequence[Kind], before: int) -> None:
        self._before = before
        self._root = _Node()
        self._words = {kind: kind.words for kind in kinds}
        self._unions: dict[tuple[Kind, ...], Words] = {}
        self._places: dict[bytes, tuple[_Place, ...]] = {}
        for kind in kinds:
            for shape in kind.form.split():
                node = self._root
                for length in map(int, shape.split("-")):
                    node = node.next.setdefault(length, _Node())
                node.kinds.append(kind)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every stretch that has the form and check digits of a kind, overlaps included."""
        data = view.data
        while start and start < stop and data[start - 1 : start].isdigit() and data[start : start + 1].isdigit():
            start += 1  # this group began before, and was looked at there
        for run in _RUN.finditer(data, start, stop + _LONGEST):
            begin = run.start()
            written = run.group().translate(_AS_NINES)
            places = self._places.get(written)
            for place in self._walk(written) if places is None else places:
                if begin + place.start >= stop:
                    return
                yield from self._kinds(view, begin + place.start, begin + place.end, place)

    def _walk(self, written: bytes) -> Iterator[_Place] | tuple[_Place, ...]:
        if len(written) > _WORTH_REMEMBERING:
            return self._all(written)
        places = tuple(self._all(written))
        if len(self._places) < _REMEMBERED:
            self._places[written] = places
        return places

    def _all(self, written: bytes) -> Iterator[_Place]:
        groups = [group.span() for group in _GROUP.finditer(written)]
        for first, (begin, behind) in enumerate(groups):
            node, usual, number, end = self._root.next.get(behind - begin), True, first, behind
            while node is not None:
                kinds = [kind for kind in node.kinds if usual or kind.category == _CARD]
                if kinds:
                    words = self._union(tuple(kinds))
                    made = tuple(
                        (kind, self._words[kind], kind.alone if number > first else kind.bare) for kind in kinds
                    )
                    yield _Place(begin, end, made, tuple(item for item in made if item[2]), words)
                number += 1
                if number == len(groups) or not node.next:
                    break
                left, right = groups[number]
                usual = usual and written[end:left] in _USUAL
                node, end = node.next.get(right - left), right

    def _union(self, kinds: tuple[Kind, ...]) -> Words:
        if kinds not in self._unions:
            self._unions[kinds] = Words("|".join(kind.context for kind in kinds).split("|"))
        return self._unions[kinds]

    def _kinds(self, view: Shadow, start: int, end: int, place: _Place) -> Iterator[Match]:
        data = view.data
        touched = (start and data[start - 1] in _WORD) or (end < len(data) and data[end] in _WORD)
        nearby = Nearby(view, start, end, self._before) if mentions(view, place.words) else None
        if nearby and not nearby.perhaps(place.words):
            nearby = None
        digits = ""
        for kind, words, alone in place.kinds if nearby else place.scored:
            if not touched or kind.category == _CARD:
                score = kind.near if nearby and alone < kind.near and nearby.says(words) else alone
                if score:
                    digits = digits or data[start:end].translate(None, _NOT_DIGITS).decode()
                    if kind.valid(digits):
                        yield Match(start, end, kind.category, score)
