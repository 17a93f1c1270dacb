"""Copies, word for word, of works that the deployer has indexed with `guard corpus build`.

Every stretch that a text shares with a work is found from the corpus's run (150 letters and digits) on, whatever its case,
punctuation, accents and line breaks; and it is compared with the work itself, so nothing is found that is not there. What is
retold in other words is not found.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from guard import settings
from guard.checkers.text import text_of
from guard.corpus.index import Copy, Corpus, folder_of
from guard.types import Finding, Item, Span

COPY, LICENSED = "verbatim_copy", "licensed_copy"
_TITLE = 80  # characters of a work's title in a message


class CopyrightChecker:
    """Finds `verbatim_copy`, and `licensed_copy` for works whose licence asks for attribution.

    The score grows with the length of the copy and is 1 from `limit` on; a rule's threshold is the share of it that is one too
    many.
    """

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        corpora: tuple[str, ...] = Field(min_length=1, description="names of corpora, or paths to them (with a slash)")
        min_chars: int | None = Field(
            None,
            ge=24,
            description="shortest copy that is reported, in letters and digits; default: the corpus's own run",
        )
        limit: int = Field(300, ge=24, description="letters and digits from which on a copy scores 1")
        allow: frozenset[str] = Field(frozenset(), description="licences of works that may be repeated at any length")
        attribute: frozenset[str] = Field(frozenset(), description="licences of works whose copies are licensed_copy")

    name = "copyright"
    kinds = frozenset({"text"})
    horizon = "document"
    categories = frozenset({COPY, LICENSED})

    def __init__(self, params: Params) -> None:
        home = settings.load().home
        self._params = params
        self._corpora = [Corpus(folder_of(name, home)) for name in params.corpora]
        self.version = "+".join(["1", *(corpus.digest for corpus in self._corpora)])

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """The copies in each text, with the work and about where in it."""
        return [self._findings(text_of(item)) for item in items]

    def _findings(self, text: str) -> list[Finding]:
        found = {copy: None for corpus in self._corpora for copy in corpus.find(text, self._params.min_chars)}
        return [self._finding(copy) for copy in found if copy.work.licence not in self._params.allow]

    def _finding(self, copy: Copy) -> Finding:
        title = " ".join(copy.work.title.split())
        short = title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"
        licence = f" ({copy.work.licence})" if copy.work.licence else ""
        return Finding(
            LICENSED if copy.work.licence in self._params.attribute else COPY,
            min(1.0, copy.characters / self._params.limit),
            Span(copy.start, copy.end),
            message=f"{copy.characters} letters and digits as in {short}{licence}, from about character {copy.at} on",
        )
