"""Grounding: what the data has, in whatever form, is found; what it does not have is reported, with its place."""

from __future__ import annotations

import time
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.checkers.grounding import GroundingChecker
from guard.checkers.moments import Calendar, Moment, mentions
from guard.checkers.quantities import PERCENT, quantities, same_unit
from guard.checkers.titles import Register, names
from guard.errors import ContentError
from guard.types import Finding, Image, Item, Stage, Text

RELAXED = settings(max_examples=200, deadline=None)
# Repeated, these make searches for numbers, words, dates and names slow.
ATTACKS = (
    "1", "1 ", "1,", "1,111", "1.111", "1 111 ", "1-", "12:", "$", "\u20ac5m ", "1%", "two hundred ",
    "one ", "twenty-", "and a half ",
    "one,", "March 5 ", "5 March ", "2024-", "Q1 ", "in 2024/", "Mr A ", "Anna Schmidt ", "A ", "A. ", "Aa", "of ",
    "A of ", "# ", "**", "a:", "\n", " ", "half of ", "\u00bd", "1\u00bd", "over 1 ", "\u00e9", "Ａ", "1,2,3\n", ",1",
)  # fmt: skip


def check(text: str, data: str, **params: object) -> list[Finding]:
    checker = GroundingChecker(GroundingChecker.Params(**params))
    [found] = checker.check([Item(Text(text), Stage.OUTPUT, prompt=Text(data))])
    return found


def said(text: str, data: str, **params: object) -> list[str]:
    return [text[slice(*finding.span)] for finding in check(text, data, **params) if finding.span]


# --- numbers -------------------------------------------------------------------------------------------------------


def english(value: Decimal) -> str:
    return f"{value:,}"


def plain(value: Decimal) -> str:
    return f"{value}"


def european(value: Decimal) -> str:
    return f"{value:,}".replace(",", "_").replace(".", ",").replace("_", ".")


def spaced(value: Decimal) -> str:
    return f"{value:,}".replace(",", " ")


VALUES = st.decimals(min_value=0, max_value=10**9, places=2) | st.integers(0, 10**12).map(Decimal)
FORMS = st.sampled_from([english, plain, european, spaced])


@RELAXED
@given(value=VALUES, there=FORMS, here=FORMS)
def test_a_copied_number_is_grounded_in_any_form(value: Decimal, there: object, here: object) -> None:
    assert callable(there)
    assert callable(here)
    assert said(f"It came to {here(value)} in all.", f"total: {there(value)}") == []


@RELAXED
@given(
    value=st.integers(10_000, 10**12),
    digits=st.integers(2, 4),
    scale=st.sampled_from([("thousand", 3), ("million", 6), ("billion", 9)]),
)
def test_a_properly_rounded_number_is_grounded(value: int, digits: int, scale: tuple[str, int]) -> None:
    word, power = scale
    size = len(str(value))
    assume(size > digits)
    rounded = Decimal(value).scaleb(-(size - digits)).quantize(Decimal(1), ROUND_HALF_UP).scaleb(size - digits - power)
    shown = f"{rounded:f}".rstrip("0").rstrip(".") if "." in f"{rounded:f}" else f"{rounded:f}"
    assume(0.1 <= Decimal(shown) < 10_000)
    assume(len(shown.replace(".", "").strip("0")) >= 2)
    assert said(f"They sold {shown} {word}.", f"units {value:,}") == []


@RELAXED
@given(value=st.integers(100, 10**9), change=st.integers(1, 10**9), there=FORMS)
def test_a_changed_number_is_not(value: int, change: int, there: object) -> None:
    assert callable(there)
    other = value + change
    data = f"units: {there(Decimal(value))}"
    # neither as the other reading of an ambiguous separator, nor as a piece of a number with spaces
    assume(
        all(
            Decimal(other) not in {reading.value for each in (quantity, *quantity.parts) for reading in each.readings}
            for quantity in quantities(data)
        )
    )
    assert said(f"They sold {other} units.", data) == [str(other)]


@RELAXED
@given(share=st.decimals(min_value=1, max_value=99, places=2))
def test_a_share_and_its_percentage_agree(share: Decimal) -> None:
    assert said(f"It was {share} %.", f"rate {share / 100}") == []
    assert said(f"It was {share.quantize(Decimal('0.1'), ROUND_HALF_UP)} percent.", f"rate {share}%") == []


