"""Phone numbers of several regions in one text: what PhoneNumberMatcher finds for each, without parsing everything for each.

A number that names its country is parsed once. One that does not, and has nothing that could be taken off its beginning, is
compared with the numbers that there are in a region before phonenumbers parses it; what this refuses cannot be valid.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import regex  # type: ignore[import-untyped]
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, Leniency, PhoneNumberMatcher
from phonenumbers.phonemetadata import PhoneMetadata
from phonenumbers.phonenumbermatcher import _PATTERN as MAY_BE_PHONE

from guard.checkers.personal.phones import valid_numbers

_PLUS = regex.compile("[(\\[（［]*[+＋]")
_PLAIN = regex.compile(r"[0-9 ()./\[\]-]*")


def phone_spans(text: str, regions: Sequence[str], leniency: int) -> set[tuple[int, int]]:
    """Start and end of each number that PhoneNumberMatcher finds for one of the regions (ISO 3166 codes)."""
    if MAY_BE_PHONE.search(text) is None:
        return set()
    shared = _Shared()
    return {(match.start, match.end) for region in regions for match in _Matcher(text, region, leniency, shared)}


@dataclass(slots=True)
class _Shared:
    """What the matchers of several regions learn of one text, by place and candidate, that depends on no region."""

    tried: dict[tuple[int, str], list[tuple[str, int]]] = field(default_factory=dict)  # all that a candidate holds
    international: dict[tuple[int, str], Any] = field(default_factory=dict)


class _Matcher(PhoneNumberMatcher):
    def __init__(self, text: str, region: str, leniency: int, shared: _Shared) -> None:
        super().__init__(text, region, leniency=leniency)
        self._shared = shared
        self._trying: list[tuple[str, int]] = []
        self._refuses = _region(region).refuses if leniency >= Leniency.VALID else None

    def _extract_match(self, candidate: str, offset: int) -> Any:
        tried = self._shared.tried.get((offset, candidate))
        if tried is not None:
            return next((found for it in tried if (found := self._parse_and_verify(*it)) is not None), None)
        self._trying = []
        found = super()._extract_match(candidate, offset)
        if found is None:  # else the rest was not looked at
            self._shared.tried[offset, candidate] = self._trying
        return found

    def _parse_and_verify(self, candidate: str, offset: int) -> Any:
        self._trying.append((candidate, offset))
        digits = _plain_digits(candidate)
        if digits is not None and self._refuses is not None:
            return None if self._refuses(digits) else super()._parse_and_verify(candidate, offset)
        if not _international(candidate):
            return super()._parse_and_verify(candidate, offset)
        known, key = self._shared.international, (offset, candidate)
        if key not in known:
            known[key] = super()._parse_and_verify(candidate, offset)
        return known[key]


@lru_cache(maxsize=4096)
def _plain_digits(candidate: str) -> str | None:
    """The digits of a candidate that has nothing else to say: no plus sign, no extension, no letters."""
    return "".join(filter(str.isdigit, candidate)) if _PLAIN.fullmatch(candidate) else None


@dataclass(frozen=True, slots=True)
class _Region:
    """How the numbers of a region may begin, and which there are."""

    code: str  # of the country
    unclear: Any  # beginnings after which anything may follow: another country's number, or one that is rewritten
    prefixes: tuple[Any, ...]  # what may stand before a number within the country
    valid: Any  # what the numbers under the country's code look like

    def refuses(self, digits: str) -> bool:
        """Whether a number is certainly not valid, with or without all that could be taken off its beginning."""
        if self.unclear.match(digits):
            return False
        whole = (digits, digits[len(self.code) :]) if digits.startswith(self.code) else (digits,)
        shorter = (it[found.end() :] for it in whole for prefix in self.prefixes if (found := prefix.match(it)))
        return not any(map(self.valid.fullmatch, (*whole, *shorter)))


@lru_cache(maxsize=300)
def _region(region: str) -> _Region:
    own: Any = PhoneMetadata.metadata_for_region(region, None)
    if own is None:
        return _Region("", regex.compile(""), (), None)
    codes = COUNTRY_CODE_TO_REGION_CODE[own.country_code]
    sharing: list[Any] = [PhoneMetadata.metadata_for_region_or_calling_code(own.country_code, code) for code in codes]
    parsing = (own, sharing[0])  # the region itself, or the main one of its code
    rewritten = [it.national_prefix_for_parsing for it in parsing if it.national_prefix_transform_rule]
    prefixes = {it.national_prefix_for_parsing for it in parsing} - {None, *rewritten}
    return _Region(
        str(own.country_code),
        regex.compile("|".join(f"(?:{it})" for it in (own.international_prefix, *rewritten) if it)),
        tuple(map(regex.compile, prefixes)),
        regex.compile(valid_numbers(sharing)),
    )


def _international(candidate: str) -> bool:
    """Whether a number names its country by a plus sign and a country code that exists."""
    start = _PLUS.match(candidate)
    if start is None:
        return False
    digits = "".join(itertools.islice((c for c in candidate[start.end() :] if c.isdecimal()), 3))
    if not digits.isascii() or digits.startswith("0"):  # no country code begins with a zero
        return False
    return any(int(digits[:n] or 0) in COUNTRY_CODE_TO_REGION_CODE for n in (1, 2, 3))
