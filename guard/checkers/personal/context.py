"""Words near a match: what makes nine digits a tax number and not an order number."""

from __future__ import annotations

import re
from functools import lru_cache

from guard.checkers.shadow import Shadow

AFTER = 24  # characters behind a match in which a context word counts
_ALNUM_BEFORE, _ALNUM_AFTER = r"(?<![^\W_])", r"(?![^\W_])"
_SHORT = 4  # words up to this length must end where the word in the text ends, so that "sin" is not in "since"


@lru_cache(maxsize=512)
def expression(words: tuple[str, ...]) -> re.Pattern[str]:
    """Any of some words, from the beginning of a word in the text; scripts without spaces match anywhere."""
    options = []
    for word in sorted(words, key=len, reverse=True):
        if word.isascii() or (word[0].isalpha() and ord(word[0]) < 0x500):
            options.append(_ALNUM_BEFORE + re.escape(word) + (_ALNUM_AFTER if len(word) <= _SHORT else ""))
        else:
            options.append(re.escape(word))
    return re.compile("|".join(options), re.IGNORECASE)


def says(text: str, words: tuple[str, ...]) -> bool:
    """Whether one of the words (in lower case) stands in a stretch of text."""
    lower = text.lower()
    for word in words:  # nearly always there is none, and a plain look is the fastest way to know
        if word in lower:
            return expression(words).search(text) is not None
    return False


def near(view: Shadow, start: int, end: int, words: tuple[str, ...], *, before: int, after: int = AFTER) -> bool:
    """Whether one of the words stands within some characters before or after a match."""
    return any(says(text, words) for text in view.around(start, end, before, after) if text)