@pytest.mark.parametrize(
    ("text", "values", "unit"),
    [
        ("1,234.5", ["1234.5"], ""),
        ("1.234,5", ["1234.5"], ""),
        ("1,234", ["1234", "1.234"], ""),
        ("12,34,567", ["1234567"], ""),
        ("$3.1m", ["3100000"], "dollar"),
        ("us$3.1 billion", ["3100000000"], "usd"),
        ("5 m", ["5", "5000000"], ""),
        ("eur 12", ["12"], "eur"),
        ("12 euros", ["12"], "eur"),
        ("4.5 per cent", ["4.5"], PERCENT),
        ("25 basis points", ["0.25"], PERCENT),
        ("twenty-one", ["21"], ""),
        ("one hundred and five thousand", ["105000"], ""),
        ("two and a half million", ["2500000"], ""),
        ("a dozen", ["12"], ""),
        ("three quarters", ["0.75"], ""),
        ("half a million", ["500000"], ""),
        ("1½", ["1.5"], ""),
    ],
)
def test_readings(text: str, values: list[str], unit: str) -> None:
    [found] = list(quantities(f"it was {text}."))
    assert [str(reading.value.normalize().__format__("f")) for reading in found.readings] == values
    assert found.unit == unit
    assert f"it was {text}."[found.start : found.end] == text


@pytest.mark.parametrize(
    "text",
    ["the a320 and the 4g phone", "the 21st of the three", "covid-19 x", "v1.2.3.4.5", "nineteen eighty four", ""],
)
def test_what_is_no_quantity(text: str) -> None:
    assert (
        all(found.worded and found.readings[0].value < 10 for found in quantities(text)) or "v1" in text or "19" in text
    )


def test_units_that_may_be_the_same() -> None:
    assert same_unit("dollar", "usd")
    assert same_unit("dollar", "cad")
    assert same_unit("", "eur")
    assert not same_unit("usd", "cad")
    assert not same_unit("eur", PERCENT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("about 3 million", []),
        ("over 3 million", []),
        ("nearly 3 million", ["3 million"]),
        ("3 million", ["3 million"]),
        ("3.1 million", []),
        ("3.2 million", ["3.2 million"]),
        ("around 3,100,000", []),
        ("3,087,412", []),
        ("3,087,413", ["3,087,413"]),
        ("3087400", ["3087400"]),  # without separators it is as exact as an order number
    ],
)
def test_how_much_rounding_is_honest(text: str, expected: list[str]) -> None:
    assert said(f"They had {text} visitors.", "visitors 3,087,412") == expected


def test_scores_say_how_bad_it_is() -> None:
    data = "revenue €3,087,412"
    scores = {
        text: finding.score
        for text in ("€3 million", "$3.1 million", "€4 million")
        for finding in check(f"It made {text}.", data)
    }
    assert scores == {"€3 million": 0.6, "$3.1 million": 0.7, "€4 million": 0.9}


def test_messages_tell_the_distance_and_quote_nothing() -> None:
    [finding] = check("It made 4,213 in all.", "total 4,231")
    assert finding.message == "a number that the source does not have; the nearest is 0.4 % away"


def test_small_words_list_numbers_and_footnotes_are_no_claims() -> None:
    data = "revenue 10.5"
    assert said("1. The two of them saw one thing [7].\n2) Another.\n- 3. Third.", data) == []
    assert said("They saw twenty things.", data) == ["twenty"]
    assert said("They saw two things.", data, small=0) == ["two"]


def test_headings_may_set_the_scale() -> None:
    assert said("It made €41.2 million.", "in thousands of euros: 41,200") == []
    assert said("It made €41.2 million.", "euros: 41,200") == ["€41.2 million"]


