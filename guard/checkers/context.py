"""Words near a match: what makes nine digits a tax number and not an order number."""

from __future__ import annotations

import re
from functools import lru_cache

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


def near(text: str, start: int, end: int, words: tuple[str, ...], *, before: int, after: int) -> bool:
    """Whether one of the words stands within some characters before or after a match."""
    if not words:
        return False
    seek = expression(words).search
    return seek(text[max(0, start - before) : start]) is not None or seek(text[end : end + after]) is not None
