"""Numbers in running text and tables: separators of several countries, percent, currencies, scales, fractions and words.

A number may have several readings ("1.234" is one and a bit or a thousand and more; "5 m" are five metres or five million):
all are kept. Signs are left out: a report says "fell by 5 %" where the table says -5 %.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

PERCENT = "percent"
LONGEST = 24  # digits; longer ones are codes, not quantities


@dataclass(frozen=True, slots=True)
class Reading:
    """A value, and the step between it and the next number of the same look (0.1 for 3.1, 100,000 for 3.1 million).

    `figures` counts significant digits; `exact` says that final zeros are meant.
    """

    value: Decimal
    step: Decimal
    figures: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in a text. `unit` is `percent`, a currency code or empty; `parts` are the numbers that a space may separate.

    `lower` and `upper` say how many steps the true value may lie below and above what is written: half a step each way, a
    whole one where a word such as "over" or "nearly" says so.
    """

    start: int
    end: int
    readings: tuple[Reading, ...]
    unit: str = ""
    parts: tuple[Quantity, ...] = ()
    worded: bool = False
    hedged: bool = False
    lower: Decimal = Decimal("0.5")
    upper: Decimal = Decimal("0.5")


_SIGNS = {"$": "dollar", "us$": "usd", "a$": "aud", "c$": "cad", "hk$": "hkd", "r$": "brl", "€": "eur", "£": "gbp", "¥": "jpy",
          "₹": "inr", "₩": "krw", "₽": "rub", "₺": "try", "rs": "inr", "rs.": "inr", "rmb": "cny"}  # fmt: skip
_CODES = (
    "usd", "eur", "gbp", "jpy", "chf", "inr", "cny", "aud", "cad", "hkd", "sgd", "nzd", "sek", "nok", "dkk", "pln", "czk",
    "huf", "brl", "mxn", "zar", "krw",
)  # fmt: skip
_NAMES = {
    "dollar": "dollar",
    "euro": "eur",
    "pound": "gbp",
    "yen": "jpy",
    "rupee": "inr",
    "franc": "chf",
    "yuan": "cny",
}
DOLLARS = frozenset({"dollar", "usd", "aud", "cad", "hkd", "sgd", "nzd"})
_SCALES = {
    "hundred": 2, "thousand": 3, "k": 3, "tsd": 3, "lakh": 5, "million": 6, "millions": 6, "mn": 6, "mm": 6, "mio": 6, "m": 6,
    "crore": 7, "billion": 9, "billions": 9, "bn": 9, "b": 9, "mrd": 9, "trillion": 12, "tn": 12, "t": 12,
}  # fmt: skip
_UNSURE = frozenset({"m", "b", "t", "k", "mm"})  # also metres, bytes, tonnes, kelvins and millimetres
_MONEY_BEFORE = r"(?:us\$|a\$|c\$|hk\$|r\$|[$€£¥₹₩₽₺]|\b(?:rs\.?|rmb|" + "|".join(_CODES) + r")(?![a-z]))[ ]?"
_MONEY_AFTER = (
    r"(?:[€£$¥₹]|(?:"
    + "|".join(_CODES)
    + r")\b|(?:us |u\.s\. |australian |canadian )?(?:"
    + "|".join(_NAMES)
    + r")s?\b)"
)
_FRACTIONS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_DIGITS = (
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d|,\d)|\d{1,3}(?:\.\d{3})+(?:,\d+)?(?!\d|\.\d)|\d{1,3}(?:'\d{3})+(?:[.,]\d+)?"
    r"|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?(?!\d)"
    r"|\d{1,3}(?: \d{3})+(?:[.,]\d+)?(?![\d])|\d+(?:[.,]\d+)?|(?<!\w)[.,]\d+"
)
_NUMBER = re.compile(
    rf"(?<![\w.])(?P<digits>{_DIGITS})(?P<fraction>[{_FRACTIONS}])?"
    rf"|(?<!\w)(?P<vulgar>[{_FRACTIONS}])|(?<=[a-z])(?P<glued>{_DIGITS})"
)
_BEFORE = re.compile(rf"({_MONEY_BEFORE})-?$")
_AFTER = re.compile(
    rf"(?P<scale>[ -]?(?:{'|'.join(sorted(_SCALES, key=len, reverse=True))})\b)?"
    r"(?:[ -]?(?P<percent>%|per ?cent\b|pct\b|percentage points?\b|pp\b|basis points?\b|bps\b)"
    rf"|[ -]?(?P<after>{_MONEY_AFTER}))?"
)

