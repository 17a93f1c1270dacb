"""Organisations, places and postal addresses of our own making, in the forms of several countries (`names_places.txt`)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).parent / "names_places.txt"
_BLANK = re.compile(r"<([^<>]+)>")
_RANGE = re.compile(r"(\d+)-(\d+)")
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def read(source: Path = SOURCE) -> dict[str, list[str]]:
    """The lists of a file, by name."""
    found: dict[str, list[str]] = {}
    items: list[str] = []
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            items = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            items += line.split("|")
    return found


class Places:
    """Draws organisations, places and addresses.

    `name` gives a name for what is no list: first, last, surname, country, region, city, or city with country codes behind it.
    """

    def __init__(self, name: Callable[[str], str], draw: random.Random) -> None:
        self._name, self._draw, self._lists = name, draw, read()

    def one(self, kind: str) -> str:
        """An organisation (`org`) or a place that is neither a city nor a country (`place`)."""
        return self._filled(f"<{kind}>")

    def street(self) -> str:
        """House and street."""
        return self._filled(self._draw.choice(self._lists["address"]).partition(" = ")[0])

    def address(self) -> str:
        """House, street, city and, at times, country."""
        street, _, rest = self._draw.choice(self._lists["address"]).partition(" = ")
        gap = self._draw.choice((", ", ", ", ", ", "\n", " "))
        country = f"{self._draw.choice((', ', gap))}<country>" if self._draw.random() < 0.15 else ""
        return self._filled(f"{street}{gap}{rest}{country}")

    def _filled(self, pattern: str) -> str:
        while blank := _BLANK.search(pattern):
            pattern = pattern[: blank.start()] + self._drawn(blank[1]) + pattern[blank.end() :]
        return pattern

    def _drawn(self, what: str) -> str:
        draw = self._draw
        if what in self._lists:
            return draw.choice(self._lists[what])
        if what[0] == "#":
            return "".join(str(draw.randrange(1 if place == 0 else 0, 10)) for place in range(int(what[1:])))
        if what[0] == "@":
            return "".join(draw.choice(_LETTERS) for _ in range(int(what[1:])))
        if ends := _RANGE.fullmatch(what):
            return str(draw.randint(int(ends[1]), int(ends[2])))
        return self._name(what)
