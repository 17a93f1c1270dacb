"""Phone numbers: international ones by their plus sign, national ones by their usual form or by the words before them.

What a valid number is, country by country, comes from the tables of the `phonenumbers` library; they are read here with one
expression a country, because the library's own parser costs a hundred times the rest of a check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from guard.checkers.patterns import Match
from guard.checkers.personal.context import Nearby, Words, mentions
from guard.checkers.shadow import Shadow

PHONE = "PHONE_NUMBER"
CONTEXT = Words((
    "phone", "telephone", "tel", "call", "mobile", "cell", "cellphone", "fax", "whatsapp", "signal", "sms", "text me", "dial",
    "ph", "hotline", "reach", "ring", "contact", "telefon", "telefono", "telefone", "t\u00e9l\u00e9phone", "handy", "rufnummer",
    "m\u00f3vil", "celular", "portable", "mob",
))  # fmt: skip
_CANDIDATE = re.compile(rb"\d(?:[ ().\-/]{0,3}\d){6,17}(?![0-9A-Za-z_])")
_BEFORE = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_+")
_USUAL = re.compile(rb"(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[ .-]\d{4}|\(?0\d{1,5}\)?[ /-][\d /-]{5,12}")
# Dates, network addresses, US social security numbers and cards, none of which is how anybody writes a phone number.
_OTHER = re.compile(
    rb"(?:19|20)\d\d[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./](?:19|20)?\d\d(?!\d)|\d{1,3}(?:\.\d{1,3}){3}\Z|"
    rb"\d{3}-\d\d-\d{4}\Z|\d{4}(?:[ -]?\d{4}){3}\Z"
)
_NUMBERABLE = Words((
    "order", "invoice", "ticket", "article", "item", "serial", "tracking", "reference", "ref", "case", "customer", "account",
    "model", "part", "booking", "id", "sku", "isbn", "ean",
))  # fmt: skip
_NUMBERED = re.compile(
    rf"\b(?:{'|'.join(_NUMBERABLE.words)})\b"
    r"\W{0,3}(?:number|code|id|no|nr)?\W{0,4}(?:is\s)?$",
    re.IGNORECASE,
)
_GROUP = re.compile(rb"\d+\)?")
_NOT_DIGITS = bytes(code for code in range(256) if not 48 <= code <= 57)
_LEAST_DIGITS = 10  # for a national number that no word announces
_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan", "voicemail",
)  # fmt: skip


class Phones:
    """Finds numbers of every country with a plus sign, and national ones of some regions (ISO 3166 codes)."""

    gate = r"\d(?:[ ().\-/]{0,3}\d){6}"
    tail = r"[+(]{0,2}(?:\d(?:[ ().\-/]{0,3}\d){0,18})?[ ().\-/]{0,3}"
    exclusive = False

    def __init__(self, regions: Sequence[str], before: int) -> None:
        self._plans = [plan_of(region) for region in regions]
        self._before = before

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every phone number that begins a run of digits, or follows a plus sign or an opening bracket in one."""
        data = view.data
        for match in _CANDIDATE.finditer(data, start, stop + 80):
            begin = match.start()
            if begin >= stop:
                return
            for opening in (40, 43):  # "(" and "+"
                if begin and data[begin - 1] == opening:
                    begin -= 1
            if begin and data[begin - 1] in _BEFORE:
                continue
            written = data[begin : match.end()]
            if written[0] in b"+(" or not data[max(0, begin - 3) : begin].rstrip(b" ().-/")[-1:].isdigit():
                found = _international(written) if written[0] == 43 or written[:2] == b"00" else None
                found = found or self._national(view, begin, written)
                if found is not None:
                    size, score = found
                    inside = written[0] == 40 and 41 not in written[:size]  # the bracket belongs to the sentence
                    yield Match(begin + inside, begin + size, PHONE, score)

    def _national(self, view: Shadow, start: int, written: bytes) -> tuple[int, float] | None:
        usually = _USUAL.match(written) is not None
        if not (usually or mentions(view, CONTEXT)) or _OTHER.match(written):
            return None
        nearby = Nearby(view, start, start + 1, self._before, 0)
        announced = nearby.says(CONTEXT)
        if not (usually or announced):
            return None
        if mentions(view, _NUMBERABLE) and _NUMBERED.search(view.around(start, start + 1, 32, 0)[0]):
            return None
        for end in _ends(written):
            part = written[:end]
            digits = part.translate(None, _NOT_DIGITS).decode()
            if announced or (len(digits) >= _LEAST_DIGITS and _USUAL.fullmatch(part) is not None):
                for plan in self._plans:
                    if plan.dials(digits):
                        return end, 0.85 if announced else 0.6
        return None


