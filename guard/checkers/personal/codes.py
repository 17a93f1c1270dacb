"""Identifiers with letters, addresses of machines, and dates of birth: what an expression describes and a function confirms."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

from guard.checkers.patterns import REACH, Match, compiled, pattern_set
from guard.checkers.personal.checksums import day, iban
from guard.checkers.personal.context import AFTER, Nearby, Words, mentions
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
                if score and kind.valid(written if kind.cased else written.upper()):
                    yield Match(begin, end, kind.category, score)
            start = begin + 1


def _whole(kind: Kind) -> str:
    return f"(?:{kind.form})" + ("" if kind.form.endswith(r"\)") else r"\b")


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
            # Nearly everything that looks so is none: the check digits say so before anybody looks where it ends.
            compact = data[begin : begin + 3 * length].translate(None, b" -\r\n")[:length]
            if len(compact) == length and compact.isalnum() and iban(compact.upper().decode()):
                end = _end(data, begin, length)
                if end and not (end < len(data) and data[end] in _WORD):
                    yield Match(begin, end, IBAN, 1.0)


def _end(data: bytes, start: int, length: int) -> int:
    """Where so many letters and digits end, of which no two are more than two separators apart; 0 if they do not."""
    end, gap = start, 0
    while length and end < len(data) and gap <= 2:
        gap = gap + 1 if data[end] in b" -\r\n" else 0
        length -= not gap
        end += 1
    return 0 if length else end


class Addresses:
    """IPv4 and IPv6 addresses, and networks. Not what is a release or a section: four single digits, or more than four numbers;
    nor, among those with colons, what has no digit and is more likely a name in a program ("face::cafe")."""

    category = "IP_ADDRESS"
    # Of those with colons: eight groups, or fewer and two colons in a row.
    gate = r"(?i)\d\.\d{1,3}\.\d{1,3}\.\d|[0-9a-f]{0,4}(?::[0-9a-f]{1,4}){0,6}::|(?:[0-9a-f]{1,4}:){6}"
    tail = rf"\d[0-9.]{{0,14}}(?:/\d{{0,2}})?(?s:.){{0,{AFTER}}}|[0-9A-Fa-f:][0-9A-Fa-f:.]{{0,44}}"
    exclusive = False
    _dotted = re.compile(
        rb"((?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3})(/\d{1,2})?(?![0-9A-Za-z_]|\.\d)"
    )
    _colons = re.compile(rb"[0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3}(?![0-9A-Za-z_:]|\.\d)")
    _run = re.compile(rb"[0-9A-Fa-f:.]*")

    def __init__(self, before: int) -> None:
        self._before = before
        self._words = Words(("ip", "address", "host", "server", "subnet", "gateway", "dns", "ping"))

        self._where = compiled(self.gate)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every valid address: it begins a run of digits, hexadecimal letters, colons and full stops."""
        data = view.data
        place = start
        while place < stop and (found := self._where.search(data, place, min(len(data), stop + REACH))):
            begin = found.start()
            if begin >= stop:
                return
            begin -= len(ahead := data[max(0, begin - 48) : begin]) - len(ahead.rstrip(b"0123456789ABCDEFabcdef:."))
            run = self._run.match(data, begin)
            place = max(found.start() + 1, run.end() if run else 0)
            if begin < start or (begin and data[begin - 1] in _WORD):
                continue
            if match := self._dotted.match(data, begin):
                end = match.end()
                named = mentions(view, self._words) and Nearby(view, begin, end, self._before).says(self._words)
                known = match[1] != b"0.0.0.0" and int((match[2] or b"/0")[1:]) <= 32
                known = known and not match[1].startswith(b"127.")  # each machine's name for itself
                if known and (named or not _is_version(data, begin, end)):
                    yield Match(begin, end, self.category, 0.95 if named else 0.6)
            elif (match := self._colons.match(data, begin)) and _is_ipv6(match.group().decode()):
                yield Match(begin, match.end(), self.category, 0.6)


def _is_ipv6(written: str) -> bool:
    colons = written.count(":")
    if not ("::" in written or 6 <= colons <= 7) or colons > 8 or not any(map(str.isdigit, written)):
        return False
    try:
        ipaddress.IPv6Address(written)
    except ValueError:
        return False
    return True


def _is_version(data: bytes, start: int, end: int) -> bool:
    """Four single digits, or what a word ahead calls a release or a section, as prose or as a setting ("version": "…")."""
    return end - start == 7 or data[max(0, start - 16) : start].rstrip(b" .:#-=\"'[(").lower().endswith(_VERSION)


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
