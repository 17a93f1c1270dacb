"""Identifiers with letters, addresses of machines, and dates of birth: what an expression describes and a function confirms."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

from guard.checkers.patterns import REACH, Match, compiled, pattern_set
from guard.checkers.personal.checksums import day, iban
from guard.checkers.personal.context import AFTER, Nearby, mentions
from guard.checkers.personal.identifiers import IBAN, IBAN_LENGTHS, Kind
from guard.checkers.shadow import Shadow
from guard.checkers.tails import prefixes

_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_VERSION = (b"version", b"release", b"build", b"firmware", b"section", b"chapter", b"clause", b" v", b" ver")


class Codes:
    """Finds the kinds of a table: one expression says where any of them begins, a set which of them, `re` where it ends."""

    exclusive = False

    def __init__(self, kinds: Sequence[Kind], before: int) -> None:
        self._before = before
        self._kinds = [(kind, re.compile(_whole(kind).encode(), re.IGNORECASE), kind.words) for kind in kinds]
        self._where = compiled(rf"(?i)\b(?:{'|'.join(map(_whole, kinds))})")
        self.gate = rf"(?i)\b(?:{'|'.join(kind.gate or kind.form for kind in kinds)})"
        self._which = pattern_set([f"(?i){_whole(kind)}" for kind in kinds], anchored=True)
        tails = [prefixes(kind.form) for kind in kinds]
        tails += [rf"(?:{kind.form})(?s:.){{0,{AFTER}}}" for kind in kinds if kind.near > kind.alone]
        self.tail = rf"(?i)\b(?:{'|'.join(tails)})"

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """What has the form and check digits of a kind, overlaps included."""
        data, search = view.data, self._where.search
        while start < stop and (found := search(data, start, min(len(data), stop + REACH))):
            begin = found.start()
            if begin >= stop:
                return
            for number in self._which.Match(data[begin : begin + REACH]) or ():
                kind, expression, words = self._kinds[number]
                match = expression.match(data, begin)
                if match is None:
                    continue
                end, score = match.end(), kind.alone
                if score < kind.near and mentions(view, words) and Nearby(view, begin, end, self._before).says(words):
                    score = kind.near
                written = match.group().translate(None, kind.drop).decode()
                known = score and kind.valid(written if kind.cased else written.upper())
                if known and not (kind.category == "IP_ADDRESS" and _is_version(data, begin, end, score == kind.alone)):
                    yield Match(begin, end, kind.category, score)
            start = begin + 1


def _whole(kind: Kind) -> str:
    return f"(?:{kind.form})" + ("" if kind.form.endswith(r"\)") else r"\b")


def _is_version(data: bytes, start: int, end: int, alone: bool) -> bool:
    """Four small numbers in a row may be a release or a section, above all single digits that no word calls an address."""
    return (
        (alone and end - start == 7)
        or data[max(0, start - 16) : start].rstrip(b" .:#-").lower().endswith(_VERSION)
        or data[start - 1 : start] == b"."
        or (data[end : end + 1] == b"." and data[end + 1 : end + 2].isdigit())
    )


class Ibans:
    """Bank accounts: the country says how long they are; groups may be set apart by a space, a hyphen or a line end."""

    gate = rf"(?i)\b(?:{'|'.join(IBAN_LENGTHS)})\d{{2}}[ -]?[A-Z0-9]"
    tail = r"(?i)\b[A-Z](?:[A-Z]\d{0,2}|[A-Z]\d{2}(?:[ \r\n-]{0,2}[A-Z0-9]){0,29}[ \r\n-]{0,2})?"
    exclusive = False

    def __init__(self) -> None:
        self._where = compiled(self.gate)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every account number with valid check digits."""
        data = view.data
        while start < stop and (found := self._where.search(data, start, min(len(data), stop + REACH))):
            begin = found.start()
            if begin >= stop:
                return
            start, length = begin + 1, IBAN_LENGTHS[data[begin : begin + 2].upper().decode()]
            compact, end, gap = bytearray(data[begin : begin + length]), begin + length, 0
            if not compact.isalnum():
                compact, end = bytearray(), begin
            while len(compact) < length and end < len(data):
                if data[end] in _WORD:
                    compact.append(data[end])
                    gap = 0
                elif data[end] in b" -\r\n" and gap < 2:
                    gap += 1
                else:
                    break
                end += 1
            whole = len(compact) == length and not (end < len(data) and data[end] in _WORD)
            if whole and b"_" not in compact and iban(compact.decode().upper()):
                yield Match(begin, end, IBAN, 1.0)


