"""Dates, quarters, years and times of day in running text, in the forms that people write.

A date may have several readings (05/03/2024), and may leave parts out (5 March, March 2024, Q3 2024, 2024).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_MONTH_NAMES = (
    "january jan januar janvier enero", "february feb februar février febrero",
    "march mar märz mars marzo",
    "april apr avril abril", "may mai mayo", "june jun juni juin junio", "july jul juli juillet julio",
    "august aug août agosto",
    "september sep sept septembre septiembre", "october oct oktober okt octobre octubre", "november nov novembre noviembre",
    "december dec dezember dez décembre diciembre",
)  # fmt: skip
MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names.split()}
_QUARTERS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "final": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_YEAR = r"(?:1[6-9]\d\d|20\d\d|21\d\d)"
_DATE = re.compile(
    rf"(?<![\d.,/-])(?P<iso>(?P<iy>{_YEAR})[-/.](?P<im>\d{{1,2}})[-/.](?P<id>\d{{1,2}}))(?![\d]|[-/.]\d)"
    rf"|(?<![\d.,/-])(?P<num>(?P<n1>\d{{1,2}})(?P<sep>[-/.])(?P<n2>\d{{1,2}})(?P=sep)(?P<ny>{_YEAR}|\d\d))(?![\d]|[-/.]\d)"
    rf"|(?<![\w.,])(?P<dmy>(?P<dd>\d{{1,2}})(?:st|nd|rd|th|\.)?(?: of)? (?P<dm>{_MONTH})\b\.?(?:,? (?P<dy>{_YEAR})\b)?)"
    rf"|(?P<mdy>(?P<mm>{_MONTH})\b\.? (?P<md>\d{{1,2}})(?:st|nd|rd|th)?(?![\w]|[.,]\d|:\d| ?%)(?:,? (?P<my>{_YEAR})\b)?)"
    rf"|(?P<ym>(?P<ymm>{_MONTH})\b\.?,?(?: of)? (?P<ymy>{_YEAR}))\b"
    rf"|(?P<q>(?:q(?P<qn>[1-4])|(?P<qw>{'|'.join(_QUARTERS)}) quarter)"
    rf"(?:[ /-]{{0,2}}(?:of |fy ?|in )?(?:fiscal )?'?(?P<qy>{_YEAR}|\d\d(?![\d%.,]))\b)?)"
    rf"|(?<!\w)(?P<yq>(?P<yqy>{_YEAR})[ -]?q(?P<yqn>[1-4]))\b"
    rf"|(?P<fy>fy ?'?(?P<fyy>{_YEAR}|\d\d))\b"
    rf"|(?<![\w.,-])(?P<season>(?P<sy>{_YEAR})[/-](?P<st>\d\d))(?![\d/-])"
    r"|(?<![\w:.,])(?P<clock>(?P<ch>[01]?\d|2[0-3]):(?P<cm>[0-5]\d)(?::[0-5]\d)?(?: ?(?P<ap>[ap])\.?m\b)?)(?![\w:])"
    rf"|(?<![\w.,$€£¥-])(?P<year>{_YEAR})(?![\w%]|[.,:]\d| ?%)"
)
_TOKEN = re.compile(r"\d+|[a-z\u00e0-\u00ff]+")
_OPENING = frozenset({*MONTHS, *_QUARTERS, "q", "fy"})
# After one of these, four digits are an amount.
_AMOUNT = re.compile(
    r"^[ -]?(?:k|m|mn|bn|b|million|billion|thousand|percent|per cent|usd|eur|gbp|dollars|euros|pounds|units|people"
    r"|employees|customers|orders|shares|items|stores|jobs|tons|tonnes|miles|km|kg|cases|users|visitors)\b"
)


class Moment(NamedTuple):
    """A point in time, as far as it is given. `minute` counts from midnight."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    quarter: int | None = None
    minute: int | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A date in a text. `bare` is a year by itself, which may as well be a number."""

    start: int
    end: int
    readings: tuple[Moment, ...]
    bare: bool = False


@dataclass(slots=True)
class Calendar:
    """The dates of a source, to look others up in."""

    known: set[Moment] = field(default_factory=set)
    yearless: set[Moment] = field(default_factory=set)  # dates that the source gives without a year

    @classmethod
    def of(cls, mentions: Iterable[Mention]) -> Calendar:
        """Every reading, and every less precise form of it."""
        calendar = cls()
        for mention in mentions:
            for reading in mention.readings:
                calendar.known.update(_forms(reading))
                if reading.year is None:
                    calendar.yearless.add(reading)
        return calendar

    def has(self, mention: Mention) -> bool:
        """Whether a reading is in the source, or follows from a more precise date in it."""
        for reading in mention.readings:
            if reading in self.known:
                return True
            year, month, day = Moment(year=reading.year), reading.month, reading.day
            # "5 March" in a row under the title "2024" makes 5 March 2024
            if month and reading.year and year in self.known and Moment(None, month, day) in self.yearless:
                return True
        return False


def mentions(text: str) -> Iterator[Mention]:
    """The dates of a folded text in lower case."""
    last = 0
    for token in _TOKEN.finditer(text):
        place = token.start()
        if place < last or not (token[0][0].isdigit() or token[0] in _OPENING):
            continue
        match = _DATE.match(text, place)
        if match is None:
            continue
        kind, last = match.lastgroup or "", match.end()
        readings = tuple(reading for reading in _readings(match) if _possible(reading))
        if kind and readings:
            bare = match["year"] is not None
            if not (bare and _AMOUNT.match(text[match.end() : match.end() + 16])):
                yield Mention(match.start(), match.end(), readings, bare)


def _readings(match: re.Match[str]) -> list[Moment]:
    if match["iso"]:
        return [Moment(int(match["iy"]), int(match["im"]), int(match["id"]))]
    if match["num"]:
        one, two, year = int(match["n1"]), int(match["n2"]), _full(match["ny"])
        return [Moment(year, two, one), Moment(year, one, two)]
    if match["dmy"]:
        return [Moment(_full(match["dy"]), MONTHS[match["dm"]], int(match["dd"]))]
    if match["mdy"]:
        return [Moment(_full(match["my"]), MONTHS[match["mm"]], int(match["md"]))]
    if match["ym"]:
        return [Moment(_full(match["ymy"]), MONTHS[match["ymm"]])]
    if match["q"]:
        return [Moment(year=_full(match["qy"]), quarter=int(match["qn"]) if match["qn"] else _QUARTERS[match["qw"]])]
    if match["yq"]:
        return [Moment(year=int(match["yqy"]), quarter=int(match["yqn"]))]
    if match["fy"]:
        return [Moment(year=_full(match["fyy"]))]
    if match["season"]:
        year = int(match["sy"])
        months = [Moment(year, int(match["st"]))] if 1 <= int(match["st"]) <= 12 else []
        return [Moment(year), *months] if (year + 1) % 100 == int(match["st"]) else months
    if match["clock"]:
        hour, minute = int(match["ch"]), int(match["cm"])
        if match["ap"]:
            return [Moment(minute=(hour % 12 + 12 * (match["ap"] == "p")) * 60 + minute)]
        return [Moment(minute=hour * 60 + minute)]
    return [Moment(int(match["year"]))]


def _full(year: str | None) -> int | None:
    if year is None:
        return None
    return int(year) if len(year) == 4 else int(year) + (2000 if int(year) < 70 else 1900)


def _possible(moment: Moment) -> bool:
    return (moment.month is None or 1 <= moment.month <= 12) and (moment.day is None or 1 <= moment.day <= 31)


def _forms(moment: Moment) -> Iterator[Moment]:
    year, month, day, quarter, minute = moment
    yield moment
    if minute is not None:
        yield Moment(
            minute=minute % 720 if minute >= 720 else minute + 720
        )  # 2:30 may be half past two in the afternoon
        return
    if year:
        yield Moment(year)
    if year and month:
        yield Moment(year, month)
        yield Moment(year, quarter=(month + 2) // 3)
    if month:
        yield Moment(month=month)
        yield Moment(quarter=(month + 2) // 3)
    if month and day:
        yield Moment(None, month, day)
    if quarter:
        yield Moment(quarter=quarter)
