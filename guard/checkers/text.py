"""Reading text as a person sees it, without losing the place: folding look-alike digits, and cutting into sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guard.charmap import Table
from guard.types import Item, Span, Text

# Characters without a width of their own, which hide inside numbers and words: soft hyphen, joiners, marks of direction,
# variation selectors, the byte order mark and the tag characters.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e007f]"
)
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\ufe58\ufe63\uff0d")

_SENTENCE = re.compile(r"[^.!?\n\u2026\u3002\uff01\uff1f]*[.!?\n\u2026\u3002\uff01\uff1f]*")


@dataclass(frozen=True, slots=True)
class Folded:
    """Text made plain, with `at[i]` the place of its character i in the original (None: nothing moved)."""

    text: str
    at: Sequence[int] | None = None

    def span(self, start: int, end: int) -> Span:
        """The original characters behind a stretch of the plain text."""
        if self.at is None:
            return Span(start, end)
        return Span(self.at[start], self.at[end - 1] + 1)


def _plain(character: str) -> str:
    if character in _DASHES:
        return "-"
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    compatible = unicodedata.normalize("NFKC", character)
    if len(compatible) != 1:
        return " " if character.isspace() else character
    return " " if compatible.isspace() and compatible != "\n" else compatible


_TABLE = Table(_plain)


def fold(text: str) -> Folded:
    """Map digits of every script, full-width forms, dashes and spaces to plain ones; take out what has no width."""
    if text.isascii():
        return Folded(text)
    if _INVISIBLE.search(text) is None:
        return Folded(text.translate(_TABLE))
    at: list[int] = []
    pieces: list[str] = []
    last = 0
    for match in _INVISIBLE.finditer(text):
        pieces.append(text[last : match.start()])
        at.extend(range(last, match.start()))
        last = match.end()
    pieces.append(text[last:])
    at.extend(range(last, len(text)))
    return Folded("".join(pieces).translate(_TABLE), at)


def sentences(text: str) -> Iterator[Span]:
    """Stretches that end in a full stop, a question or exclamation mark or a line break, without the space around them."""
    for match in _SENTENCE.finditer(text):
        piece = match.group()
        start = match.start() + len(piece) - len(piece.lstrip())
        end = match.start() + len(piece.rstrip())
        if start < end:
            yield Span(start, end)


def last_sentence(text: str) -> int:
    """Where the last of the `sentences` of a text begins, space included: what more text could go on."""
    return max((match.start() for match in _SENTENCE.finditer(text) if match.group()), default=0)


def text_of(item: Item) -> str:
    """The text of an item that a checker with `kinds = {"text"}` is handed."""
    if not isinstance(item.content, Text):
        raise TypeError(f"this checker reads text, not {item.content.kind}")
    return item.content.text


def windows(size: int, room: int, lap: int) -> list[Span]:
    """Stretches of at most `room` that cover 0 to `size`, each beginning `lap` before the one before it ends."""
    if size <= room:
        return [Span(0, size)]
    starts = range(0, size - lap, room - lap)
    return [Span(start, min(start + room, size)) for start in starts]