_UP_TO_TWELVE = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_ONES = {word: number for number, word in enumerate((*_UP_TO_TWELVE, *_TEENS))}
_ROUND = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TENS = {word: 10 * number for number, word in enumerate(_ROUND, 2)}
_BIG = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "lakh": 10**5,
    "crore": 10**7,
}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fifth": 5, "fifths": 5,
    "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8, "tenth": 10, "tenths": 10,
}  # fmt: skip
_ANY = "|".join(sorted({*_ONES, *_TENS, *_BIG}, key=len, reverse=True))
_COUNT = "|".join(word for word in _ONES if word != "zero")
_WORDS = re.compile(
    rf"(?P<share>(?P<count>{_COUNT}|a|an)[ -](?P<part>{'|'.join(sorted(_PARTS, key=len, reverse=True))})\b(?=s? of\b|(?<=s)\b)"
    rf"|half of\b(?= (?:the|all|its|our|{_COUNT})))"
    r"|half an? (?P<halved>hundred|thousand|million|billion|trillion|dozen)\b"
    r"|(?P<words>(?:(?:a|an) (?=hundred|thousand|million|billion|dozen))?"
    rf"(?:{_ANY})(?:(?:[ -]|, )(?:and |point )?(?:{_ANY})\b){{0,24}}+(?: and a half)?"
    r"(?: (?:million|billion|thousand|trillion)\b)?)\b"
    rf"(?:[ -]?(?P<percent>%|per ?cent\b|percentage points?\b|basis points?\b)|[ -](?P<after>{_MONEY_AFTER}))?"
)
_TOKEN = re.compile(r"[a-z]+")
_OPENING = frozenset({*_ONES, *_TENS, *_BIG, "a", "an", "half"})
_OVER = re.compile(
    r"\b(?:over|more than|at least|above|exceed(?:s|ed|ing)?|in excess of|upwards of|north of|surpass(?:ed|es|ing)"
    r"|topp(?:ed|ing)|past)[ ](?:a |the |us )?$"
)
_UNDER = re.compile(
    r"\b(?:nearly|almost|under|less than|fewer than|below|up to|close to|just short of|approaching|at most)[ ](?:a |the |us )?$"
)
_ABOUT = re.compile(
    r"(?:\b(?:about|around|approximately|approx\.?|roughly|some|circa|ca\.?|c\.|an estimated|estimated"
    r"|or so|in the region of)[ ]?(?:a |the |us )?|[~\u2248])[ ]?$"
)


def quantities(text: str) -> Iterator[Quantity]:
    """The numbers of a folded text in lower case, in order of kind: digits first, then words. They do not overlap."""
    taken: list[tuple[int, int]] = []
    for match in _NUMBER.finditer(text):
        found = _digits(text, match)
        if found is not None:
            taken.append((found.start, found.end))
            yield found
    place = last = 0
    for token in _TOKEN.finditer(text):
        if token.start() < last or token.group() not in _OPENING:
            continue
        words = _WORDS.match(text, token.start())
        if words is None:
            continue
        while place < len(taken) and taken[place][1] <= words.start():
            place += 1
        if place == len(taken) or words.end() <= taken[place][0]:
            last = words.end()
            found = _worded(text, words)
            if found is not None:
                yield found


def same_unit(left: str, right: str) -> bool:
    """Whether two units may be the same: a number without one fits any, and "$" any dollar."""
    return left == right or not left or not right or ("dollar" in (left, right) and {left, right} <= DOLLARS)


