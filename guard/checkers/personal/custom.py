"""Recognizers that a policy brings: patterns in RE2 syntax with a checksum by name and context words, and lists of words.

They run on the text itself (with what has no width taken out), not on its shadow, so that they may name any character. RE2
takes time linear in the text whatever the pattern; a pattern that would need a very large program is refused, and a match
ends after `LONGEST` characters, so the worst pattern costs the same for each kilobyte.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import re2  # type: ignore[import-untyped]
from pydantic import BaseModel, Field, field_validator, model_validator

from guard.checkers.patterns import Match, Scanner, options
from guard.checkers.personal import checksums
from guard.checkers.personal.context import AFTER, Words
from guard.checkers.shadow import around
from guard.checkers.text import Folded, fold
from guard.types import Span

LONGEST = 512  # bytes (UTF-8) that one match may take
_LARGEST = 20_000  # RE2 instructions
_SURROGATE = re.compile("[\ud800-\udfff]")


class Recognizer(BaseModel, extra="forbid", frozen=True):
    """A category of your own: either a pattern or a list of words."""

    category: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]{1,63}$", description="what findings are called, such as EMPLOYEE_ID"
    )
    pattern: str | None = Field(None, description="RE2 syntax; case counts unless it begins with (?i)")
    words: tuple[str, ...] = Field((), description="a deny list: literal words and names, whatever their case")
    checksum: str | None = Field(None, description="check digits that a match must have: " + ", ".join(checksums.NAMES))
    context: tuple[str, ...] = Field((), description="words that make a match surer")
    score: float = Field(0.85, ge=0, le=1, description="how sure a match is by itself")
    near: float = Field(0.95, ge=0, le=1, description="how sure it is beside a context word")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            compile_pattern(value)
        return value

    @field_validator("checksum")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        if value is not None and value not in checksums.NAMES:
            raise ValueError(f"there is no checksum {value!r}; known are {', '.join(checksums.NAMES)}")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Recognizer:
        if (self.pattern is None) == (not self.words):
            raise ValueError("give either `pattern` or `words`")
        if not all(word.strip() for word in self.words):
            raise ValueError("an empty word is everywhere; leave it out")
        return self

    @property
    def expression(self) -> str:
        """The pattern, or one for the words: whole words, with any space between their parts."""
        if self.pattern is not None:
            return self.pattern
        return "(?i)" + "|".join(_literal(word) for word in sorted(self.words, key=len, reverse=True))


def _literal(word: str) -> str:
    parts = r"\s+".join(re2.escape(part) for part in word.split())
    return (
        (r"\b" if word.strip()[0].isascii() and word.strip()[0].isalnum() else "")
        + parts
        + (r"\b" if word.strip()[-1].isascii() and word.strip()[-1].isalnum() else "")
    )


def compile_pattern(pattern: str) -> re2._Regexp:
    """An expression over UTF-8. Raises ValueError, in words for the author of the policy, when RE2 cannot run it."""
    try:
        compiled = re2.compile(pattern.encode(), options(utf8=True, memory=1 << 26))
    except re2.error as error:
        (why,) = error.args or ("not a valid expression",)
        text = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        raise ValueError(
            f"RE2 cannot run this pattern: {text} (RE2 has no look-around and no back-references)"
        ) from error
    if compiled.search(b"") is not None:
        raise ValueError("this pattern matches the empty text, so it would match everywhere; make it ask for something")
    if compiled.programsize > _LARGEST:
        raise ValueError(f"this pattern takes {compiled.programsize} steps, more than {_LARGEST}; use smaller repeats")
    return compiled


@dataclass(slots=True)
class _Document:
    """A folded text in UTF-8, and the way back."""

    data: bytes
    folded: Folded
    _counts: list[int] = field(default_factory=list)

    def characters(self, start: int, end: int) -> tuple[int, int]:
        """Byte places to places in the folded text."""
        if len(self.data) == len(self.folded.text):
            return start, end
        if not self._counts:  # how many characters begin in the bytes up to each; made when something is found
            self._counts = [0, *itertools.accumulate(int((byte & 0xC0) != 0x80) for byte in self.data)]
        return self._counts[start], self._counts[end]


class _Pattern:
    """One recognizer in the scanner. It looks for its next match behind its last one."""

    exclusive = True
    tail = ""

    def __init__(self, recognizer: Recognizer, before: int) -> None:
        self.gate = recognizer.expression
        self._about, self._before = recognizer, before
        self._expression = compile_pattern(recognizer.expression)
        self._words = Words(recognizer.context)

    def find(self, source: _Document, start: int, stop: int) -> Iterator[Match]:
        data = source.data
        while start < stop and (found := self._expression.search(data, start, min(len(data), stop + LONGEST))):
            begin = found.start()
            if begin >= stop:
                return
            # Again from its start and with a limit of its own, so that it does not depend on where the window ends.
            whole = self._expression.match(data, begin, min(len(data), begin + LONGEST))
            score = self._score(source, begin, whole.end()) if whole and whole.end() > begin else 0.0
            if whole and score:
                yield Match(begin, whole.end(), self._about.category, score)
                start = whole.end()
            else:
                start = begin + 1

    def _score(self, source: _Document, start: int, end: int) -> float:
        about = self._about
        if about.checksum and not checksums.holds(about.checksum, source.data[start:end].decode(errors="ignore")):
            return 0.0
        if not self._words:
            return about.score
        first, last = source.characters(start, end)
        nearby = around(source.folded.text, first, last, self._before, AFTER)
        return max(about.score, about.near) if any(map(self._words.within, nearby)) else about.score


class Custom:
    """All recognizers of a policy over one text."""

    def __init__(self, recognizers: Sequence[Recognizer], before: int) -> None:
        self._scanner = Scanner([_Pattern(recognizer, before) for recognizer in recognizers], utf8=True)

    def matches(self, text: str) -> Iterator[tuple[str, float, Span]]:
        """Category, score and place of every match."""
        folded = fold(_SURROGATE.sub("\ufffd", text) if not text.isascii() else text)
        source = _Document(folded.text.encode(), folded)
        for match in self._scanner.scan(source):
            yield match.category, match.score, folded.span(*source.characters(match.start, match.end))

    def pending(self, text: str) -> int:
        """How many of the last characters more text may matter to: as much as may match, whatever stands there."""
        return min(len(text), LONGEST + AFTER)
