"""Grounding: every number, date and name of a generated report must be found in the data that it was made from.

The source is the prompt, a marked part of it, or what the request names as its sources. Numbers are compared as values, with
units and honest rounding; dates in whatever form; names by their words. It does not judge whether a sentence is true: a
number that the source has may still be put to the wrong thing.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from guard.checkers.moments import Calendar, Mention, Moment, mentions
from guard.checkers.quantities import PERCENT, Quantity, Reading, quantities, same_unit
from guard.checkers.text import Folded, fold, text_of
from guard.checkers.titles import Register, names
from guard.errors import ContentError
from guard.types import Finding, Item, Text

NUMBER, DATE, NAME = "ungrounded_number", "ungrounded_date", "ungrounded_name"
AWAY, UNIT, COARSE = 0.9, 0.7, 0.6  # scores: not in the source; there with another unit; rounded without saying so
MOST_DERIVED, LARGEST_SOURCE = (
    200,
    400,
)  # numbers that are tried as sums and shares, and source numbers they are tried from
_SCALES = {
    3: ("in thousand", "thousands", "'000", "000s", "in tsd", "k\u20ac", "k$"),
    6: ("in million", "millions", "in mio", "\u20acm", "$m", "\u00a3m", "usd m", "eur m"),
    9: ("in billion", "billions", "\u20acbn", "$bn", "\u00a3bn"),
}


@dataclass(slots=True)
class Figures:
    """The numbers of a source by unit, sorted, and the powers of ten that its headings speak of ("in thousands")."""

    by_unit: dict[str, list[Decimal]] = field(default_factory=dict)
    scales: tuple[int, ...] = (0,)

    @classmethod
    def of(cls, found: Iterable[Quantity], text: str) -> Figures:
        """All readings of all numbers."""
        values: dict[str, set[Decimal]] = {}
        for quantity in found:
            for each in (quantity, *quantity.parts):
                values.setdefault(each.unit, set()).update(abs(reading.value) for reading in each.readings)
        scales = sorted({0, *(power for power, words in _SCALES.items() if any(word in text for word in words))})
        return cls({unit: sorted(numbers) for unit, numbers in values.items()}, tuple(scales))

    def has(self, reading: Reading, quantity: Quantity, *, any_unit: bool = False) -> bool:
        """Whether a source number rounds to a reading. Percentages also fit the shares that they are (5 % and 0.05)."""
        low, high = reading.value - quantity.lower * reading.step, reading.value + quantity.upper * reading.step
        return self._between(low, high, quantity.unit, any_unit=any_unit)

    def holds(self, reading: Reading, quantity: Quantity, *, any_unit: bool = False) -> bool:
        """Whether the source has exactly this value."""
        return self._between(reading.value, reading.value, quantity.unit, any_unit=any_unit)

    def _between(self, low: Decimal, high: Decimal, unit: str, *, any_unit: bool) -> bool:
        for known, numbers in self.by_unit.items():
            if any_unit or same_unit(known, unit):
                for power in self.scales:
                    if _within(numbers, low.scaleb(-power), high.scaleb(-power)):
                        return True
            if unit == PERCENT and not known and _within(numbers, low.scaleb(-2), high.scaleb(-2)):
                return True
            if known == PERCENT and not unit and _within(numbers, low.scaleb(2), high.scaleb(2)):
                return True
        return False

    def away(self, value: Decimal) -> Decimal | None:
        """How far the nearest number of the source is, as a share of `value`."""
        nearest = None
        for numbers in self.by_unit.values():
            place = bisect_left(numbers, value)
            for number in numbers[max(0, place - 1) : place + 1]:
                far = abs(number - value)
                nearest = far if nearest is None or far < nearest else nearest
        return None if nearest is None else nearest / value if value else Decimal(1)

    def derives(self, reading: Reading, quantity: Quantity) -> bool:
        """Whether a reading is a sum, difference or mean of two numbers of the source, or a share or a change in percent."""
        low, high = reading.value - quantity.lower * reading.step, reading.value + quantity.upper * reading.step
        for unit, numbers in self.by_unit.items():
            if len(numbers) > LARGEST_SOURCE:
                continue
            if quantity.unit == PERCENT and unit != PERCENT:
                shares = ((low / 100, high / 100), (1 + low / 100, 1 + high / 100), (1 - high / 100, 1 - low / 100))
                if any(
                    _within(numbers, base * left, base * right) for base in numbers if base for left, right in shares
                ):
                    return True
            elif same_unit(unit, quantity.unit) and any(
                _within(numbers, low - base, high - base)
                or _within(numbers, low + base, high + base)
                or _within(numbers, 2 * low - base, 2 * high - base)
                for base in numbers
            ):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Source:
    """What a source says, ready to be looked up."""

    figures: Figures
    calendar: Calendar
    register: Register

    @classmethod
    def of(cls, text: str) -> Source:
        """Read a source."""
        plain = fold(text).text
        lower = _lower(plain)
        dates: list[Mention] = []
        numbers: list[Quantity] = []
        for part in (lower, _columns(lower)):
            found = list(mentions(part))
            dates += found
            numbers += _outside(quantities(part), [date for date in found if not date.bare])
        return cls(Figures.of(numbers, lower), Calendar.of(dates), Register.of(plain))


class GroundingChecker:
    """Reports what a text says that its source does not."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        source: Literal["all", "prompt", "sources"] = Field(
            "all", description="what the data is: the prompt, the request's sources, or both"
        )
        section: tuple[str, str] | None = Field(
            None, description="two marks in the prompt; only what stands between them is data"
        )
        numbers: bool = Field(True, description="look at numbers")
        dates: bool = Field(True, description="look at dates, quarters, years and times")
        names: bool = Field(True, description="look at names of two words and more, and after a title")
        single_names: bool = Field(False, description="look at single capitalised words inside sentences as well")
        figures: int = Field(
            2, ge=1, le=30, description="rounding to fewer digits than this must be said ('about 3 million')"
        )
        derived: bool = Field(
            False, description="accept sums, differences, means, shares and changes of two source numbers"
        )
        small: int = Field(10, ge=0, le=100, description="whole numbers in words below this are not looked at")

    name = "grounding"
    version = "1"
    kinds = frozenset({"text"})
    horizon = "document"

    def __init__(self, params: Params) -> None:
        self._params = params
        self._known: tuple[str, Source] | None = None  # the items of a batch often share their source

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """What is not grounded in each text. Raises ContentError where there is nothing to compare with."""
        return [list(self._findings(text_of(item), self._source(item))) for item in items]

    def _source(self, item: Item) -> Source:
        text = self._data(item)
        if self._known is None or self._known[0] != text:
            self._known = text, Source.of(text)
        return self._known[1]

    def _data(self, item: Item) -> str:
        pieces = []
        if self._params.source != "sources" and isinstance(item.prompt, Text):
            pieces.append(self._section(item.prompt.text))
        if self._params.source != "prompt":
            pieces += item.sources
        if not pieces:
            raise ContentError(
                "grounding has no source to compare with: give the data as the prompt or as `sources` of the request"
            )
        return "\n".join(pieces)

    def _section(self, prompt: str) -> str:
        if self._params.section is None:
            return prompt
        start, end = self._params.section
        _, found, rest = prompt.partition(start)
        data, closed, _ = rest.partition(end)
        if not (found and closed):
            raise ContentError("grounding cannot find the marked section of the prompt: put the data between the marks")
        return data

    def _findings(self, text: str, source: Source) -> Iterator[Finding]:
        plain = fold(text)
        lower = _lower(plain.text)
        dates = list(mentions(lower))
        found: list[Finding] = []
        if self._params.dates:
            found += self._dates(plain, dates, source)
        if self._params.numbers:
            found += self._numbers(plain, lower, _outside(quantities(lower), dates), source)
        if self._params.names:
            found += self._names(plain, source)
        yield from sorted(found, key=lambda finding: finding.span or (0, 0))

    def _dates(self, plain: Folded, dates: Iterable[Mention], source: Source) -> Iterator[Finding]:
        for date in dates:
            if source.calendar.has(date):
                continue
            if date.bare and self._params.numbers and source.figures.holds(_whole(date.readings[0]), _NOTHING):
                continue
            message = "a year that the source does not have" if date.bare else "a date that the source does not have"
            yield Finding(DATE, AWAY, plain.span(date.start, date.end), message=message)

    def _numbers(self, plain: Folded, lower: str, found: Iterable[Quantity], source: Source) -> Iterator[Finding]:
        tried = 0
        for quantity in found:
            if self._overlooked(lower, quantity):
                continue
            score, message = self._judged(quantity, source.figures)
            if score and quantity.parts and not any(self._judged(part, source.figures)[0] for part in quantity.parts):
                score = 0.0
            if score and self._params.derived and tried < MOST_DERIVED:
                tried += 1
                if any(
                    reading.figures >= 2 and source.figures.derives(reading, quantity) for reading in quantity.readings
                ):
                    score = 0.0
            if score:
                yield Finding(NUMBER, score, plain.span(quantity.start, quantity.end), message=message)

    def _judged(self, quantity: Quantity, figures: Figures) -> tuple[float, str]:
        """0 where a number is grounded, else how bad it is and why."""
        coarse = False
        for reading in quantity.readings:
            if figures.holds(reading, quantity):
                return 0.0, ""
            if figures.has(reading, quantity):
                fine = reading.figures >= self._params.figures or (quantity.unit == PERCENT and reading.step <= 1)
                if fine or quantity.hedged or quantity.worded:
                    return 0.0, ""
                coarse = True
        if coarse:
            return COARSE, f"a number rounded to fewer than {self._params.figures} digits without a word that says so"
        if any(figures.has(reading, quantity, any_unit=True) for reading in quantity.readings):
            return UNIT, "a number that the source has with another unit"
        nearest = min(
            (far for reading in quantity.readings if (far := figures.away(abs(reading.value))) is not None),
            default=None,
        )
        if nearest is None:
            return AWAY, "a number, and the source has none"
        return AWAY, f"a number that the source does not have; the nearest is {_apart(nearest)} away"

    def _overlooked(self, lower: str, quantity: Quantity) -> bool:
        """Small numbers in words, numbers of list items and of footnotes are no claims."""
        if quantity.worded and not quantity.unit and quantity.readings[0].step == 1:
            return quantity.readings[0].value < self._params.small
        near = max(0, quantity.start - 12)
        start = max(near, lower.rfind("\n", near, quantity.start) + 1)
        before, after = lower[start : quantity.start].strip(), lower[quantity.end : quantity.end + 2]
        bulleted = (
            before in ("", "#", "##", "###", "-", "*", "(") and after[:1] in (".", ")") and after[1:] in ("", " ", "\n")
        )
        return bulleted or (lower[quantity.start - 1 : quantity.start] == "[" and after[:1] == "]")

    def _names(self, plain: Folded, source: Source) -> Iterator[Finding]:
        for name in names(plain.text, single=self._params.single_names):
            distance = source.register.distance(name)
            if distance:
                score, what = (
                    (0.7, "the source does not have") if distance == 1 else (0.6, "the source has only in parts")
                )
                yield Finding(NAME, score, plain.span(name.start, name.end), message=f"a name that {what}")