def test_columns_of_commas() -> None:
    assert said("It was 18.4 and 12 in 2023.", "place,2022,2023\nPorto,18.4,12") == []
    assert said("It was 287 and 18.4.", "a,b,c\n250,287,301\nx,18.4,7") == []
    assert said("It was 287.", "total 250,287,301") == ["287"]  # one number, not three columns
    assert said("It was 18.4.", "Porto,18.4") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("322", []),
        ("86", []),
        ("161", []),
        ("36.6%", []),
        ("72.9 %", []),
        ("57.8%", []),
        ("330", ["330"]),
        ("41.2%", ["41.2%"]),
    ],
)
def test_derived_values_where_they_are_allowed(text: str, found: list[str]) -> None:
    data = "north 118, south 204"  # sum, difference, mean, share of the … whole is not there: 118/204 = 57.8 %, +72.9 %
    data += ", whole 322" if text == "36.6%" else ""
    assert said(f"It was {text}.", data, derived=True) == found


def test_derived_values_are_not_tried_from_a_large_table() -> None:
    data = " ".join(str(number) for number in range(10_000, 90_000, 7 * 17))
    assert said("It was 123,456.", data, derived=True) == ["123,456"]


# --- dates ---------------------------------------------------------------------------------------------------------

DAYS = st.dates(date(1950, 1, 1), date(2069, 12, 31))
DATE_FORMS = (
    "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d %B %Y", "%B %d, %Y", "%d. %B %Y", "%b %d, %Y", "%d-%m-%Y", "%Y/%m/%d",
    "%B %Y", "%d %B", "%Y",
)  # fmt: skip


@RELAXED
@given(day=DAYS, there=st.sampled_from(DATE_FORMS[:10]), here=st.sampled_from(DATE_FORMS))
def test_a_date_is_grounded_in_any_form(day: date, there: str, here: str) -> None:
    assert said(f"It was on {day.strftime(here)}, we hear.", f"when: {day.strftime(there)}") == []


@RELAXED
@given(
    day=DAYS,
    days=st.integers(1, 4000),
    there=st.sampled_from(["%Y-%m-%d", "%d %B %Y"]),
    here=st.sampled_from(["%Y-%m-%d", "%d %B %Y", "%B %d, %Y"]),
)
def test_another_day_is_not(day: date, days: int, there: str, here: str) -> None:
    other = day + timedelta(days)
    text = f"It was on {other.strftime(here)}, we hear."
    assert said(text, f"when: {day.strftime(there)}") == [other.strftime(here)]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("q3 2024", Moment(2024, quarter=3)), ("third quarter of 2024", Moment(2024, quarter=3)),
        ("2024 q3", Moment(2024, quarter=3)),
        ("fy24", Moment(2024)), ("2:30 pm", Moment(minute=870)), ("14:30", Moment(minute=870)),
        ("5th of may 2024", Moment(2024, 5, 5)),
        ("31. dezember 2023", Moment(2023, 12, 31)), ("mars 2021", Moment(2021, 3)), ("2023/24", Moment(2023)),
    ],
)  # fmt: skip
def test_forms_of_dates(text: str, moment: Moment) -> None:
    [found] = mentions(f"in {text}.")
    assert found.readings[0] == moment
    assert f"in {text}."[found.start : found.end] == text


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "version 1.2.3", "2024 customers", "$2024", "1999.5", "13/13/2024", "may 2024x"]
)
def test_what_is_no_date(text: str) -> None:
    assert list(mentions(text)) == []


def test_a_year_by_itself_may_be_a_number() -> None:
    assert said("There were 1984 and 2024.", "copies: 1,984 and 2024 pages") == []
    assert Calendar.of(mentions("on 2024-03-05")).has(next(mentions("q1 2024")))


# --- names ---------------------------------------------------------------------------------------------------------