def _international(written: bytes) -> tuple[int, float] | None:
    """The longest valid number from the start of a candidate, else the longest that could be one; length and score."""
    fallback = None
    for end in _ends(written):
        digits = written[:end].translate(None, _NOT_DIGITS).decode()
        verdict = is_international(digits[2:] if written[:2] == b"00" else digits)
        if verdict:
            return end, 0.95
        if fallback is None and verdict is not None and written[:1] == b"+":
            fallback = end, 0.7
    return fallback


def _ends(written: bytes) -> list[int]:
    """Where a number may end: at the end of each group of digits, longest first."""
    return [match.end() for match in _GROUP.finditer(written) if match.end() >= 7][::-1][:6]


# --- the tables ----------------------------------------------------------------------------------------------------


def valid_numbers(about: Sequence[Any]) -> str:
    """One expression for all national numbers that phonenumbers' metadata of some regions calls valid."""
    kinds = [kind for region in about for name in _KINDS if (kind := getattr(region, name)) is not None]
    patterns = sorted({kind.national_number_pattern for kind in kinds if kind.national_number_pattern})
    return "|".join(f"(?:{pattern})" for pattern in patterns)


class _Plan:
    """The numbers of some regions that share a calling code (or of one): what is valid, and the prefix dialled inside."""

    def __init__(self, *regions: str) -> None:
        from phonenumbers import PhoneMetadata

        about: list[Any] = [
            PhoneMetadata.metadata_for_region(region, None)
            or PhoneMetadata.metadata_for_nongeo_region(int(region), None)
            for region in regions
        ]
        self._valid = re.compile(valid_numbers(about))
        main = about[0]
        self._general = re.compile(main.general_desc.national_number_pattern)
        self._prefix = re.compile(main.national_prefix_for_parsing) if main.national_prefix_for_parsing else None
        self._transform = re.sub(r"\$(\d)", r"\\\1", main.national_prefix_transform_rule or "")
        self.lengths = frozenset(length for region in about for length in region.general_desc.possible_length)
        # Prefixes take up to five digits, and a few countries put some back.
        self._dialled = frozenset(
            size + more for size in self.lengths for more in range(-5 if self._transform else 0, 6)
        )

    def fits(self, number: str) -> bool:
        """Whether a national number is valid."""
        return len(number) in self.lengths and self._valid.fullmatch(number) is not None

    def national(self, digits: str) -> str:
        """Digits as dialled inside the country, without the prefix."""
        match = self._prefix.match(digits) if self._prefix else None
        if match is None or match.end() == 0:
            return digits
        put_back = match.expand(self._transform) if self._transform and match.lastindex else ""
        short = put_back + digits[match.end() :]
        kept = self._general.fullmatch(digits) is not None and self._general.fullmatch(short) is None
        return digits if kept else short

    def dials(self, digits: str) -> bool:
        """Whether digits, as dialled inside the country, are a valid number."""
        return len(digits) in self._dialled and self.fits(self.national(digits))


@lru_cache(maxsize=512)
def plan_of(region: str) -> _Plan:
    """The plan of one region, by its ISO 3166 code."""
    return _Plan(region)


@lru_cache(maxsize=512)
def _behind(code: str) -> _Plan | None:
    """The plan of a calling code; those without a country stand in the tables under the code itself."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    regions = [code if region == "001" else region for region in COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())]
    return _Plan(*regions) if regions else None


def is_international(digits: str) -> bool | None:
    """Whether digits behind a plus sign are a valid number; None when they cannot be one at all."""
    for size in (1, 2, 3):
        code, number = digits[:size], digits[size:]
        plan = _behind(code) if code[:1] != "0" and number else None
        if plan is not None:
            # "+44 (0)20 …": some write the prefix that is dialled inside the country as well.
            if plan.fits(number) or plan.fits(plan.national(number)):
                return True
            return False if len(number) in plan.lengths else None
    return None
