"""The native engine: every recognizer of ours over one shadow of a text, and over what the text says in another code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guard.checkers.patterns import Match, Recognizer, Scanner
from guard.checkers.personal import identifiers
from guard.checkers.personal.codes import Addresses, BirthDates, Codes, Ibans
from guard.checkers.personal.emails import EMAIL, Disguised, Emails
from guard.checkers.personal.encoded import Base64, decoded, unfinished
from guard.checkers.personal.numbers import Numbers
from guard.checkers.personal.phones import PHONE, Phones
from guard.checkers.shadow import Shadow, shadow
from guard.types import Span

CATEGORIES = identifiers.CATEGORIES | {EMAIL, PHONE}
LONGEST = 4608  # characters that `pending` may hold back: a stretch of Base64 is the longest thing that is read as one
_SURE = 0.85  # what a match inside Base64 must score


class Native:
    """Finds the wanted categories. Built once, then only read: threads may share it."""

    def __init__(self, wanted: frozenset[str], regions: Sequence[str], before: int) -> None:
        plain = _recognizers(wanted, regions, before)
        self._inner = Scanner(plain)
        self._outer = Scanner([*plain, Base64(self._inside)]) if plain else self._inner

    def matches(self, text: str) -> Iterator[tuple[str, float, Span]]:
        """Category, score and place of every match, overlaps included, places in the text as it was given."""
        view = shadow(text)
        for match in self._outer.scan(view):
            yield match.category, match.score, view.span(match.start, match.end)
        other = decoded(text)
        if other is not None:
            for match in self._inner.scan(other):
                yield match.category, match.score, other.span(match.start, match.end)

    def pending(self, text: str) -> int:
        """How many of the last characters more text could make, or change, a match of; 0 to LONGEST.

        Whatever follows, the matches that start before them stay as they are and no new one begins there. The bound is exact
        for each form: it holds from the first place where what stands at the end is a beginning of the form (or is the form,
        while a context word may still follow within AFTER characters).
        """
        cut = unfinished(text)
        kept = text[: len(text) - cut]
        hold = max(self._held(shadow(kept)), self._held(decoded(kept)))
        return min(len(text), hold + cut)

    def _held(self, view: Shadow | None) -> int:
        if view is None:
            return 0
        held = self._outer.pending(view.data, LONGEST)
        if not held:
            return 0
        start = view.span(len(view.data) - held, len(view.data)).start
        return len(view.source if view.origin else view.text) - start

    def _inside(self, view: Shadow) -> Iterator[Match]:
        return (match for match in self._inner.scan(view) if match.score >= _SURE)


def _recognizers(wanted: frozenset[str], regions: Sequence[str], before: int) -> list[Recognizer[Shadow]]:
    numbers = [kind for kind in identifiers.NUMBERS if kind.category in wanted]
    codes = [kind for kind in identifiers.CODES if kind.category in wanted]
    made: list[Recognizer[Shadow]] = []
    if numbers:
        made.append(Numbers(numbers, before))
    if codes:
        made.append(Codes(codes, before))
    if EMAIL in wanted:
        made += [Emails(), Disguised()]
    if PHONE in wanted:
        made.append(Phones(regions, before))
    if identifiers.IBAN in wanted:
        made.append(Ibans())
    if Addresses.category in wanted:
        made.append(Addresses(before))
    if BirthDates.category in wanted:
        made.append(BirthDates())
    return made
