"""Harm in text: each sentence gets a calibrated probability for each category of `guard.checkers.hazards`.

Tier 0, a small linear model over words and character n-grams, always runs. With `tiers: cascade`, tier 1, a small transformer,
reads the sentences of which tier 0 is not sure. Both ship. How they were made, on what, and what they get wrong stands in
`data/MODEL_CARD_toxicity.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from guard.checkers import calibration
from guard.checkers.calibration import Scorer
from guard.checkers.cascade import Cascade
from guard.checkers.hazards import BY_NAME, SCORED
from guard.checkers.linear import Model, probability
from guard.checkers.text import fold, last_sentence, sentences, text_of
from guard.types import Finding, Item, Span

MODEL = Path(__file__).parent / "data" / "toxicity.bin"
TIER1 = Path(__file__).parent / "data" / "toxicity_tier1.bin"
TIERS = ("tier0", "cascade")
BLOCK = 1 << 16  # characters scored at once, so that memory does not grow with the text
LONG, LAP = 2_000, 200  # characters: longer sentences are read in pieces that overlap


class ToxicityChecker:
    """Finds harmful sentences. `model` is an argument so that another one can be handed in."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        tiers: Literal["tier0", "cascade"] = Field(
            "tier0",
            description="which models read: tier0 alone, or the cascade, in which a small transformer reads what tier 0 is not "
            "sure of (needs the extra `toxicity`; some 5 ms for each such sentence)",
        )
        min_score: float = Field(0.5, ge=0, le=1, description="lowest probability that is reported")
        categories: frozenset[str] = Field(frozenset(SCORED), description=f"what to report: {', '.join(SCORED)}")
        false_positive_rate: float | None = Field(
            None,
            gt=0,
            lt=1,
            description="report a category from the score at which this share of harmless sentences is flagged, instead of "
            "from min_score: 0.01 or 0.05, or a rate that the calibration states",
        )
        calibration: Path | None = Field(
            None, description="file written by `guard calibrate`, fitted to your own sample"
        )

        @field_validator("categories")
        @classmethod
        def _known(cls, value: frozenset[str]) -> frozenset[str]:
            unknown = sorted(value - set(SCORED))
            if unknown:
                raise ValueError(f"unknown category {unknown[0]!r}; known are {', '.join(SCORED)}")
            return value

    name = "toxicity"
    kinds = frozenset({"text"})
    horizon = "sentence"
    categories = frozenset(SCORED)

    def __init__(self, params: Params, model: Scorer | None = None) -> None:
        self._model = model or load(params.tiers)
        self._adjust = calibration.load(params.calibration, self._model) if params.calibration else None
        self._least = self._thresholds(params)
        adjusted = f"+{self._adjust.digest[:12]}" if self._adjust else ""
        self.version = f"2+{self._model.version}{adjusted}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """One finding for each category and harmful sentence."""
        return [list(self._findings(text_of(item))) for item in items]

    def pending(self, text: str) -> int:
        """How many of the last characters belong to a sentence that more text could change: the last one."""
        plain = fold(text)
        start = last_sentence(plain.text)
        return len(text) - plain.span(start, len(plain.text)).start if start < len(plain.text) else 0

    def _thresholds(self, params: Params) -> dict[int, float]:
        """The least score to report, by column."""
        found = {}
        for index, name in enumerate(self._model.names):
            if name in params.categories:
                least = params.min_score
                if params.false_positive_rate is not None:
                    stated = (self._adjust and self._adjust.thresholds.get(name)) or self._model.thresholds[name]
                    least = calibration.threshold(stated, params.false_positive_rate, name)
                found[index] = least
        return found

    def _findings(self, text: str) -> Iterator[Finding]:
        lines, spans = lines_of(text)
        start = 0
        while start < len(lines):
            end, size = start, 0
            while end < len(lines) and (end == start or size < BLOCK):
                size += len(lines[end])
                end += 1
            yield from self._report(self._scores(lines[start:end]), spans[start:end])
            start = end

    def _scores(self, lines: Sequence[str]) -> Any:
        logits = self._model.logits(lines)
        return probability(self._adjust.applied(logits) if self._adjust else logits)

    def _report(self, scores: Any, spans: Sequence[Span]) -> Iterator[Finding]:
        for row, span in zip(scores.tolist(), spans, strict=True):
            for index, least in self._least.items():
                if row[index] >= least and row[index] > 0:
                    name = self._model.names[index]
                    yield Finding(name, round(row[index], 4), span, message=BY_NAME[name].message)


def load(tiers: str) -> Scorer:
    """The models that ship, by one of TIERS. Raises MissingExtra where the cascade's libraries are not installed."""
    first = Model.load(MODEL)
    return first if tiers == "tier0" else Cascade.load(first, TIER1)


def lines_of(text: str) -> tuple[list[str], list[Span]]:
    """The sentences of a text, each as one line, with their places in it."""
    plain = fold(text)
    lines, spans = [], []
    for start, end in sentences(plain.text):
        for left in range(start, max(start + 1, end - LAP), LONG - LAP) if end - start > LONG else (start,):
            right = min(end, left + LONG) if end - start > LONG else end
            lines.append(plain.text[left:right].replace("\n", " "))
            spans.append(plain.span(left, right))
    return lines, spans
