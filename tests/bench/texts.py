"""Texts to measure on, made by a seeded generator from words of our own: nothing is downloaded and nothing is committed."""

from __future__ import annotations

import random
from collections.abc import Callable

from stdnum import iban, luhn

_WHO = (
    "The customer", "My neighbour", "Our driver", "A colleague", "The nurse", "Her brother", "Somebody from the shop",
    "The teacher", "A visitor",
)  # fmt: skip
_DID = ("asked", "wondered", "told me", "wrote", "explained", "said", "remembered", "was not sure", "could not believe")
_WHAT = (
    "why the kettle takes so long to boil", "whether the parcel would arrive before the weekend",
    "that the garden needs more water in summer", "how to cook rice without burning it", "why some people don't like mushrooms",
    "that nobody at the office had seen the keys", "whether the train still stops at the old station",
    "that you can't mix these two colours", "how long the guarantee lasts", "that it rained for three days",
    "which of the two books is easier to read", "that the meeting had moved to Thursday at 10:30",
    "whether 15 chairs would be enough", "that the price went up by 12 % in 2023", "how far it is to the nearest lake",
)  # fmt: skip
_THEN = (
    "I would start with the simple things", "Let me think about that for a moment", "That's a fair question",
    "It depends on where you live",
)  # fmt: skip
_SAY = (
    "{who} {did} {what}.", "{then}, and then look at it again.", "{who} {did} {what}, but {who} {did} {what}.",
    "\u201c{then},\u201d {who} {did}.", "\n\nHuman: {then}?", "\n\nAssistant: {then}. {who} {did} {what}.",
)  # fmt: skip


def prose(size: int, seed: int = 1) -> str:
    """Ordinary dialogue, with a number here and there and typographic quotes, of `size` characters."""
    chance = random.Random(seed)
    pieces: list[str] = []
    length = 0
    while length < size:
        said = chance.choice(_SAY)
        for word, options in (("{who}", _WHO), ("{did}", _DID), ("{what}", _WHAT), ("{then}", _THEN)):
            while word in said:
                said = said.replace(word, chance.choice(options), 1)
        pieces.append(said)
        length += len(said) + 1
    return " ".join(pieces)[:size]


def _digits(chance: random.Random, count: int) -> str:
    return "".join(str(chance.randrange(10)) for _ in range(count))


def _card(chance: random.Random) -> str:
    body = chance.choice(("4", "51", "2221", "6011")) + _digits(chance, 15)
    number = body[:15] + luhn.calc_check_digit(body[:15])
    return chance.choice((" ", "-", "")).join(number[place : place + 4] for place in range(0, 16, 4))


def _iban(chance: random.Random) -> str:
    body = _digits(chance, 18)
    return f"DE{iban.calc_check_digits('DE00' + body)}{body}"


def _hex(chance: random.Random, count: int) -> str:
    return "".join(chance.choice("0123456789abcdef") for _ in range(count))


def _phone(chance: random.Random) -> str:
    return f"+1 {chance.choice((212, 415, 617, 312, 206))}-{chance.randrange(201, 999)}-{_digits(chance, 4)}"


def _local_phone(chance: random.Random) -> str:
    return f"(415) {chance.randrange(201, 999)}-{_digits(chance, 4)}"


def _ssn(chance: random.Random) -> str:
    return f"{chance.randrange(100, 665)}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}"


def _date(chance: random.Random) -> str:
    return f"{chance.randrange(1980, 2026)}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"


def _address(chance: random.Random) -> str:
    return ".".join(str(chance.randrange(1, 255)) for _ in range(4))


_DENSE: tuple[tuple[str, Callable[[random.Random], str]], ...] = (
    ("Write to {} today. ", lambda chance: f"a.{_hex(chance, 6)}@mail{_digits(chance, 2)}.example.com"),
    ("Call {} before noon. ", _phone),
    ("The phone is {} as before. ", _local_phone),
    ("The card {} was charged. ", _card),
    ("Please pay to {} by Friday. ", _iban),
    ("Her SSN is {} as we know. ", _ssn),
    ("It came from {} at night. ", _address),
    ("See https://{} for more. ", lambda chance: f"www.{_hex(chance, 5)}.example.org/{_hex(chance, 8)}"),
    ("Her passport is {} now. ", lambda chance: _digits(chance, 9)),
    ("On {} it was sent. ", _date),
    ("Order {} is late. ", lambda chance: _digits(chance, 7)),
    ("The device {} answered. ", lambda chance: ":".join(_hex(chance, 2) for _ in range(6))),
)


def dense(size: int, seed: int = 2) -> str:
    """Sentences of which each holds an identifier, as in a form or a log, of `size` characters."""
    chance = random.Random(seed)
    pieces: list[str] = []
    length = 0
    while length < size:
        frame, make = chance.choice(_DENSE)
        pieces.append(frame.format(make(chance)))
        length += len(pieces[-1])
    return "".join(pieces)[:size]
