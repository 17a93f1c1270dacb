"""Characters to what they become: for `str.translate`, and for eyes that must not be deceived."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

_MOST = 1 << 16  # characters that are remembered


class Table(dict[int, str]):
    """What a character becomes, worked out by `plain` when it is first met. Threads may share one."""

    def __init__(self, plain: Callable[[str], str], known: Mapping[int, str] = {}) -> None:
        super().__init__(known)
        self._plain = plain

    def __missing__(self, code: int) -> str:
        plain = self._plain(chr(code))
        if len(self) < _MOST:
            self[code] = plain
        return plain


def harmless(text: str) -> str:
    """Control, format and bidirectional characters as ⟨U+XXXX⟩; line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
        else f"⟨U+{ord(char):04X}⟩"
        for char in text
    )
