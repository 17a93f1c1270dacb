"""Identifiers made of groups of digits, all kinds at one look at how a number is written.

The lengths of the groups lead through a tree ("3-2-4": three digits, two, four) to the kinds that are written so; most walks
end at the first or second group. What a walk over a way of writing ("999-99-9999") leads to is remembered, so that a form that
comes again costs one look-up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
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


_Scored = tuple[tuple[Kind, Words, float], ...]  # a kind, its words, and what it scores without them


@dataclass(frozen=True, slots=True)
class _Plan:
    """The kinds that may stand at a place."""

    kinds: _Scored
    alone: _Scored  # those that need no word
    words: Words  # of all kinds


class _Node:
    """A place in the tree of shapes: the kinds that end here, and where each length of a next group leads."""

    __slots__ = ("any_separator", "kinds", "next", "usual")

    def __init__(self) -> None:
        self.kinds: list[tuple[Kind, Words]] = []
        self.next: dict[int, _Node] = {}
        self.usual: _Plan | None = None
        self.any_separator: _Plan | None = None

    def finish(self, *, separated: bool) -> None:
        """Make the plans of this place and of those behind it."""
        self.usual = _plan(self.kinds, separated=separated)
        self.any_separator = _plan([item for item in self.kinds if item[0].category == _CARD], separated=separated)
        for node in self.next.values():
            node.finish(separated=True)


def _plan(kinds: Sequence[tuple[Kind, Words]], *, separated: bool) -> _Plan | None:
    made = tuple((kind, words, kind.alone if separated else kind.bare) for kind, words in kinds)
    words = Words("|".join(kind.context for kind, _ in kinds).split("|"))
    return _Plan(made, tuple(item for item in made if item[2]), words) if kinds else None


_Place = tuple[int, int, _Plan]  # from, to, in a run


class Numbers:
    """Finds the kinds of a table. `before` is how many characters ahead of a number may hold a word that names it."""

    gate = rf"\d(?:{SEPARATOR}\d){{6}}"
    tail = rf"\d(?:{SEPARATOR}\d){{0,18}}{SEPARATOR}|\d(?:{SEPARATOR}\d){{6,18}}(?s:.){{0,{AFTER}}}"
    exclusive = False

    def __init__(self, kinds: Sequence[Kind], before: int) -> None:
        self._before = before
        self._root = _Node()
        self._places: dict[bytes, tuple[_Place, ...]] = {}
        for kind in kinds:
            words = kind.words
            for shape in kind.form.split():
                node = self._root
                for length in map(int, shape.split("-")):
                    node = node.next.setdefault(length, _Node())
                node.kinds.append((kind, words))
        for node in self._root.next.values():
            node.finish(separated=False)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every stretch that has the form and check digits of a kind, overlaps included."""
        data = view.data
        while start and start < stop and data[start - 1 : start].isdigit() and data[start : start + 1].isdigit():
            start += 1  # this group began before, and was looked at there
        for run in _RUN.finditer(data, start, stop + _LONGEST):
            begin = run.start()
            written = run.group().translate(_AS_NINES)
            places = self._places.get(written)
            for first, last, plan in self._walk(written) if places is None else places:
                if begin + first >= stop:
                    return
                named = mentions(view, plan.words)
                if named or plan.alone:
                    yield from self._kinds(view, begin + first, begin + last, plan, named=named)

    def _walk(self, written: bytes) -> Iterable[_Place]:
        if len(written) > _WORTH_REMEMBERING:
            return self._all(written)
        places = tuple(self._all(written))
        if len(self._places) < _REMEMBERED:
            self._places[written] = places
        return places

    def _all(self, written: bytes) -> Iterator[_Place]:
        groups = [group.span() for group in _GROUP.finditer(written)]
        rows = _rows(written, groups)
        ahead = 0
        for first, (begin, behind) in enumerate(groups):
            length, end = behind - begin, behind
            if length == ahead == 1:
                continue  # a number in single digits begins with the first of them
            ahead = length
            row, till = rows[first]
            node, usual, number = self._root.next.get(length), True, first
            while node is not None:
                # Some groups of a longer row of groups of one length are a table, whatever their check digits say.
                in_a_row = first < number <= till and (row < first or number < till)
                plan = node.usual if usual and not in_a_row else node.any_separator
                if plan is not None:
                    yield begin, end, plan
                number += 1
                if number == len(groups) or not node.next:
                    break
                left, right = groups[number]
                usual = usual and written[end:left] in _USUAL
                node, end = node.next.get(right - left), right

    def _kinds(self, view: Shadow, start: int, end: int, plan: _Plan, *, named: bool) -> Iterator[Match]:
        data = view.data
        if start > 1 and data[start - 1] == 46 and 48 <= data[start - 2] <= 57 and data[start:end].isdigit():
            return  # the digits behind a decimal point
        touched = (start and data[start - 1] in _WORD) or (end < len(data) and data[end] in _WORD)
        nearby = Nearby(view, start, end, self._before) if named else None
        if nearby and not nearby.perhaps(plan.words):
            nearby = None
        digits = ""
        for kind, words, alone in plan.kinds if nearby else plan.alone:
            if not touched or kind.category == _CARD:
                score = kind.near if nearby and alone < kind.near and nearby.says(words) else alone
                if score:
                    digits = digits or data[start:end].translate(None, _NOT_DIGITS).decode()
                    if kind.valid(digits):
                        yield Match(start, end, kind.category, score)


def _rows(written: bytes, groups: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """For each group, the first and the last of the row of groups of its length that it stands in."""
    rows: list[tuple[int, int]] = []
    first = 0
    for number in range(1, len(groups) + 1):
        (left, right), (start, end) = groups[number - 1], groups[min(number, len(groups) - 1)]
        if number == len(groups) or end - start != right - left or written[right:start] not in _USUAL:
            rows += [(first, number - 1)] * (number - first)
            first = number
    return rows
