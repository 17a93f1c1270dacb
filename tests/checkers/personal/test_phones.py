"""The plans that are read from phonenumbers' tables agree with phonenumbers itself."""

from __future__ import annotations

import random

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from guard.checkers.personal.phones import is_international, plan_of

KINDS = (
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.MOBILE,
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.VOIP,
    PhoneNumberType.UAN,
)


def slips(digits: str, first: int, chance: random.Random) -> list[str]:
    """A number and five in which one digit is another."""
    made = [digits]
    for _ in range(5):
        place = chance.randrange(first, len(digits))
        made.append(digits[:place] + str(chance.randrange(10)) + digits[place + 1 :])
    return made


def valid(written: str, region: str | None) -> bool:
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number_for_region(number, region) if region else phonenumbers.is_valid_number(number)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_numbers_of_every_region(region: str) -> None:
    chance = random.Random(region)
    for kind in KINDS:
        example = phonenumbers.example_number_for_type(region, kind)
        if example is None:
            continue
        for digits in slips(phonenumbers.format_number(example, PhoneNumberFormat.E164)[1:], 3, chance):
            assert bool(is_international(digits)) == valid(f"+{digits}", None), digits
        national = phonenumbers.format_number(example, PhoneNumberFormat.NATIONAL)
        for digits in slips("".join(filter(str.isdigit, national)), 2, chance):
            assert plan_of(region).dials(digits) == valid(digits, region), digits


@pytest.mark.parametrize("digits", ["44020794609580", "8001234567890123", "999123456", "0123456"])
def test_what_is_no_number(digits: str) -> None:
    assert not is_international(digits)


def test_numbers_that_belong_to_no_country() -> None:
    assert is_international("80012345678")
