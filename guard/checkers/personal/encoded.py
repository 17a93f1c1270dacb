"""Text inside text: character references, percent-encoding and Base64, read with a way back to where they stand."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterable, Iterator

from guard.checkers.patterns import REACH, Match, compiled
from guard.checkers.shadow import Origin, Shadow, shadow

# Apart, each begins with a letter of its own, and looking for it costs next to nothing.
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ESCAPED = re.compile(rf"{_REFERENCE.pattern}|(?:{_PERCENT.pattern})+")
_UNFINISHED = re.compile(r"(?:&(?:#?[0-9A-Za-z]{0,8})?|%[0-9A-Fa-f]?)\Z")
_STRETCH = re.compile(rb"[0-9A-Za-z+/\x1f-]{16,4096}={0,2}")


def decoded(text: str) -> Shadow | None:
    """The shadow of a text with its references and percent codes resolved; None where it has none."""
    if _PERCENT.search(text) is None and _REFERENCE.search(text) is None:
        return None
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    last = 0
    for match in _ESCAPED.finditer(text):
        plain = _resolved(match.group())
        if plain is None:
            continue
        pieces += [text[last : match.start()], plain]
        starts.extend(range(last, match.start()))
        ends.extend(range(last + 1, match.start() + 1))
        starts.extend([match.start()] * len(plain))
        ends.extend([match.end()] * len(plain))
        last = match.end()
    if not pieces:
        return None
    pieces.append(text[last:])
    starts.extend(range(last, len(text)))
    ends.extend(range(last + 1, len(text) + 1))
    return shadow("".join(pieces), Origin(starts, ends), text)


def unfinished(text: str) -> int:
    """How many of the last characters may be the beginning of a reference or percent code."""
    match = _UNFINISHED.search(text, max(0, len(text) - 10))
    return len(text) - match.start() if match else 0


def _resolved(code: str) -> str | None:
    if code[0] == "%":
        try:
            return bytes.fromhex(code.replace("%", "")).decode()
        except UnicodeDecodeError:
            return None
    plain = html.unescape(code)
    return plain if plain != code else None


class Base64:
    """Runs `inside` over what stretches of Base64 hold, and reports whole stretches."""

    # ASCII has its highest bit clear, so the first of every four characters is one of the first 32 of the alphabet.
    gate = r"(?:^|[^0-9A-Za-z+/\x1f-])(?:[A-Za-f][0-9A-Za-z+/\x1f-]{3}){4}"
    tail = r"[0-9A-Za-z+/\x1f-]+={0,2}"
    exclusive = False

    def __init__(self, inside: Callable[[Shadow], Iterable[Match]]) -> None:
        self._inside = inside
        self._where = compiled(self.gate)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """What is found inside, as sure as it is there."""
        data = view.data
        place = max(0, start - 1)  # where what stands ahead of a stretch may be
        while place < stop and (found := self._where.search(data, place, min(len(data), stop + REACH))):
            begin = found.end() - 16
            if begin >= stop:
                return
            match = _STRETCH.match(data, begin)
            if match is None:  # never: the gate has seen its beginning
                return
            place = match.end()
            text = _plain_text(match.group())
            for inner in self._inside(shadow(text)) if text else ():
                yield Match(begin, match.end(), inner.category, inner.score)


def _plain_text(written: bytes) -> str | None:
    """What a stretch says, if that is printable ASCII: words and keys that merely look like Base64 say nothing."""
    if written.lower() == written or written.upper() == written:
        return None
    compact = written.translate(bytes.maketrans(b"-\x1f", b"+/")).rstrip(b"=")
    if len(compact) % 4 == 1:
        return None
    try:
        data = base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        return None
    text = data.decode("latin-1")
    return text if text.isascii() and text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else None
