"""Names of people and organisations by their capitals: sequences of capitalised words, and whether a source has them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

REACH = 3  # words that may stand between two words of a name in the source: initials, middle names, "and"
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019.&-][^\W\d_]+)*")
_CAPITAL = r"(?:[A-Z\u00c0-\u00de\u0130-\u017d][^\W\d_]*(?:['\u2019-][^\W\d_]+)*|[A-Z]\.)"
_LINK = r"(?: (?:of|de|da|di|del|della|van|von|der|den|the|and|&|la|le|du|bin|al) | )"
_NAME = re.compile(rf"(?<![\w.@/-])(?P<name>{_CAPITAL}(?:{_LINK}{_CAPITAL}){{1,7}}+)(?![\w@])")
_SINGLE = re.compile(r"(?<=[a-z,;] )[A-Z\u00c0-\u00de][^\W\d_]{2,}(?![\w@])")
_HEADING = re.compile(r"^(?:#{1,6} .*|\*\*[^*\n]*\*\*:?|[^\n.!?]{1,80}:)[ \t]*$", re.MULTILINE)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LINKS = _set(
    """
    of de da di del della van von der den the and & la le du bin al
    """
)
_TITLES = _set(
    """
    mr mrs ms miss mx dr prof professor sir lady lord dame herr frau president chairman chairwoman chair ceo cfo coo cto
    director minister senator judge captain inc incorporated ltd limited corp corporation company co plc gmbh ag sa nv bv
    llc llp group holdings holding jr sr phd md
    """
)
_STARTERS = _set(
    """
    the a an in on at for from to by with this that these those its their his her our my your as while when where after
    before during since however overall meanwhile additionally moreover furthermore although despite both each every all
    most many some no not if and or but so yet what who which how why there here it he she they we you i total according
    compared given following dear hello hi thank thanks please between under over within without about against through
    until into across key finally first second third next last also only even
    """
)
# Words that reports write with capitals without naming anybody.
_GENERIC = _set(
    """
    net gross operating income revenue revenues sales profit profits loss losses earnings margin margins ebitda ebit cash
    flow flows free total quarter quarterly annual annually year yearly fiscal half full month monthly week report reports
    summary executive overview highlights results outlook guidance statement statements balance sheet assets liabilities
    equity debt capital expenditure expenditures costs cost expenses expense board directors committee management team
    chief financial officer technology shareholders investors analysts customers employees market markets segment segments
    region regions north south east west central europe european america american asia asian pacific africa african middle
    emea apac latam uk us usa eu united states kingdom china india germany france japan global international domestic
    growth rate rates share shares price prices dividend dividends per earning interest tax taxes pre post adjusted
    average basis points percent key figures table figure section appendix note notes risk factors business units unit
    products product services service online retail store stores data source sources performance review analysis
    conclusion introduction background recommendation recommendations monday tuesday wednesday thursday friday saturday
    sunday january february march april may june july august september october november december q1 q2 q3 q4 new old high
    low best worst
    """
)

_TRAILING = _LINKS | _TITLES
_LEADING = _TRAILING | _STARTERS


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a text. `words` are its stems without titles and links."""

    start: int
    end: int
    words: tuple[str, ...]


@dataclass(slots=True)
class Register:
    """The words of a source, and which of them stand close together."""

    words: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, text: str) -> Register:
        """All words and pairs of a text, whatever their capitals; initials of capitalised sequences as well."""
        found = [part for match in _WORD.finditer(text) for part in _stems(match.group())]
        register = cls(set(found))
        for distance in range(1, REACH + 1):
            near = list(zip(found, found[distance:], strict=False))
            register.pairs.update(near)
            register.pairs.update((right, left) for left, right in near)
        return register

    def distance(self, name: Name) -> float:
        """0 where the source has the name, 0.5 where it has its words apart from one another, 1 where it lacks one."""
        if "".join(word[0] for word in name.words) in self.words:
            return 0.0  # the source has it as an abbreviation
        if not self.words.issuperset(name.words):
            return 1.0
        together = all(
            pair in self.pairs or pair[0] == pair[1] for pair in zip(name.words, name.words[1:], strict=False)
        )
        return 0.0 if together else 0.5


def names(text: str, *, single: bool = False) -> Iterator[Name]:
    """The names in a text: two capitalised words or more, one after a title, or (`single`) one inside a sentence."""
    headings = [match.span() for match in _HEADING.finditer(text)]
    place = 0
    for match in _NAME.finditer(text):
        while place < len(headings) and headings[place][1] <= match.start():
            place += 1
        if place == len(headings) or match.start() < headings[place][0]:
            found = _name(match)
            if found is not None:
                yield found
    if single:
        for match in _SINGLE.finditer(text):
            word = _stems(match.group())
            if word and word[0] not in _GENERIC and word[0] not in _STARTERS:
                yield Name(*match.span(), tuple(word))


def _name(match: re.Match[str]) -> Name | None:
    parts = [(part.start(), part.end(), part.group()) for part in re.finditer(r"\S+", match["name"])]
    titled = False
    while parts and _plain(parts[0][2]) in _LEADING:
        titled = _plain(parts.pop(0)[2]) in _TITLES or titled
    while parts and _plain(parts[-1][2]) in _TRAILING:
        titled = _plain(parts.pop()[2]) in _TITLES or titled
    kept = [part for part in parts if _plain(part[2]) not in _LINKS and len(_plain(part[2])) > 1]
    if not kept or (len(kept) == 1 and not titled) or all(_plain(part[2]) in _GENERIC for part in kept):
        return None
    words = tuple(stem for part in kept for stem in _stems(part[2]))
    if not words:
        return None
    return Name(match.start() + parts[0][0], match.start() + parts[-1][1], words)


def _plain(word: str) -> str:
    return word.casefold().strip(".")


def _stems(word: str) -> list[str]:
    """Lower case, accents off, without possessives and plurals; a hyphen parts two words."""
    plain = (
        unicodedata.normalize("NFKD", word.casefold().replace("\u2019", "'")) if not word.isascii() else word.casefold()
    )
    plain = (
        "".join(character for character in plain if not unicodedata.combining(character))
        if not word.isascii()
        else plain
    )
    plain = plain.removesuffix("'s").rstrip("'")
    return [part.removesuffix("s") if len(part) > 3 else part for part in re.split(r"[-.&']", plain) if part]