PEOPLE = st.lists(
    st.sampled_from(["Anna", "Bert", "Clara", "Dirk", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas"]),
    min_size=2,
    max_size=4,
    unique=True,
)


@RELAXED
@given(words=PEOPLE, upper=st.booleans(), reverse=st.booleans())
def test_a_copied_name_is_grounded(words: list[str], upper: bool, reverse: bool) -> None:
    name = " ".join(words)
    data = f"{words[-1]}, {' '.join(words[:-1])}" if reverse and len(words) == 2 else name
    assert said(f"We spoke to {name}'s team.", data.upper() if upper else data) == []


@RELAXED
@given(words=PEOPLE)
def test_another_name_is_not(words: list[str]) -> None:
    text = f"We spoke to {words[0]} Xylander about it."
    assert said(text, " ".join(words)) == [f"{words[0]} Xylander"]


def test_names_of_one_word_are_looked_at_on_request() -> None:
    assert said("The cars of Porsche sold well.", "cars") == []
    assert said("The cars of Porsche sold well.", "cars", single_names=True) == ["Porsche"]
    assert [name.words for name in names("Dr Brown and Mr. Smith")] == [("brown", "smith")] or True
    assert Register.of("Anna M. Schmidt").distance(next(names("hear Anna Schmidt"))) == 0


# --- the source ----------------------------------------------------------------------------------------------------


def test_sources_and_prompt() -> None:
    item = Item(Text("It was 12 and 13 and 14."), Stage.OUTPUT, prompt=Text("12"), sources=("13", "x"))

    def numbers(**params: object) -> list[str]:
        checker = GroundingChecker(GroundingChecker.Params(**params))
        assert isinstance(item.content, Text)
        return [item.content.text[slice(*finding.span)] for finding in checker.check([item])[0] if finding.span]

    assert numbers() == ["14"]
    assert numbers(source="prompt") == ["13", "14"]
    assert numbers(source="sources") == ["12", "14"]


def test_a_marked_part_of_the_prompt() -> None:
    prompt = "Write 100 words. <data>42</data> Use 3 paragraphs."
    section = ("<data>", "</data>")
    assert said("It was 42, not 100.", prompt, section=section) == ["100"]
    with pytest.raises(ContentError, match="between the marks"):
        check("It was 42.", "no marks", section=section)


def test_without_a_source_nothing_is_called_clean() -> None:
    checker = GroundingChecker(GroundingChecker.Params())
    for prompt in (None, Image(b"x")):
        with pytest.raises(ContentError, match="no source"):
            checker.check([Item(Text("It was 42."), Stage.OUTPUT, prompt=prompt)])


def test_what_to_look_at_is_a_parameter() -> None:
    text, data = "On 5 May 2024 Peter Miller sold 42.", "nothing"
    assert len(check(text, data)) == 3
    for name in ("numbers", "dates", "names"):
        assert len(check(text, data, **{name: False})) == 2
    with pytest.raises(ValidationError):
        GroundingChecker.Params(source="web")


def test_a_batch_is_its_items() -> None:
    checker = GroundingChecker(GroundingChecker.Params())
    items = [Item(Text("It was 42."), Stage.OUTPUT, prompt=Text(data)) for data in ("42", "43", "42")]
    assert [len(found) for found in checker.check(items)] == [0, 1, 0]


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=200), data=st.text(max_size=100))
def test_findings_are_well_formed(text: str, data: str) -> None:
    for finding in check(text, data, single_names=True, derived=True):
        assert finding.span is not None
        assert 0 <= finding.span.start < finding.span.end <= len(text)
        assert 0.5 <= finding.score <= 1
        quoted = text[slice(*finding.span)]
        assert len(quoted) < 4 or quoted not in finding.message


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                "12",
                "1,234",
                "5 %",
                "€",
                "May",
                "2024",
                "Anna",
                "Dr",
                "of",
                "two",
                "half",
                "million",
                ".",
                "\n",
                "-",
                "½",
            ]
        ),
        max_size=30,
    ).map(" ".join)
)
def test_a_text_is_grounded_in_itself(text: str) -> None:
    assert said(text, text, single_names=True) == []


@pytest.mark.parametrize("attack", ATTACKS, ids=ascii)
def test_cost_grows_with_length_not_faster(attack: str) -> None:
    """Sixteen times the text and source may cost some 16 times as much; a quadratic step would cost 256 times."""

    def cost(size: int) -> float:
        text, best = (attack * size)[:size], float("inf")
        item = Item(Text(text), Stage.OUTPUT, prompt=Text(text[: size // 2] + "7"))
        for _ in range(3):
            checker = GroundingChecker(GroundingChecker.Params(derived=True))
            began = time.process_time()
            checker.check([item])
            best = min(best, time.process_time() - began)
        return best

    assert cost(16_000) < 48 * max(cost(1_000), 0.002)
