"""The shadow of a text: what a person reads, in ASCII, one byte for each character that has a width of its own.

Expressions and check digits then need to know ASCII only, and `Shadow.span` leads back to the original characters. Digits of
every script become 0 to 9, full-width and look-alike letters the Latin ones, accented letters their base, dashes "-", spaces
" ", line ends "\\n"; what has no width is left out. Two bytes have a meaning of their own: `_` is a letter that looks like no
Latin one (so that it counts as part of a word), and \\x1f is an underscore (so that it does not).
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from guard.charmap import Table
from guard.types import Span

UNDERSCORE, LETTER, SYMBOL = "\x1f", "_", "*"
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u30fc\ufe58\ufe63\uff0d")
_DOTS = frozenset("\u2024\u3002\uff0e\uff61\u06d4")
_LINES = frozenset("\u0085\u2028\u2029")
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
# Letters of other scripts that are drawn like Latin ones, pairwise.
_LOOKALIKES = dict(
    zip(
        "аеорсухіјѕһԁԛԝВАЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρıɑɡᴏʜɪᴋᴜօ",
        "aeopcyxijshdqwBAEKMHOPCTYXIJSABEZHIKMNOPTYXovpiagohikuo",
        strict=True,
    )
)
# Scripts whose words are not set apart by spaces: a number beside their letters stands alone.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x2E80, 0x9FFF), (0xA960, 0xA97F),
    (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0xFF66, 0xFFDC), (0x20000, 0x3FFFF),
)  # fmt: skip


# To lower case, and all but letters and digits to spaces.
_WORDS = bytes(code if code < 128 and chr(code).isalnum() else 32 for code in bytes(range(256)).lower())


def _plain(character: str) -> str:
    """One ASCII character or none."""
    kind = unicodedata.category(character)
    if kind in ("Mn", "Me", "Mc", "Cf") or character in _FILLERS:
        return ""
    if kind == "Cs":
        return SYMBOL
    if character in _DASHES:
        return "-"
    if character in _DOTS:
        return "."
    if character in _LINES:
        return "\n"
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    compatible = unicodedata.normalize("NFKC", character)
    if len(compatible) == 1 and compatible.isascii():
        return UNDERSCORE if compatible == "_" else compatible
    if kind[0] == "Z":
        return " "
    if kind[0] != "L":
        return SYMBOL
    if character in _LOOKALIKES:
        return _LOOKALIKES[character]
    base = unicodedata.normalize("NFKD", character)[0]
    if base.isascii() and base.isalpha():
        return base
    return _LOOKALIKES.get(base) or (SYMBOL if _unspaced(ord(character)) else LETTER)


def _unspaced(code: int) -> bool:
    return any(first <= code <= last for first, last in _UNSPACED)


_TABLE = Table(_plain, {code: chr(code) for code in range(128)} | {ord("_"): UNDERSCORE})


def _beyond_ascii(error: UnicodeError) -> tuple[str, int]:
    """What `encode` asks about each run of characters beyond ASCII; all others pass at the speed of C."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return error.object[error.start : error.end].translate(_TABLE), error.end


def _without_letters(error: UnicodeError) -> tuple[str, int]:
    plain, place = _beyond_ascii(error)
    return plain.replace(LETTER, SYMBOL), place


codecs.register_error("guard.shadow", _beyond_ascii)
codecs.register_error("guard.tokens", _without_letters)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the characters of a decoded text come from: character i stands for `starts[i]` to `ends[i]` of the original."""

    starts: Sequence[int]
    ends: Sequence[int]


@dataclass(slots=True)
class Shadow:
    """`data` is the shadow of `text`; byte i belongs to one character of it.

    Where `text` was itself decoded from something, `origin` and `source` (the original) carry spans one step further.
    """

    text: str
    data: bytes
    origin: Origin | None = None
    source: str = ""
    _at: list[int] = field(default_factory=list)

    _initials: set[bytes] | None = None
    _ahead: dict[tuple[int, int], set[bytes]] = field(default_factory=dict)
    plain: bool = field(init=False)  # whether the text is its own shadow, underscores apart

    def __post_init__(self) -> None:
        self.plain = self.text.isascii()

    def span(self, start: int, end: int) -> Span:
        """The characters of the original behind bytes `start` to `end`, grown so that no grapheme cluster is cut."""
        if self.plain and self.origin is None:
            return Span(start, end)
        if len(self.data) != len(self.text):
            at = self._places()
            start, end = at[start], at[end - 1] + 1
        if self.origin is not None:
            start, end = self.origin.starts[start], self.origin.ends[end - 1]
        return whole_clusters(self.source if self.origin else self.text, start, end)

    def around(self, start: int, end: int, before: int, after: int) -> tuple[str, str]:
        """Up to `before` characters of the text ahead of bytes `start` to `end`, and up to `after` behind them, each behind the
        character that stands ahead of it (a line end at the beginning of the text)."""
        if len(self.data) != len(self.text):
            at = self._places()
            start, end = at[start], at[end - 1] + 1
        return around(self.text, start, end, before, after)

    @property
    def initials(self) -> set[bytes]:
        """The first letters of every word of the text; see `initials`."""
        if self._initials is None:
            self._initials = initials(self.data)
        return self._initials

    def initials_ahead(self, start: int, size: int) -> set[bytes]:
        """The same of the `size` bytes ahead of a place; what was asked last is remembered."""
        found = self._ahead.get((start, size))
        if found is None:
            if len(self._ahead) >= 64:
                self._ahead.clear()
            found = self._ahead[start, size] = initials(self.data[start - size if start > size else 0 : start])
        return found

    def _places(self) -> list[int]:
        if not self._at:  # made when first needed: most texts hold nothing to report
            self._at = [place for place, character in enumerate(self.text) if _TABLE[ord(character)]]
        return self._at


def initials(data: bytes) -> set[bytes]:
    """The first (up to) four letters or digits of each word of a shadow, in lower case."""
    return {word[:4] for word in data.translate(_WORDS).split()}


def around(text: str, start: int, end: int, before: int, after: int) -> tuple[str, str]:
    """See `Shadow.around`."""
    ahead = text[start - before - 1 : start] if start > before else f"\n{text[:start]}"
    return ahead, text[end - 1 : end + after]


def tokens(text: str) -> Shadow:
    """A shadow for what machines make: underscores stay, and a letter that looks like no Latin one ends a word."""
    return Shadow(text, text.encode("ascii", "guard.tokens"))


def shadow(text: str, origin: Origin | None = None, source: str = "") -> Shadow:
    """The shadow of a text. Time linear in its length."""
    return Shadow(text, text.replace("_", UNDERSCORE).encode("ascii", "guard.shadow"), origin, source)


def whole_clusters(text: str, start: int, end: int) -> Span:
    """A span grown to the right over marks, joiners and modifiers that belong to its last character."""
    while end < len(text) and (code := ord(text[end])) > 0x2FF and _extends(text[end], code):
        end += 1
    return Span(start, end)


def _extends(character: str, code: int) -> bool:
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or code in (0x200C, 0x200D, 0xFF9E, 0xFF9F)
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
    )