def _digits(text: str, match: re.Match[str]) -> Quantity | None:
    if match["vulgar"]:
        value = _fraction(match["vulgar"])
        return _quantity(text, match.start(), match.end(), (Reading(value, Decimal("0.02"), 2),))
    digits = match["digits"] or match["glued"]
    start, end = match.span("digits" if match["digits"] else "glued")
    before = _BEFORE.search(text, max(0, start - 5), start)
    if match["glued"] and not before:
        return None  # a code such as A320
    around = _AFTER.match(text, match.end())
    scale, percent, money = around.group("scale", "percent", "after") if around else (None, None, None)
    if sum(map(str.isdigit, digits)) > LONGEST or (not (scale or percent or money) and text[end : end + 1].isalpha()):
        return None  # a code such as 4G, or 10th
    unit = PERCENT if percent else _currency(before[1] if before else None, money)
    scale = (scale or "").strip(" -")
    bare = scale in _UNSURE and not unit
    exponents = (0, _SCALES[scale]) if bare else (_SCALES[scale],) if scale else (0,)
    basis = percent is not None and percent.startswith("b")
    whole_matters = not (unit or scale or not digits.isdigit())
    readings = tuple(
        _reading(value, places, exponent - 2 * basis, exact=whole_matters)
        for value, places in _values(digits)
        for exponent in exponents
    )
    if match["fraction"]:
        part = _fraction(match["fraction"])
        readings = tuple(Reading(each.value + part, Decimal("0.02"), each.figures + 1) for each in readings)
    parts: tuple[Quantity, ...] = ()
    if " " in digits:
        pieces = [(piece.start() + start, piece.group()) for piece in re.finditer(r"\d+(?:[.,]\d+)?", digits)]
        parts = tuple(
            Quantity(
                place,
                place + len(piece),
                tuple(_reading(value, places, 0, exact=True) for value, places in _values(piece)),
            )
            for place, piece in pieces
        )
    first = before.start(1) if before else start
    return _quantity(text, first, around.end() if around else match.end(), readings, unit, parts)


def _values(digits: str) -> list[tuple[Decimal, int]]:
    """What a string of digits and separators may mean, with the number of decimals."""
    plain = digits.replace("'", "").replace(" ", "")
    marks = [character for character in plain if character in ".,"]
    if not marks:
        return [(Decimal(plain), 0)]
    last = marks[-1]
    tail = len(plain) - plain.rindex(last) - 1
    head = plain[: plain.rindex(last)]
    whole = (Decimal(re.sub(r"[.,]", "", plain)), 0)
    decimal = (Decimal(re.sub(r"[.,]", "", head) + "." + plain[plain.rindex(last) + 1 :]), tail)
    if marks.count(last) > 1:
        return [whole]
    if len(set(marks)) > 1:
        return [decimal]
    if tail == 3 and head.isdigit() and head[0] != "0" and len(head) <= 3 and " " not in digits and "'" not in digits:
        return [whole, decimal] if last == "," else [decimal, whole]
    return [decimal]


def _reading(value: Decimal, places: int, exponent: int, *, exact: bool) -> Reading:
    shown = value.as_tuple().digits
    zeros = 0
    if places == 0 and not exact and value:
        zeros = len(shown) - len(str(int(value)).rstrip("0"))
    figures = max(1, len("".join(map(str, shown)).lstrip("0")) - zeros)
    step = Decimal(1).scaleb(exponent - places + zeros)
    return Reading(value.scaleb(exponent), step, figures)


def _quantity(
    text: str,
    start: int,
    end: int,
    readings: tuple[Reading, ...],
    unit: str = "",
    parts: tuple[Quantity, ...] = (),
    *,
    worded: bool = False,
) -> Quantity:
    before = text[max(0, start - 28) : start]
    half, one, none = Decimal("0.5"), Decimal(1), Decimal(0)
    if _OVER.search(before):
        return Quantity(start, end, readings, unit, parts, worded, True, none, one)
    if _UNDER.search(before):
        return Quantity(start, end, readings, unit, parts, worded, True, one, none)
    return Quantity(start, end, readings, unit, parts, worded, _ABOUT.search(before) is not None, half, half)


