"""Prompt injection and jailbreaks, in prompts and in what tools and documents bring in.

Three things are looked at: wording (`attacks`, expressions by family), what a reader does not see or cannot read (`disguise`:
hidden characters, control tokens, encoded payloads, which are decoded and looked at again), and a small linear model of
jailbreak prompts (`data/MODEL_CARD_injection.md` says what it was learned from and what it misses). English, with a few
phrases of other languages. Whoever can try texts against it will find a wording that passes.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, Field, field_validator

from guard.checkers import attacks, disguise
from guard.checkers.attacks import CONTROL, INJECTION, JAILBREAK
from guard.checkers.text import Folded, fold, text_of
from guard.checkers.wordmodel import WordModel, lowered, spans
from guard.digest import sha256
from guard.types import Finding, Item, Span, Stage

MODEL = Path(__file__).parent / "data" / "injection.bin"
HIDDEN = "hidden_text"
CATEGORIES = (INJECTION, JAILBREAK, HIDDEN, CONTROL)
DEEPEST = 2  # payloads inside payloads
NEAR = 400  # characters before a window in which an expression still agrees with it
FEWEST = 16  # words of a window that the model is asked about; shorter texts are left to the expressions
ALIKE, ALONE = "worded like known jailbreak prompts", 0.75  # what the model says counts less where no expression agrees
TURNS = ((64, 0.75), (24, 0.5))  # so many turns of a made-up conversation, and what they are worth
_LEET = str.maketrans("013457@$!|", "oieastasil")


class InjectionChecker:
    """Finds attempts to take a model over. `model` is an argument so that another one can be handed in."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        min_score: float = Field(0.5, ge=0, le=1, description="lowest score that is reported")
        categories: frozenset[str] = Field(
            frozenset(CATEGORIES), description=f"what to report: {', '.join(CATEGORIES)}"
        )
        model: bool = Field(True, description="score jailbreak prompts with the linear model as well")
        documents: bool = Field(False, description="read every stage as a document, where nobody may give orders")

        @field_validator("categories")
        @classmethod
        def _known(cls, value: frozenset[str]) -> frozenset[str]:
            unknown = sorted(value - set(CATEGORIES))
            if unknown:
                raise ValueError(f"unknown category {unknown[0]!r}; known are {', '.join(CATEGORIES)}")
            return value

    name = "injection"
    kinds = frozenset({"text"})
    horizon = "document"

    def __init__(self, params: Params, model: WordModel | None = None) -> None:
        self._params = params
        self._model = (model or WordModel.load(MODEL)) if params.model else None
        source = sha256(b"".join((MODEL.parent.parent / f"{name}.py").read_bytes() for name in ("attacks", "disguise")))
        self.version = f"1+{source.hex()[:8]}+{self._model.digest[:8] if self._model else 'none'}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """What was found in each text, the strongest finding of a kind for a place."""
        return [self._findings(text_of(item), self._params.documents or item.stage is Stage.TOOL) for item in items]

    def _findings(self, text: str, tool: bool) -> list[Finding]:
        found = list(_combined(list(self._looked_at(text, tool, 0))))
        found += [
            Finding(HIDDEN, hidden.score, Span(hidden.start, hidden.end), message=f"text hidden by {hidden.how}")
            for hidden in disguise.unseen(text)
        ]
        wanted = self._params.categories
        kept = (each for each in found if each.score >= self._params.min_score and each.category in wanted)
        return _strongest(kept)

    def _looked_at(self, text: str, tool: bool, depth: int) -> Iterator[Finding]:
        """Findings on the text as it stands, then on what is hidden in it. Weak ones are among them."""
        plain = fold(text)
        lower = lowered(plain.text)
        yield from self._wording(plain, lower, tool)
        for match in attacks.CONTROL_TOKEN.finditer(plain.text) if _MARKS.search(plain.text) else ():
            yield Finding(CONTROL, 0.9, plain.span(*match.span()), message="a control token of a chat template")
        yield from _turns(plain)
        yield from _images(plain)
        if depth >= DEEPEST:
            return
        inner = [*disguise.unseen(text), *disguise.decoded(text)]
        for hidden in inner:
            if hidden.text:
                yield from self._inside(hidden, tool, depth)
        for hidden in disguise.styled(text):
            if len(hidden.text) < len(text):
                yield from self._inside(hidden, True, depth)

    def _inside(self, hidden: disguise.Hidden, tool: bool, depth: int) -> Iterator[Finding]:
        """What stands in a hidden stretch counts at least as much as in the open, and has the whole stretch as its span."""
        worst: dict[str, Finding] = {}
        for found in self._looked_at(hidden.text, tool, depth + 1):
            if found.score >= 0.4 and found.score > worst.get(found.category, _NONE).score:
                worst[found.category] = found
        for found in worst.values():
            score = round(min(0.98, max(found.score, 0.85)), 4)
            message = found.message if depth else f"{found.message}, hidden by {hidden.how}"
            yield Finding(found.category, score, Span(hidden.start, hidden.end), message=message)

    def _wording(self, plain: Folded, lower: str, tool: bool) -> Iterator[Finding]:
        places = spans(lower)
        words = {lower[start:end] for start, end in places}
        yield from _hits(plain, lower, places, tool)
        yield from self._elsewhere(plain)
        yield from self._respelled(plain, lower, words, tool)
        if self._model is not None and len(places) >= FEWEST:
            for window in self._model.score(lower, places):
                if window.probability >= 0.5:
                    yield Finding(
                        JAILBREAK, round(window.probability, 4), plain.span(window.start, window.end), message=ALIKE
                    )

    def _elsewhere(self, plain: Folded) -> Iterator[Finding]:
        if not plain.text.isascii() and len(lower := plain.text.lower()) == len(plain.text):
            for match in attacks.ELSEWHERE.finditer(lower):
                yield Finding(INJECTION, 0.85, plain.span(*match.span()), message=attacks.DROPPED)

    def _respelled(self, plain: Folded, lower: str, words: set[str], tool: bool) -> Iterator[Finding]:
        """The same text read in other ways: digits for letters, rot13, backwards, spelled out."""
        if _ODD.search(lower):
            leet = lower.translate(_LEET)
            yield from _hits(plain, leet, spans(leet), tool)
        if not words.isdisjoint(_TURNED):
            turned = disguise.rot13(lower)
            yield from _hits(plain, turned, spans(turned), tool)
        if not words.isdisjoint(_BACKWARDS):
            back = lower[::-1]
            for hit in attacks.hits(back, spans(back), tool=tool):
                yield _finding(hit.family, plain.span(len(back) - hit.end, len(back) - hit.start))
        together = disguise.joined(lower)
        if together is not None:
            text, at = together
            for hit in attacks.hits(text, spans(text), tool=tool):
                yield _finding(hit.family, plain.span(at[hit.start], at[hit.end - 1] + 1))
            for match in attacks.SQUEEZED.finditer(text):
                yield Finding(
                    INJECTION, 0.85, plain.span(at[match.start()], at[match.end() - 1] + 1), message=attacks.DROPPED
                )


def _hits(plain: Folded, lower: str, places: list[tuple[int, int]], tool: bool) -> Iterator[Finding]:
    for hit in attacks.hits(lower, places, tool=tool):
        yield _finding(hit.family, plain.span(hit.start, hit.end))


def _finding(family: attacks.Family, span: Span) -> Finding:
    return Finding(family.category, family.score, span, message=family.message)


def _turns(plain: Folded) -> Iterator[Finding]:
    found = [match.span() for match in attacks.TURN.finditer(plain.text)] if ":" in plain.text else []
    for count, score in TURNS:
        if len(found) >= count:
            span = plain.span(found[0][0], found[-1][1])
            yield Finding(JAILBREAK, score, span, message=f"a made-up conversation of {len(found)} turns")
            return


def _images(plain: Folded) -> Iterator[Finding]:
    if "![" not in plain.text and "<img" not in plain.text.lower():
        return
    for match in attacks.IMAGE.finditer(plain.text):
        score = attacks.leaks(match[1] or match[2])
        if score:
            span = plain.span(*match.span())
            yield Finding(INJECTION, score, span, message="an image whose address carries data to another server")


def _combined(found: list[Finding]) -> Iterator[Finding]:
    """The findings, and one more where several weak signs of different kinds together are strong.

    The model alone is often wrong about honest roles and long arguments, so by itself it gives no more than a doubt.
    """
    signs = sorted(finding.span for finding in found if finding.message != ALIKE and finding.span)
    for finding in found:
        if finding.message == ALIKE and finding.span and not _touches(finding.span, signs):
            yield replace(finding, score=round(finding.score * ALONE, 4))
        else:
            yield finding
    weak: dict[tuple[str, str], Finding] = {}
    for finding in found:
        if finding.score < 0.7 and finding.message != ALIKE:
            key = finding.category, finding.message
            weak[key] = max(weak.get(key, finding), finding, key=lambda each: each.score)
    if len(weak) > 1:
        strongest = max(weak.values(), key=lambda each: each.score)
        doubt = 1.0
        for finding in weak.values():
            doubt *= 1 - finding.score
        yield Finding(
            strongest.category, round(1 - doubt, 4), strongest.span, message="several signs of an attack together"
        )


def _touches(span: Span, signs: list[Span]) -> bool:
    """Whether one of some spans, sorted, begins in a span, or shortly before it."""
    place = bisect_left(signs, (span.start - NEAR, 0))
    return place < len(signs) and signs[place].start < span.end


def _strongest(found: Iterator[Finding]) -> list[Finding]:
    """For each category, of findings that overlap the one with the highest score."""
    kept: list[Finding] = []
    ordered = sorted(set(found), key=lambda each: (each.category, each.span or (0, 0), -each.score, each.message))
    for finding in ordered:
        last = kept[-1] if kept else None
        if last is None or last.category != finding.category or not _overlap(last, finding):
            kept.append(finding)
        elif finding.score > last.score:
            kept[-1] = finding
    return sorted(kept, key=lambda each: (each.span or (0, 0), each.category))


def _overlap(left: Finding, right: Finding) -> bool:
    return left.span is not None and right.span is not None and right.span.start < left.span.end


_NONE = Finding("", 0.0)
_TURNED = frozenset(map(disguise.rot13, attacks.TELLING))
_BACKWARDS = frozenset(word[::-1] for word in attacks.TELLING)
_MARKS = re.compile(r"[<\[#{]")
_ODD = re.compile(
    r"[a-z][013457@$!|]+[a-z]|[a-z]{2}[013457@$|]|(?<![\w.])[013457@$!|][a-z]{3}"
)  # digits and signs inside words
