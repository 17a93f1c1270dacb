"""What a checker's process answered, made sure of: nothing that it says is believed because of its type."""

from __future__ import annotations

from typing import Any

from guard.types import Finding, Item, Region, Span, Text


class CheckFailed(Exception):  # noqa: N818
    """Why a check gave no answer; never leaves `guard.isolate`, and never quotes content."""


def settled(item: Item, answer: object) -> tuple[int, object]:
    """The two halves of an answer about an unfinished text."""
    match answer:
        case (int(place), findings) if isinstance(item.content, Text) and 0 <= place <= len(item.content.text):
            return place, findings
    raise CheckFailed("answered nonsense: no place in the text up to which it is sure")


def validated(item: Item, answer: object) -> tuple[Finding, ...]:
    """The findings for one item, or CheckFailed where they make no sense (NaN, a span outside the text, another type)."""
    if not isinstance(answer, list | tuple):
        raise CheckFailed("answered nonsense: findings are not a list")
    for finding in answer:
        if not isinstance(finding, Finding):
            raise CheckFailed("answered nonsense: something that is not a Finding")
        problem = _nonsense(item, finding)
        if problem:
            raise CheckFailed(f"answered nonsense: {problem}")
    return tuple(answer)


def _nonsense(item: Item, finding: Any) -> str | None:
    if not isinstance(finding.category, str) or not finding.category or not isinstance(finding.message, str):
        return "a finding without a category, or with a message that is not text"
    score = finding.score
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return "a score outside 0 to 1"
    if finding.span is not None and not _span_fits(item, finding.span):
        return "a span outside the text"
    region = finding.region
    if region is not None and not (isinstance(region, Region) and all(isinstance(edge, int) for edge in region)):
        return "a region that is not four whole numbers"
    return None


def _span_fits(item: Item, span: object) -> bool:
    if not (isinstance(span, Span) and isinstance(item.content, Text)):
        return False
    start, end = span
    return type(start) is int and type(end) is int and 0 <= start < end <= len(item.content.text)