def _currency(before: str | None, after: str | None) -> str:
    word = (before or after or "").strip()
    if not word:
        return ""
    name = _SIGNS.get(word) or next((code for code in _CODES if word == code), "")
    if name:
        return name
    last = word.rsplit(" ", 1)[-1].removesuffix("s")
    kind = _NAMES.get(last, "")
    return (
        {"us": "usd", "u.s.": "usd", "australian": "aud", "canadian": "cad"}.get(word.split(" ")[0], kind)
        if kind == "dollar"
        else kind
    )


def _fraction(character: str) -> Decimal:
    return round(Decimal(unicodedata.numeric(character)), 4)


def _worded(text: str, match: re.Match[str]) -> Quantity | None:
    if match["share"]:
        if match["part"] is None:
            return _quantity(text, *match.span("share"), (_share(text, match, Decimal("0.5")),), worded=True)
        count = 1 if match["count"] in ("a", "an") else _ONES[match["count"]]
        value = Decimal(count) / Decimal(_PARTS[match["part"]])
        return _quantity(text, *match.span("share"), (_share(text, match, round(value, 4)),), worded=True)
    if match["halved"]:
        whole = Decimal(_BIG[match["halved"]])
        return _quantity(
            text,
            match.start(),
            match.end(),
            (Reading(whole / 2, whole / 10, 1),),
            _currency(None, match["after"]),
            worded=True,
        )
    spoken = _spoken(match["words"])
    if spoken is None:
        return None
    value, step = spoken
    percent = match["percent"]
    if percent and percent.startswith("b"):
        value, step = value / 100, step / 100
    unit = PERCENT if percent else _currency(None, match["after"])
    shown = (
        str(value / step).rstrip("0").rstrip(".").lstrip("0.") if "." in str(value / step) else str(int(value / step))
    )
    readings = (Reading(value, step, max(1, len(shown))),)
    return _quantity(text, match.start(), match.end(), readings, unit, worded=True)


def _share(text: str, match: re.Match[str], value: Decimal) -> Reading:
    """ "Half of" allows a percent each way, "more than half of" ten above."""
    before = text[max(0, match.start() - 28) : match.start()]
    wide = _OVER.search(before) or _UNDER.search(before)
    return Reading(value, Decimal("0.1") if wide else Decimal("0.02"), 2)


def _spoken(words: str) -> tuple[Decimal, Decimal] | None:
    """The value of "two hundred and five thousand", "one point two million" or "two and a half million", and its step."""
    total, current, step = Decimal(0), Decimal(0), Decimal(1)
    decimals: list[str] | None = None
    spoken = re.findall(r"[a-z]+", words)
    previous = ""
    for place, word in enumerate(spoken):
        if word == "half":
            current, step = current + Decimal("0.5"), Decimal("0.5") if step == 1 else step
        elif word == "point":
            decimals = []
        elif word in _ONES and decimals is not None:
            decimals.append(str(_ONES[word]))
        elif word in _ONES or word in _TENS:
            number = _ONES.get(word, _TENS.get(word, 0))
            if previous in _ONES or (previous in _TENS and number > 9):
                return None  # "twenty thirty", "one two": a list, a year or a phone number, not a quantity
            current += number
        elif word in _BIG:
            if decimals:
                current += Decimal("0." + "".join(decimals))
                step = Decimal(1).scaleb(-len(decimals))
                decimals = None
            size = _BIG[word]
            current = (current or (Decimal(1) if place == 0 or spoken[place - 1] in ("a", "an") else current)) * size
            step = step * size if place == len(spoken) - 1 else step
            if size >= 1000:
                total, current = total + current, Decimal(0)
        previous = word if word not in ("and", "a", "an") else previous
    if decimals:
        current += Decimal("0." + "".join(decimals))
        step = Decimal(1).scaleb(-len(decimals))
    return total + current, step
