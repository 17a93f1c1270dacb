"""Phone numbers: international ones by their plus sign, national ones by their usual form or by the words before them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from guard.checkers.context import near

CONTEXT = (
    "phone", "telephone", "tel", "call", "mobile", "cell", "cellphone", "fax", "whatsapp", "signal", "sms", "text me", "dial",
    "ph", "hotline", "reach", "ring", "contact", "telefon", "telefono", "telefone", "t\u00e9l\u00e9phone", "handy", "rufnummer",
    "m\u00f3vil", "celular", "portable", "mob",
)  # fmt: skip
_CANDIDATE = re.compile(r"(?<![\w+])(?:\+|00)?\(?\d(?:[ ().\-/]{0,3}\d){6,17}(?![^\W_])")
_INTERNATIONAL = re.compile(r"(?:\+|00)")
_USUAL = re.compile(r"(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[ .-]\d{4}|\(?0\d{1,5}\)?[ /-][\d /-]{5,12}")
_DATE = re.compile(r"(?:19|20)\d\d[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./](?:19|20)?\d\d(?!\d)")
_NUMBERED = re.compile(
    r"\b(?:order|invoice|ticket|article|item|serial|tracking|reference|ref|case|customer|account|model|part|booking|id|sku|isbn|ean)\b"
    r"\W{0,3}(?:number|code|id|no|nr)?\W{0,4}(?:is\s)?$",
    re.IGNORECASE,
)
_LEAST_DIGITS = 10  # for a national number that no word announces


class Phone(NamedTuple):
    """Where a phone number stands, and how sure that is."""

    start: int
    end: int
    score: float


def phone_numbers(text: str, regions: Sequence[str], window: int) -> Iterator[Phone]:
    """Every phone number in plain text, without overlaps."""
    for match in _CANDIDATE.finditer(text):
        found = _international(match) if _INTERNATIONAL.match(match.group()) else None
        found = found or _national(text, match, regions, window)
        if found is not None:
            yield found


def _international(match: re.Match[str]) -> Phone | None:
    """The longest valid number from the start of a candidate, else the longest that could be one."""
    import phonenumbers

    written = match.group()
    fallback: Phone | None = None
    for end in _ends(written):
        text = written[:end]
        number = _parsed(phonenumbers, "+" + text[2:] if text.startswith("00") else text, None)
        if number is not None and phonenumbers.is_valid_number(number):
            return Phone(match.start(), match.start() + end, 0.95)
        if fallback is None and text[0] == "+" and number is not None and phonenumbers.is_possible_number(number):
            fallback = Phone(match.start(), match.start() + end, 0.7)
    return fallback


def _national(text: str, match: re.Match[str], regions: Sequence[str], window: int) -> Phone | None:
    import phonenumbers

    if _DATE.match(match.group()) or _NUMBERED.search(text[max(0, match.start() - 32) : match.start()]):
        return None
    announced = near(text, *match.span(), CONTEXT, before=window, after=0)
    for end in _ends(match.group()):
        written = match.group()[:end]
        usual = _USUAL.fullmatch(written) is not None and sum(map(str.isdigit, written)) >= _LEAST_DIGITS
        if not announced and not usual:
            continue
        for region in regions:
            number = _parsed(phonenumbers, written, region)
            if number is not None and phonenumbers.is_valid_number_for_region(number, region):
                return Phone(match.start(), match.start() + end, 0.85 if announced else 0.6)
    return None


def _ends(written: str) -> list[int]:
    """Where a number may end: at the end of each group of digits, longest first."""
    return [match.end() for match in re.finditer(r"\d+\)?", written) if match.end() >= 7][::-1][:6]


def _parsed(phonenumbers: Any, written: str, region: str | None) -> Any:
    try:
        return phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
