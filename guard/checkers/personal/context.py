"""Words near a match: what makes nine digits a tax number and not an order number."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from guard.checkers.shadow import Shadow, initials, shadow

AFTER = 24  # characters behind a match in which a context word counts
_NONE: frozenset[bytes] = frozenset()
_SHORT = 4  # words up to this length must end where the word in the text ends, so that "sin" is not in "since"


class Words:
    """Some words and phrases, ready to be looked for. Case does not count.

    One stands in a text where a word of the text begins with it; up to `_SHORT` letters, where a word is it. Scripts that do
    not set words apart match anywhere.
    """

    __slots__ = ("_anywhere", "foreign", "keys", "words")

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(sorted({word.strip().lower() for word in words} - {""}))
        self._anywhere = frozenset(word for word in self.words if not word[0].isalnum() or ord(word[0]) >= 0x500)
        # By the first letters of its first word each is looked up before anything else is done.
        firsts = [initials(shadow(re.split(r"[\W_]", word.lstrip("_"))[0]).data) for word in self.words]
        self.keys = frozenset(itertools.chain(*firsts))
        self.foreign = not all(firsts)  # some words have no likeness in ASCII

    def __bool__(self) -> bool:
        return bool(self.words)

    def within(self, text: str) -> bool:
        """Whether one of the words stands in a text, whose first character only tells whether a word begins behind it."""
        lower = text.lower()
        for word in self.words:
            if word in lower and (lower.find(word, 1) > 0 if word in self._anywhere else _stands(lower, word)):
                return True
        return False


def _stands(text: str, word: str) -> bool:
    at, size = text.find(word, 1), len(word)
    while at >= 0:
        if not text[at - 1 : at].isalnum() and not (size <= _SHORT and text[at + size : at + size + 1].isalnum()):
            return True
        at = text.find(word, at + 1)
    return False


def mentions(view: Shadow, words: Words) -> bool:
    """Whether a text may hold one of the words anywhere: a quick look that may say yes too often, never no."""
    return not words.keys.isdisjoint(view.initials) or (words.foreign and not view.plain)


class Nearby:
    """What stands within some characters before and behind a match; looked at once, for any number of kinds."""

    __slots__ = ("_ahead", "_behind", "_parts", "_span", "_view")

    def __init__(self, view: Shadow, start: int, end: int, before: int, after: int = AFTER) -> None:
        self._view, self._span = view, (start, end, before, after)
        # Characters without a width make the shadow shorter than the text, so this sees no less than the text has.
        self._ahead = view.initials_ahead(start, before)
        self._behind = initials(view.data[end : end + after]) if after else _NONE
        self._parts: tuple[str, str] | None = None

    def perhaps(self, words: Words) -> bool:
        """Whether one of the words may be there: a quick look that may say yes too often, never no."""
        keys = words.keys
        return (
            not keys.isdisjoint(self._ahead)
            or not keys.isdisjoint(self._behind)
            or (words.foreign and not self._view.plain)
        )

    def says(self, words: Words) -> bool:
        """Whether one of the words is there."""
        if not self.perhaps(words):
            return False
        if self._parts is None:
            self._parts = self._view.around(*self._span)
        return words.within(self._parts[0]) or words.within(self._parts[1])
