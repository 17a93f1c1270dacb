"""Text inside text: characters that nobody sees, and payloads in base64, hexadecimal, percent signs, entities or rot13.

Everything here takes time linear in the text: what is decoded is never longer than what it was decoded from.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

_FLAGS = ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
          "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
          "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f")  # fmt: skip
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_FLAG = re.compile("|".join(_FLAGS))
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_ZERO_RUN = re.compile("[\u200b-\u200f\u2060-\u2064\u180e\ufeff\u115f\u1160\u3164]{8,}")
_IN_WORD = re.compile("(?<=[A-Za-z])[\u200b\u200c\u200d\u2060-\u2064\ufeff\u180e\u3164](?=[A-Za-z])")
_OVERRIDE = re.compile("[\u202d\u202e][^\u202c\n]{1,400}+")
_UNSEEN = re.compile(
    "[\u00ad\u180e\u115f\u1160\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
)
_STYLED = re.compile(
    r"(?:display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden|font-size\s{0,3}:\s{0,3}0|opacity\s{0,3}:\s{0,3}0\b"
    r"|color\s{0,3}:\s{0,3}(?:white|#fff(?:fff)?\b|transparent))[^<>]{0,200}+>([^<]{1,4000}+)",
    re.IGNORECASE,
)

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}+={0,2}(?:\s?\n[A-Za-z0-9+/_-]{16,}+={0,2})*+")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:(?:\\x|0x)?[0-9a-fA-F]{2}[ ,:]?){10,}+")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2}[\w.~-]{0,40}){4,}+")
_ENTITIES = re.compile(r"(?:&#x?[0-9a-fA-F]{1,6};\s?){6,}+")
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4}){6,}+")
_CODES = re.compile(r"(?<!\d)\d{2,3}(?:[ ,;]{1,2}\d{2,3}(?!\d)){11,}+")
_BINARY = re.compile(r"(?<!\d)(?:[01]{8}[ ,]?){8,}+")
_JOINED = re.compile(r"[\"']\s{0,3}\+\s{0,3}[\"']|/\*\*/")
_SPACED = re.compile(r"(?<!\w)\w(?:[ .\-_*]\w(?!\w)){3,400}+(?:[ .\-_*]{2,4}\w(?!\w)(?:[ .\-_*]\w(?!\w)){0,400}+)*+")
_READABLE = 0.85


@dataclass(frozen=True, slots=True)
class Hidden:
    """A stretch of the original that a reader does not see or cannot read; `text` is what it says, where it says anything."""

    start: int
    end: int
    how: str
    score: float
    text: str = ""


def unseen(text: str) -> Iterator[Hidden]:
    """Characters that hide something. Flags, emoji families, soft hyphens and the joiners of Persian and Hindi do not."""
    if text.isascii() or _UNSEEN.search(text) is None:
        return
    flags = {place for match in _FLAG.finditer(text) for place in range(*match.span())}
    for match in _TAGS.finditer(text):
        said = "".join(chr(ord(character) - 0xE0000) for character in match.group() if ord(character) >= 0xE0020)
        if not flags.issuperset(range(*match.span())):
            yield Hidden(*match.span(), "tag characters", 0.95, said)
    for match in _SELECTORS.finditer(text):
        codes = (ord(character) for character in match.group())
        data = bytes(code - 0xFE00 if code < 0xE0100 else code - 0xE0100 + 16 for code in codes)
        yield Hidden(*match.span(), "variation selectors", 0.9, data.decode("utf-8", "ignore"))
    for match in _ZERO_RUN.finditer(text):
        yield Hidden(*match.span(), "a run of characters without width", 0.9, _bits(match.group()))
    inside = [match.span() for match in _IN_WORD.finditer(text)]
    if inside:
        score = 0.3 if len(inside) < 3 else 0.6
        yield Hidden(inside[0][0], inside[-1][1], "characters without width inside words", score)
    for match in _OVERRIDE.finditer(text):
        yield Hidden(*match.span(), "an override of the direction of writing", 0.7, match.group()[:0:-1])


def _bits(run: str) -> str:
    """A run of two kinds of characters read as bits, either way round."""
    kinds = sorted(set(run))
    if len(kinds) != 2:
        return ""
    for zero, one in (kinds, kinds[::-1]):
        bits = run.replace(zero, "0").replace(one, "1")
        said = "".join(chr(int(bits[place : place + 8], 2)) for place in range(0, len(bits) - 7, 8))
        if said.isascii() and said.isprintable():
            return said
    return ""


def styled(text: str) -> Iterator[Hidden]:
    """Elements of HTML that are not shown, and comments."""
    if "<" not in text:
        return
    for match in _STYLED.finditer(text):
        yield Hidden(*match.span(1), "markup that is not shown", 0.0, match[1])
    start = text.find("<!--")
    while start >= 0:
        end = text.find("-->", start + 4)
        if end < 0:
            return
        if end > start + 4:
            yield Hidden(start + 4, end, "markup that is not shown", 0.0, text[start + 4 : end])
        start = text.find("<!--", end + 3)


def decoded(text: str) -> Iterator[Hidden]:
    """Stretches that decode to readable text."""
    for expression, how, read in _CODECS:
        for match in expression.finditer(text):
            said = read(match.group())
            if _is_readable(said):
                yield Hidden(*match.span(), how, 0.0, said)


def rot13(text: str) -> str:
    """The text with its letters turned by thirteen places; same length."""
    return codecs.encode(text, "rot13")


def joined(text: str) -> tuple[str, list[int]] | None:
    """The text with spelled-out words and concatenated strings put together, and the place of each character; or None."""
    cuts = [match.span() for match in _JOINED.finditer(text)] if "+" in text or "/**/" in text else []
    pieces: list[tuple[int, int, str]] = [(start, end, "") for start, end in cuts]
    for match in _SPACED.finditer(text):
        place = match.start()
        for part in re.split(r"([ .\-_*]{2,4})", match.group()):
            pieces += [
                (place + offset, place + offset + 1, "") for offset in range(1, len(part), 2) if part.strip(" .-_*")
            ]
            place += len(part)
    if not pieces:
        return None
    kept: list[str] = []
    at: list[int] = []
    last = 0
    for start, end, _ in sorted(pieces):
        if start < last:
            continue
        kept.append(text[last:start])
        at.extend(range(last, start))
        last = end
    kept.append(text[last:])
    at.extend(range(last, len(text)))
    return "".join(kept), at


def _is_readable(text: str) -> bool:
    if len(text) < 8 or "\ufffd" in text:
        return False
    sample = text[:4000]
    plain = sum(character.isprintable() or character in "\n\t" for character in sample)
    letters = sum(character.isalpha() or character == " " for character in sample)
    if plain < _READABLE * len(sample) or letters < 0.6 * len(sample):
        return False
    return " " in sample or _BASE64.fullmatch(text) is not None


def _from_base64(found: str) -> str:
    packed = "".join(found.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    if len(packed) % 4 == 1:
        packed = packed[:-1]
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _from_hex(found: str) -> str:
    digits = re.sub(r"\\x|0x|[ ,:]", "", found)
    return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8", "replace")


def _from_codes(found: str) -> str:
    codes = [int(code) for code in re.findall(r"\d+", found)]
    return "".join(map(chr, codes)) if all(9 <= code < 256 for code in codes) else ""


def _from_binary(found: str) -> str:
    bits = re.sub(r"[ ,]", "", found)
    return "".join(chr(int(bits[place : place + 8], 2)) for place in range(0, len(bits) - 7, 8))


def _from_escapes(found: str) -> str:
    return "".join(chr(int(code, 16)) for code in found.split("\\u")[1:])


_CODECS = (
    (_BASE64, "base64", _from_base64),
    (_HEX, "hexadecimal", _from_hex),
    (_PERCENT, "percent-encoding", urllib.parse.unquote),
    (_ENTITIES, "character references", html.unescape),
    (_ESCAPES, "escapes", _from_escapes),
    (_CODES, "character codes", _from_codes),
    (_BINARY, "binary", _from_binary),
)