class Ipv6:
    """Addresses with colons; one without a digit is more likely a name in a program ("std::abs")."""

    # Eight groups, or fewer and two colons in a row.
    gate = r"(?i)[0-9a-f]{0,4}(?::[0-9a-f]{1,4}){0,6}::|(?:[0-9a-f]{1,4}:){6}"
    tail = r"[0-9A-Fa-f:][0-9A-Fa-f:.]{0,44}"
    exclusive = False
    _form = re.compile(rb"(?<![0-9A-Za-z_:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,38}(?:\.\d{1,3}){0,3}(?![0-9A-Za-z_:])")

    def __init__(self) -> None:
        self._where = compiled(self.gate)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every valid address."""
        data = view.data
        while start < stop and (found := self._where.search(data, start, min(len(data), stop + REACH))):
            begin = found.start()
            if begin >= stop:
                return
            match, start = self._form.match(data, begin), begin + 1
            if match is None:
                continue
            start = match.end()
            written = match.group().decode()
            if len(written) > 2 and written.count(":") > 1 and any(map(str.isdigit, written)):
                try:
                    ipaddress.IPv6Address(written)
                except ValueError:
                    continue
                yield Match(begin, match.end(), "IP_ADDRESS", 0.6)


_MONTHS = (
    "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mai|juin|juil|aout|okt|dez|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|"
    "maerz|marz|avr"
)
_SAID = (
    r"d\.?o\.?b\.?|date of birth|birth ?date|born(?: on| the)?|birthday(?: is| was)?(?: on)?|geboren(?: am)?|geb\.(?: am)?|"
    r"geburtsdatum|nee? le|date de naissance|nacid[oa](?: el)?|fecha de nacimiento|nat[oa](?: il)?|data di nascita|"
    r"data de nascimento|geboortedatum"
)
_MONTH = rf"(?:{_MONTHS})[a-z]{{0,8}}\.?"
_DATE = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.] ?\d{1,2}[-/.] ?(?:\d{4}|\d{2})|"
    rf"\d{{1,2}}(?:st|nd|rd|th|\.)?(?: of)? {_MONTH},? \d{{4}}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}"
)
_SAID = rf"(?:{_SAID})[^0-9A-Za-z]{{0,4}}(?:is |was |: ?)?"


class BirthDates:
    """Dates that the words ahead of them call a date of birth."""

    category = "DATE_OF_BIRTH"
    gate = rf"(?i)\b{_SAID}({_DATE})\b"
    tail = rf"(?i)\b{prefixes(f'{_SAID}(?:{_DATE})')}"
    exclusive = False

    def __init__(self) -> None:
        self._where = compiled(self.gate, captures=True)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """The date alone, where it is one. It belongs to the stretch in which its words begin."""
        data = view.data
        while start < stop and (found := self._where.search(data, start, min(len(data), stop + REACH))):
            if found.start() >= stop:
                return
            if _plausible(found[1].decode().lower()):
                yield Match(found.start(1), found.end(1), self.category, 0.9)
            start = found.start() + 1


def _plausible(written: str) -> bool:
    numbers = [int(number) for number in re.findall(r"\d+", written)]
    if len(numbers) == 2:  # the month is a word
        return 1 <= numbers[0] <= 31 and 1880 <= numbers[1] <= 2100
    year, *rest = numbers if numbers[0] > 31 else numbers[::-1]
    known = 1880 <= year <= 2100 or year <= 99
    return known and any(day(str(month), str(date)) for month, date in (rest, rest[::-1]))
