"""Check digits of payment cards, bank accounts and wallets. Pure functions over compact strings (no separators)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache

_VERHOEFF_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_TURN = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
# For each place of a digit and each state: the next state for each digit.
_VERHOEFF = tuple(
    tuple(bytes(int(row[int(turned)]) for turned in turn) for row in _VERHOEFF_TIMES) for turn in _VERHOEFF_TURN
)
_LETTERS = str.maketrans({chr(65 + index): str(10 + index) for index in range(26)})
_DOUBLE = bytes.maketrans(b"0123456789", b"0246813579")


def weighted(text: str, weights: tuple[int, ...]) -> int:
    """The sum of digits times weights, as far as there are weights."""
    return sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False))


def day(month: str, day: str) -> bool:
    """Whether a month has such a day; 29 February counts."""
    return 1 <= int(month) <= 12 and 1 <= int(day) <= (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[int(month) - 1]


def anything(_: str) -> bool:
    """No check digit exists."""
    return True


def hardware(text: str) -> bool:
    """Whether an address of six bytes is that of a device: not all zeros, nor all ones, which is everybody's."""
    return len(set(text) - set(":-.")) > 1


def luhn(text: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = text.encode()
    # '0' is 48, so the sum of n digits as bytes is 48 n too large; doubled digits are looked up.
    return (sum(digits[::-2]) + sum(digits[-2::-2].translate(_DOUBLE)) - 48 * len(digits)) % 10 == 0


def verhoeff(text: str) -> bool:
    """Verhoeff's dihedral check."""
    state = 0
    for step, code in zip(itertools.cycle(_VERHOEFF), reversed(text.encode()), strict=False):
        state = step[state][code - 48]
    return state == 0


def mod_11_10(text: str) -> bool:
    """ISO 7064, MOD 11,10."""
    state = 5
    for digit in text[:-1]:
        state = ((state or 10) * 2) % 11
        state = (state + int(digit)) % 10
    state = ((state or 10) * 2) % 11
    return (state + int(text[-1])) % 10 == 1


def mod_11_2(text: str) -> bool:
    """ISO 7064, MOD 11-2; the check digit may be X."""
    state = 0
    for digit in text[:-1]:
        state = (state + int(digit)) * 2 % 11
    return "0123456789X"[(12 - state) % 11] == text[-1]


def mod_97(text: str) -> bool:
    """ISO 7064, MOD 97-10, letters counting from 10."""
    return int(text.translate(_LETTERS)) % 97 == 1


def iban(text: str) -> bool:
    """A bank account in the form of ISO 13616: two check digits behind the country, over the rest and these four."""
    return mod_97(text[4:] + text[:4])


def ean(text: str) -> bool:
    """GS1: EAN-8, EAN-13 and their like."""
    return (sum(map(int, text[::-2])) + 3 * sum(map(int, text[-2::-2]))) % 10 == 0


def icao(text: str) -> bool:
    """ICAO 9303: weights 7, 3, 1 over digits and letters, the last digit checks the others."""
    return sum(int(character, 36) * (7, 3, 1)[index % 3] for index, character in enumerate(text[:-1])) % 10 == int(
        text[-1]
    )


def card(text: str) -> bool:
    """A payment card: an issuer's range at a length that it uses, and Luhn."""
    return len(text) in _card_lengths(text[:4]) and luhn(text) and len(set(text)) > 1


@lru_cache(maxsize=10_000)
def _card_lengths(prefix: str) -> tuple[int, ...]:
    four = int(prefix)
    two, three = four // 100, four // 10
    if four // 1000 == 4:  # Visa
        return (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:  # Mastercard
        return (16,)
    if two in (34, 37):  # American Express
        return (15,)
    if 300 <= three <= 305 or two in (36, 38, 39) or four == 3095:  # Diners Club
        return (14, 15, 16, 17, 18, 19)
    if 3528 <= four <= 3589:  # JCB
        return (16, 17, 18, 19)
    if four == 6011 or 644 <= three <= 649 or two == 65:  # Discover
        return (16, 17, 18, 19)
    if two in (62, 81):  # UnionPay
        return (16, 17, 18, 19)
    if 2200 <= four <= 2204:  # Mir
        return (16, 17, 18, 19)
    if two == 50 or 56 <= two <= 58 or two in (60, 63, 66, 67, 68, 69):  # Maestro, RuPay, Elo, Verve, Troy
        return (12, 13, 14, 15, 16, 17, 18, 19)
    return (16,) if four == 9792 or 9400 <= four <= 9499 else ()


def aba(text: str) -> bool:
    """US bank routing number."""
    prefix = int(text[:2])
    known = prefix <= 12 or 21 <= prefix <= 32 or 61 <= prefix <= 72 or prefix == 80
    return known and text.strip("0") != "" and weighted(text, (3, 7, 1) * 3) % 10 == 0


# By the names that policies use for recognizers of their own; the second are over letters too.
_OVER_DIGITS: dict[str, Callable[[str], bool]] = {
    "luhn": luhn, "verhoeff": verhoeff, "mod-11-10": mod_11_10, "ean": ean, "card": card, "aba": aba,
}  # fmt: skip
_OVER_LETTERS: dict[str, Callable[[str], bool]] = {"mod-11-2": mod_11_2, "mod-97": mod_97, "iban": iban, "icao": icao}
NAMES = tuple(sorted({*_OVER_DIGITS, *_OVER_LETTERS}))


def holds(name: str, text: str) -> bool:
    """Whether a text has the check digits of a named scheme, which looks at digits only or at letters too."""
    plain = [character for character in text.upper() if character.isascii() and character.isalnum()]
    if name in _OVER_DIGITS:
        digits = "".join(filter(str.isdigit, plain))
        return len(digits) > 1 and _OVER_DIGITS[name](digits)
    try:
        return len(plain) > 4 and _OVER_LETTERS[name]("".join(plain))
    except ValueError:  # a letter where the scheme has a digit
        return False