_GROUPED = re.compile(r"(?<![\d,])\d{1,3}(?:,\d{3})+(?![\d,])")
_NOTHING = Quantity(0, 0, ())


def _whole(moment: Moment) -> Reading:
    return Reading(Decimal(moment.year or 0), Decimal(1), 4)


def _within(numbers: list[Decimal], low: Decimal, high: Decimal) -> bool:
    place = bisect_left(numbers, low)
    return place < len(numbers) and numbers[place] <= high


def _apart(share: Decimal) -> str:
    percent = share * 100
    return (
        "more than 100 %" if percent > 100 else f"{percent:.1f} %" if percent >= Decimal("0.1") else "less than 0.1 %"
    )


def _columns(text: str) -> str:
    """The lines that look like comma-separated values, with the commas taken for what they are there.

    A line that has commas other than those of one long number, and each line with as many commas as such a one.
    """
    lines = [line for line in text.splitlines() if "," in line and ", " not in line]
    widths = {line.count(",") for line in lines if "," in _GROUPED.sub("", line)}
    return "\n".join(line.replace(",", " ; ") for line in lines if line.count(",") in widths)


def _lower(text: str) -> str:
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(character.lower()[:1] for character in text)


def _outside(found: Iterable[Quantity], dates: Sequence[Mention]) -> Iterator[Quantity]:
    """The numbers that are not part of a date."""
    taken = {place for date in dates for place in range(date.start, date.end)}
    for quantity in found:
        if not (quantity.start in taken or quantity.end - 1 in taken):
            yield quantity
