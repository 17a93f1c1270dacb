"""Any moderation endpoint that speaks OpenAI's `/v1/moderations`: its category scores, under our names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from guard.checkers.endpoint import Client, Endpoint
from guard.checkers.hazards import BY_NAME, vocabulary
from guard.checkers.text import text_of, windows
from guard.scoring import readable
from guard.types import Finding, Item, Span

TEXTS = 32  # in one request
LAP = 200  # characters that neighbouring windows share


class ModerationChecker:
    """Sends texts to an endpoint and reports its scores. What it cannot say is an error, never a pass."""

    class Params(Endpoint):
        """What a policy may set."""

        model: str | None = Field(None, description="the model to ask for; default: the endpoint's own choice")
        min_score: float = Field(0.5, ge=0, le=1, description="lowest score that is reported")
        max_chars: int = Field(8_000, ge=1_000, description="longer texts are judged in windows of so many characters")

    name = "moderation"
    kinds = frozenset({"text"})
    horizon = "document"
    categories = frozenset(BY_NAME)
    gather = 0.004

    def __init__(self, params: Params) -> None:
        self._params = params
        self._client = Client(params)
        self.version = f"1+{params.model or 'default'}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """One finding for each category and window that reaches `min_score`; `unsafe` where the endpoint flags the text.

        `unsafe` has the highest of its scores, however low: endpoints have thresholds of their own.
        """
        texts = [text_of(item) for item in items]
        places = [
            (index, span)
            for index, text in enumerate(texts)
            if text.strip()
            for span in windows(len(text), self._params.max_chars, LAP)
        ]
        found: list[list[Finding]] = [[] for _ in items]
        for start in range(0, len(places), TEXTS):
            batch = places[start : start + TEXTS]
            answers = self._asked([readable(texts[index][slice(*span)]) for index, span in batch])
            for (index, span), answer in zip(batch, answers, strict=True):
                found[index] += self._findings(answer, span)
        return found

    def _asked(self, texts: list[str]) -> list[Any]:
        body: dict[str, Any] = {"input": texts}
        if self._params.model is not None:
            body["model"] = self._params.model
        answer = self._client.post("/moderations", body)
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list) or len(results) != len(texts):
            raise self._client.nonsense(f"not one result for each of {len(texts)} texts")
        return results

    def _findings(self, answer: Any, span: Span) -> Iterator[Finding]:
        scores = answer.get("category_scores") if isinstance(answer, dict) else None
        flagged = answer.get("flagged") if isinstance(answer, dict) else None
        if not isinstance(scores, dict) or not scores or not isinstance(flagged, bool):
            raise self._client.nonsense("a result without category_scores or flagged")
        highest: dict[str, float] = {}
        for theirs, score in scores.items():
            if score is None:  # of a kind of input that was not sent
                continue
            if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
                raise self._client.nonsense("a score that is no number")
            if not 0 <= score <= 1:
                raise self._client.nonsense("a score outside 0 to 1")
            category = vocabulary("openai").get(theirs, "unsafe")  # a category that is new there is not nothing
            highest[category] = max(highest.get(category, 0.0), float(score))
        if not highest:
            raise self._client.nonsense("a result without a score")
        for category, score in highest.items():
            if score >= self._params.min_score and not (flagged and category == "unsafe"):
                yield Finding(category, round(score, 4), span, message=BY_NAME[category].message)
        if flagged:
            yield Finding("unsafe", round(max(highest.values()), 4), span, message="the endpoint flags the text")
