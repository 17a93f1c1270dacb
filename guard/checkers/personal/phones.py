"""Phone numbers: international ones by their plus sign, national ones by their usual form or by the words before them.

What a valid number is, country by country, comes from the tables of the `phonenumbers` library; they are read here with one
expression a country, because the library's own parser costs a hundred times the rest of a check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from guard.checkers.patterns import Match
from guard.checkers.personal.context import says
from guard.checkers.shadow import Shadow

PHONE = "PHONE_NUMBER"
CONTEXT = (
    "phone", "telephone", "tel", "call", "mobile", "cell", "cellphone", "fax", "whatsapp", "signal", "sms", "text me", "dial",
    "ph", "hotline", "reach", "ring", "contact", "telefon", "telefono", "telefone", "t\u00e9l\u00e9phone", "handy", "rufnummer",
    "m\u00f3vil", "celular", "portable", "mob",
)  # fmt: skip
_CANDIDATE = re.compile(rb"(?<![0-9A-Za-z_+])(?:\+|00)?\(?\d(?:[ ().\-/]{0,3}\d){6,17}(?![0-9A-Za-z_])")
_USUAL = re.compile(rb"(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[ .-]\d{4}|\(?0\d{1,5}\)?[ /-][\d /-]{5,12}")
_DATE = re.compile(rb"(?:19|20)\d\d[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./](?:19|20)?\d\d(?!\d)")
_NUMBERED = re.compile(
    r"\b(?:order|invoice|ticket|article|item|serial|tracking|reference|ref|case|customer|account|model|part|booking|id|sku|isbn|ean)\b"
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
        self._regions = tuple(regions)
        self._before = before

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every phone number that begins a run of digits, or follows a plus sign or an opening bracket in one."""
        for match in _CANDIDATE.finditer(view.data, start, stop + 80):
            if match.start() >= stop:
                return
            if _begins(view.data, match.start()):
                written = match.group()
                found = _international(written) if written[:1] == b"+" or written[:2] == b"00" else None
                found = found or self._national(view, match.start(), written)
                if found is not None:
                    yield Match(match.start(), match.start() + found[0], PHONE, found[1])

    def _national(self, view: Shadow, start: int, written: bytes) -> tuple[int, float] | None:
        if _DATE.match(written):
            return None
        before, _ = view.around(start, start + 1, max(self._before, 32), 0)
        if _NUMBERED.search(before[-32:]):
            return None
        announced = bool(self._before) and says(before[-self._before :], CONTEXT)
        for end in _ends(written):
            part = written[:end]
            digits = part.translate(None, _NOT_DIGITS).decode()
            usual = len(digits) >= _LEAST_DIGITS and _USUAL.fullmatch(part) is not None
            if (announced or usual) and any(is_national(digits, region) for region in self._regions):
                return end, 0.85 if announced else 0.6
        return None


def _begins(data: bytes, start: int) -> bool:
    """Whether no digit of the same run stands ahead: what begins in the middle of a run of digits is no number."""
    if data[start] in b"+(":
        return True
    ahead = data[max(0, start - 3) : start].rstrip(b" ().-/")
    return not ahead[-1:].isdigit()


def _international(written: bytes) -> tuple[int, float] | None:
    """The longest valid number from the start of a candidate, else the longest that could be one; length and score."""
    fallback = None
    for end in _ends(written):
        digits = written[:end].translate(None, _NOT_DIGITS).decode()
        verdict = is_international(digits[2:] if written[:2] == b"00" else digits, b"(0)" in written[:end])
        if verdict:
            return end, 0.95
        if fallback is None and verdict is not None and written[:1] == b"+":
            fallback = end, 0.7
    return fallback


def _ends(written: bytes) -> list[int]:
    """Where a number may end: at the end of each group of digits, longest first."""
    return [match.end() for match in _GROUP.finditer(written) if match.end() >= 7][::-1][:6]


# --- the tables ----------------------------------------------------------------------------------------------------


class _Plan:
    """The numbers of one region: how long they are, what is valid, and the prefix that is dialled inside the country."""

    def __init__(self, region: str) -> None:
        from phonenumbers import PhoneMetadata

        about = PhoneMetadata.metadata_for_region(region, None) or PhoneMetadata.metadata_for_nongeo_region(int(region), None)
        kinds = (getattr(about, kind) for kind in _KINDS)
        valid = {kind.national_number_pattern for kind in kinds if kind is not None and kind.national_number_pattern}
        self.general = re.compile(about.general_desc.national_number_pattern or "(?!)")
        self.valid = re.compile("|".join(f"(?:{pattern})" for pattern in sorted(valid)) or "(?!)")
        self.prefix = re.compile(about.national_prefix_for_parsing) if about.national_prefix_for_parsing else None
        self.transform = about.national_prefix_transform_rule
        lengths = about.general_desc.possible_length
        self.lengths = frozenset(range(2, 18)) if not lengths or lengths == (-1,) else frozenset(lengths)

    def fits(self, number: str) -> bool:
        """Whether a national number is valid."""
        return (
            len(number) in self.lengths
            and self.general.fullmatch(number) is not None
            and self.valid.fullmatch(number) is not None
        )

    def national(self, digits: str) -> str:
        """Digits as dialled inside the country, without the prefix."""
        match = self.prefix.match(digits) if self.prefix else None
        if match is None or match.end() == 0:
            return digits
        if self.transform and match.lastindex:
            short = match.expand(re.sub(r"\$(\d)", r"\\\1", self.transform)) + digits[match.end() :]
        else:
            short = digits[match.end() :]
        kept = self.general.fullmatch(digits) is not None and self.general.fullmatch(short) is None
        return digits if kept else short


@lru_cache(maxsize=512)
def _plan(region: str) -> _Plan:
    return _Plan(region)


@lru_cache(maxsize=512)
def _regions(code: str) -> tuple[str, ...]:
    """The regions behind a calling code; for codes without a country, the code itself."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    return tuple(code if region == "001" else region for region in COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()))


def is_international(digits: str, bracketed: bool = False) -> bool | None:
    """Whether digits behind a plus sign are a valid number; None when they cannot be one at all."""
    for size in (1, 2, 3):
        code, number = digits[:size], digits[size:]
        if code[:1] == "0" or not number or not (regions := _regions(code)):
            continue
        main = _plan(regions[0])
        tries = [main.national(number)] if bracketed or number[0] == "0" else [number, main.national(number)]
        for national in dict.fromkeys([*tries, number]):
            if any(_plan(region).fits(national) for region in regions):
                return True
        return False if any(len(national) in main.lengths for national in tries) else None
    return None


def is_national(digits: str, region: str) -> bool:
    """Whether digits, as dialled inside a region, are a valid number of that region."""
    plan = _plan(region)
    return plan.fits(plan.national(digits))
