"""Identifiers made of groups of digits, all kinds in one walk over the groups of a text.

The lengths of the groups lead through a tree ("3-2-4": three digits, two, four) to the kinds that are written so; most walks
end at the first or second group, so a table of numbers costs little more than one look-up a group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from guard.checkers.patterns import Match
from guard.checkers.personal.context import AFTER, near
from guard.checkers.personal.identifiers import Kind
from guard.checkers.shadow import Shadow

SEPARATOR = "[^0-9A-Za-z_]{0,3}"  # up to three characters that are neither digits nor letters
_RUN = re.compile(rb"\d(?:[^0-9A-Za-z_]{0,3}\d){6,}")
_GROUP = re.compile(rb"\d+")
_USUAL = frozenset((b" ", b"-", b".", b"/", b" - ", b". ", b"  ", b" -", b"- "))
_CARD = "CREDIT_CARD"  # so distinctive that any separator will do, line ends included, and letters may touch it ("CC4111…")
_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_LONGEST = 19 + 18 * 3  # bytes from the first digit of a number to its last
_NOT_DIGITS = bytes(code for code in range(256) if not 48 <= code <= 57)


class _Node:
    """A place in the tree of shapes: the kinds that end here, and where each length of a next group leads."""

    __slots__ = ("kinds", "next")

    def __init__(self) -> None:
        self.kinds: list[tuple[Kind, tuple[str, ...]]] = []
        self.next: dict[int, _Node] = {}


class Numbers:
    """Finds the kinds of a table. `before` is how many characters ahead of a number may hold a word that names it."""

    gate = rf"\d(?:{SEPARATOR}\d){{6}}"
    tail = rf"\d(?:{SEPARATOR}\d){{0,18}}{SEPARATOR}|\d(?:{SEPARATOR}\d){{6,18}}(?s:.){{0,{AFTER}}}"
    exclusive = False

    def __init__(self, kinds: Sequence[Kind], before: int) -> None:
        self._before = before
        self._root = _Node()
        for kind in kinds:
            for shape in kind.form.split():
                node = self._root
                for length in map(int, shape.split("-")):
                    node = node.next.setdefault(length, _Node())
                node.kinds.append((kind, kind.words))

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every stretch that has the form and check digits of a kind, overlaps included."""
        data = view.data
        while start and start < stop and data[start - 1 : start].isdigit() and data[start : start + 1].isdigit():
            start += 1  # this group began before, and was looked at there
        for run in _RUN.finditer(data, start, stop + _LONGEST):
            groups = [group.span() for group in _GROUP.finditer(data, *run.span())]
            for first, (begin, _) in enumerate(groups):
                if begin >= stop:
                    return
                yield from self._from(view, groups, first, begin)

    def _from(self, view: Shadow, groups: Sequence[tuple[int, int]], first: int, begin: int) -> Iterator[Match]:
        data, node, usual, behind = view.data, self._root, True, begin
        for number in range(first, len(groups)):
            left, right = groups[number]
            if number > first and data[behind:left] not in _USUAL:
                usual = False
            following = node.next.get(right - left)
            if following is None:
                return
            node, behind = following, right
            if node.kinds:
                digits = ""
                for kind, words in node.kinds:
                    if not (usual or kind.category == _CARD) or not _stands_alone(data, begin, right, kind):
                        continue
                    digits = digits or data[begin:right].translate(None, _NOT_DIGITS).decode()
                    if kind.valid(digits):
                        score = kind.alone if number > first else kind.bare
                        if score < kind.near and near(view, begin, right, words, before=self._before):
                            score = kind.near
                        if score:
                            yield Match(begin, right, kind.category, score)


def _stands_alone(data: bytes, start: int, end: int, kind: Kind) -> bool:
    """Letters may touch a card number; other kinds stand apart from letters."""
    if kind.category == _CARD:
        return True
    return not ((start and data[start - 1] in _WORD) or (end < len(data) and data[end] in _WORD))
