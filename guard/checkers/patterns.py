"""One pass for many patterns: a set of gates says which recognizers need to look at a window, and only those look.

The gates of all recognizers run as one RE2 set, in time linear in the text whatever the text and whatever the patterns. Long
texts are cut into windows, so that one number somewhere does not send every recognizer through ten megabytes. What is found
does not depend on where the windows lie: a recognizer answers for the matches that start in a stretch, may read beyond it,
and must not let its answer depend on anything but the text around the match.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

WINDOW = 4096  # bytes that are gated at once
REACH = 512  # bytes after the start of a match within which its gate must have been seen
_MEMORY = 1 << 28  # a set that ran out of memory would say "nothing found": give it plenty


class Match(NamedTuple):
    """A stretch of bytes that is something, and how sure that is."""

    start: int
    end: int
    category: str
    score: float


class Source(Protocol):
    """What is searched: bytes, and whatever else the recognizers of one scanner want to know about the text."""

    @property
    def data(self) -> bytes: ...


S_contra = TypeVar("S_contra", bound=Source, contravariant=True)


class Recognizer(Protocol[S_contra]):
    """What finds one kind of thing.

    `gate` (RE2) matches within REACH bytes of the start of every match. `tail` (RE2) matches, up to its end, every text that
    some continuation could turn into a match, or whose match some continuation could change. `exclusive` recognizers look
    for their next match behind their last one.
    """

    gate: str
    tail: str
    exclusive: bool

    def find(self, source: S_contra, start: int, stop: int, /) -> Iterator[Match]:
        """The matches that start at `start` or later, and before `stop`, in order of their starts."""
        ...


def options(*, utf8: bool = False, memory: int | None = None) -> Any:
    """RE2 options: bytes as they come unless `utf8`, nothing on stderr."""
    import re2  # type: ignore[import-untyped]

    made = re2.Options()
    made.log_errors = False
    made.max_mem = memory or _MEMORY
    if not utf8:
        made.encoding = re2.Options.Encoding.LATIN1
    return made


def compiled(pattern: str, *, captures: bool = False, utf8: bool = False) -> Any:
    """An RE2 expression over bytes of a shadow, or over UTF-8."""
    import re2

    how = options(utf8=utf8)
    how.never_capture = not captures
    return re2.compile(pattern.encode("utf-8" if utf8 else "latin-1"), how)


def pattern_set(patterns: Iterable[str], *, anchored: bool = False, utf8: bool = False) -> Any:
    """An RE2 set; `Match` gives the numbers of the patterns that match, or None. Anchored: at the start of the text."""
    import re2

    how = options(utf8=utf8)
    made = re2.Set.MatchSet(how) if anchored else re2.Set.SearchSet(how)
    for pattern in patterns:
        made.Add(pattern.encode("utf-8" if utf8 else "latin-1"))
    made.Compile()
    return made


class Scanner(Generic[S_contra]):
    """All recognizers over one text. Stateless between calls, so any number of threads may share one."""

    def __init__(self, recognizers: Sequence[Recognizer[S_contra]], *, utf8: bool = False) -> None:
        self._recognizers = tuple(recognizers)
        gates = [recognizer.gate for recognizer in recognizers]
        # The last pattern is always there: a set that fails says so by not seeing it.
        self._gates = pattern_set([*gates, r"(?s-m:\A)"], utf8=utf8)
        self._canary = len(gates)
        self._tail: Any = None

    def scan(self, source: S_contra) -> list[Match]:
        """Every match, in no particular order."""
        data = source.data
        behind: dict[int, int] = {}
        matches: list[Match] = []
        for start in range(0, len(data), WINDOW):
            stop = start + WINDOW
            fired = self._gates.Match(data[start : stop + REACH] if len(data) > stop else data[start:])
            if fired is None or self._canary not in fired:
                raise MemoryError("the set of patterns ran out of memory; use fewer or smaller patterns")
            for number in fired:
                if number == self._canary:
                    continue
                recognizer = self._recognizers[number]
                before = len(matches)
                matches.extend(recognizer.find(source, max(start, behind.get(number, 0)), stop))
                if recognizer.exclusive and len(matches) > before:
                    behind[number] = matches[-1].end
        return matches

    def pending(self, data: bytes, longest: int) -> int:
        """How many of the last bytes (at most `longest`) more text could make, or change, a match of.

        Every match that starts before them is final: its place and score are the same whatever follows.
        """
        if self._tail is None:  # large, and needed by streams only
            tails = "|".join(f"(?:{recognizer.tail})" for recognizer in self._recognizers)
            self._tail = compiled(rf"(?:{tails})\z" if tails else "(?:a^)")
        found = self._tail.search(data, max(0, len(data) - longest))
        return len(data) - found.start() if found else 0


def surest(matches: Iterable[tuple[int, int, str, float]]) -> list[Match]:
    """Leave out what lies inside another match that is at least as sure; matches that merely overlap both stay.

    Sorted by start. One sweep: for each score, how far matches of that score have reached, so n log n for n matches.
    """
    kept: list[Match] = []
    reached: dict[float, int] = {}
    furthest = 0
    for start, below_end, below_score, category in sorted(
        {(match[0], -match[1], -match[3], match[2]) for match in matches}
    ):
        end, score = -below_end, -below_score
        if start >= furthest:
            reached = {}
        elif any(far >= end and other >= score for other, far in reached.items()):
            continue
        kept.append(Match(start, end, category, score))
        reached[score] = max(end, reached.get(score, 0))
        furthest = max(end, furthest)
    return kept
