"""Consistent pseudonyms: which value got which, and back again. Pure but for the table that one request fills.

A label never stands in the text already, so an answer that repeats it means the value. A surrogate of the same shape is no
valid card number, and its e-mail domain is reserved (RFC 2606), so that nobody real is hit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from guard.operators import UNSAFE, Operator
from guard.types import Span

Noise = Callable[[str, str, int], bytes]  # scope, value, attempt → bytes that only a key holder can tell; any number
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, no words
LABEL = re.compile(r"\[([A-Z0-9_]+)\]|(?<![A-Za-z0-9_])([A-Z0-9_]+)(?![A-Za-z0-9_])")
_NAME = re.compile(r"[A-Z0-9_]+")
_JSON = re.compile(r'\{\s*(?:["}]|\Z)|\[\s*(?:["\[{\]\-0-9tfnNI]|\Z)|"')
_CLOSED = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+(?:"\s*\S|[\x00-\x1f])', re.DOTALL)  # a string and more, or none
LEAST_SHAPE = 6  # letters and digits that a value needs, so that a surrogate is not found by chance
MOST_SHAPES = 200  # surrogates in one request; each makes reading an answer slower


class Given(NamedTuple):
    """A pseudonym as it stands in the text, and whether it is a surrogate."""

    text: str
    shaped: bool


class Pseudonyms:
    """The pseudonyms of one request: equal values get equal ones, whatever their category."""

    def __init__(self, noise: Noise | None = None) -> None:
        self._noise = noise
        self._seen: list[str] = []
        self._taken: set[str] = set()
        self._given: dict[str, Given] = {}
        self._meant: dict[str, str] = {}  # the other way round; labels without their brackets
        self._numbers: dict[str, int] = {}
        self._shapes: re.Pattern[str] | None = None
        self._beginnings: tuple[frozenset[str], int] | None = None

    @classmethod
    def read(cls, table: Mapping[str, str]) -> Pseudonyms:
        """From what the record sealed."""
        made = cls()
        for text, value in table.items():
            made._keep(value, Given(text, not LABEL.fullmatch(text)))
        return made

    @property
    def table(self) -> dict[str, str]:
        """Pseudonym to value, as the record seals it."""
        return {given.text: value for value, given in self._given.items()}

    def see(self, text: str) -> None:
        """No pseudonym that is given from now on stands in this text."""
        self._seen.append(text)
        self._taken.update(_NAME.findall(text))

    def of(self, value: str, category: str, operator: Operator) -> str:
        """The pseudonym of a value."""
        given = self._given.get(value)
        if given is None:
            shaped = operator.shape == "same" and self._shaped_count() < MOST_SHAPES
            made = self._surrogate(value, operator) if shaped else None
            given = Given(made, True) if made else Given(f"[{self._label(value, category, operator)}]", False)
            self._keep(value, given)
        return given.text

    def _keep(self, value: str, given: Given) -> None:
        self._given[value] = given
        self._meant[given.text if given.shaped else given.text.strip("[]")] = value
        self._shapes = self._beginnings = None

    def _shaped_count(self) -> int:
        return sum(given.shaped for given in self._given.values())

    def _label(self, value: str, category: str, operator: Operator) -> str:
        kind = re.sub(r"[^A-Z0-9]+", "_", category.upper()).strip("_") or "VALUE"
        attempt = 0
        while True:
            attempt += 1
            if operator.scope == "subject" and self._noise is not None:
                noise = self._noise("subject", value, attempt)
                name = f"{kind}_{''.join(LETTERS[byte % len(LETTERS)] for byte in noise[:8])}"
            else:
                number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
                name = f"{kind}_{number}"
            if name not in self._meant and name not in self._taken:
                return name

    def _surrogate(self, value: str, operator: Operator) -> str | None:
        """A text of the same shape; None for values that are too short, and where chance makes none that will do."""
        if self._noise is None or sum(map(str.isalnum, value)) < LEAST_SHAPE:
            return None
        for attempt in range(1, 9):
            made = _shaped(value, self._noise(operator.scope, value, attempt))
            known = (*self._meant, *self._given, *self._seen)
            if not (luhn(made) or any(made in other or (other and other in made) for other in known)):
                return made
        return None

    # --- and back ---

    def found(self, text: str) -> Iterator[tuple[Span, str]]:
        """Where a text repeats a pseudonym, and the value that it means."""
        for pattern in filter(None, (self._shape_pattern(), LABEL if len(self._meant) else None)):
            for match in pattern.finditer(text):
                value = self._meant.get(match[1] or match[2] if pattern is LABEL else match[0])
                if value is not None:
                    yield Span(*match.span()), value

    def _shape_pattern(self) -> re.Pattern[str] | None:
        shapes = [given.text for given in self._given.values() if given.shaped]
        if self._shapes is None and shapes:
            words = "|".join(map(re.escape, sorted(shapes, key=lambda shape: (-len(shape), shape))))
            self._shapes = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])")
        return self._shapes

    def restored(self, text: str, values: frozenset[str] | None = None) -> tuple[str, int]:
        """The text with pseudonyms turned back (those of `values`, default all), and how many.

        What goes into a JSON document is escaped, and so cannot change its structure.
        """
        here = is_json(text)
        pieces, done, count = [], 0, 0
        for span, value in sorted(self.found(text)):
            if span.start >= done and (values is None or value in values):
                pieces += [text[done : span.start], json.dumps(value, ensure_ascii=False)[1:-1] if here else value]
                done, count = span.end, count + 1
        return "".join([*pieces, text[done:]]), count

    def unfinished(self, text: str) -> int:
        """Where a pseudonym may begin that more text could make, finish, or change: the end of the text if nowhere."""
        if self._beginnings is None:
            written = {form for given in self._given.values() for form in (given.text, given.text.strip("[]"))}
            begun = frozenset(form[:size] for form in written for size in range(1, len(form) + 1))
            self._beginnings = begun, max(map(len, written), default=0)
        begun, longest = self._beginnings
        sizes = range(min(longest, len(text)), 0, -1)
        return next((len(text) - size for size in sizes if text[-size:] in begun), len(text))

    def restored_from(self, text: str, start: int, values: frozenset[str]) -> tuple[str, int]:
        """What `restored` makes of a text without its first `start` characters, as far as more text cannot change it; and how
        far that is. The text is no JSON document, and before `start` it ends no pseudonym."""
        end, spans = self.unfinished(text), sorted(self.found(text))
        end = min([end, *(span.start for span, _ in spans if span.start < end < span.end)])
        pieces, done = [], start
        for span, value in spans:
            if span.start >= done and span.end <= end and value in values:
                pieces += [text[done : span.start], value]
                done = span.end
        return "".join([*pieces, text[done:end]]), max(start, end)


def meant(value: str, *, in_json: bool) -> str:
    """What a stretch of a text says: in a JSON document with its escape sequences read."""
    if in_json and "\\" in value:
        try:
            return str(json.loads(f'"{value}"'))
        except ValueError:  # the stretch is more than a part of one string
            pass
    return value


def is_json(text: str) -> bool:
    """Whether a whole text is a JSON document with structure to break."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def may_be_json(text: str) -> bool:
    """Whether a text that begins so may yet become what `is_json` takes for a document."""
    begun = text.lstrip()
    return not begun or (_JSON.match(begun) is not None and _CLOSED.match(begun) is None)


def luhn(text: str) -> bool:
    """Whether the digits of a text have a valid check digit, as payment cards have."""
    digits = [int(char) for char in reversed(text) if char.isascii() and char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return len(digits) >= 12 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _shaped(value: str, noise: bytes) -> str:
    local, at, domain = value.rpartition("@")
    if at:
        inner = domain.rpartition(".")[0] or domain
        return f"{_swapped(local, noise)}@{_swapped(inner, noise[::-1])}.example"
    return _swapped(value, noise)


def _swapped(value: str, noise: bytes) -> str:
    out = []
    for index, char in enumerate(value):
        byte = noise[index % len(noise)]
        if char.isdigit():
            out.append("0123456789"[byte % 10])
        elif char.isalpha() or not char.isascii():
            letter = LETTERS[byte % len(LETTERS)]
            out.append(letter if char.isupper() else letter.lower())
        else:
            out.append("_" if UNSAFE.search(char) else char)
    return "".join(out)
