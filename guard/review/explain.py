"""An entry in words: why it was held and what was found. Pure functions over the recorded fields.

The record names rules and never quotes content. Descriptions of rules come from the policy, where the reader has the very
version that decided (same digest); findings are tied to rules by the recorded redactions and by that policy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.operators import Operator, Redaction
from guard.types import Content, Policy, Text

Fields = Mapping[str, Any]

_CATEGORIES = {
    "CREDIT_CARD": "credit card number",
    "CRYPTO": "crypto wallet address",
    "DATE_TIME": "date or time",
    "EMAIL_ADDRESS": "e-mail address",
    "IBAN_CODE": "bank account number (IBAN)",
    "IP_ADDRESS": "IP address",
    "MAC_ADDRESS": "MAC address",
    "PHONE_NUMBER": "phone number",
    "URL": "web address",
    "US_SSN": "US social security number",
    "US_ITIN": "US taxpayer number (ITIN)",
    "US_BANK_NUMBER": "US bank account number",
    "US_DRIVER_LICENSE": "US driving licence number",
    "US_PASSPORT": "US passport number",
    "UK_NHS": "UK NHS number",
}
_KINDS = {
    "generation": "Generation",
    "continuation": "Continuation",
    "check": "Check",
    "claim": "Claim",
    "unclaim": "Given back",
    "ruling": "Ruling",
    "release": "Release",
    "opening": "Opening of a stream",
    "failure": "Failure",
    "policy": "Policy",
    "access": "Access",
    "erasure": "Erasure",
    "hold": "Legal hold",
    "release_hold": "End of legal hold",
    "prune": "Pruning",
    "report": "Report",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason behind a decision. `kind` is rule, error, unchecked or default; `detail` says what failed."""

    kind: str
    rule: str
    checkers: tuple[str, ...]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """One finding on the content under review. `number` ties the mark in the text to the row in the table."""

    number: int
    checker: str
    category: str
    score: float
    rules: tuple[str, ...]
    span: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None
    message: str = ""


def category_words(category: str) -> str:
    """`CREDIT_CARD` as "credit card number"; unknown categories lose their underscores."""
    words = category.replace("_", " ").replace("-", " ").strip()
    return _CATEGORIES.get(category.upper(), words.lower() if words.isupper() else words)


def kind_words(kind: str) -> str:
    """The kind of an entry, for people."""
    return _KINDS.get(kind, kind)


def rule_words(rule: str) -> str:
    """The name of a rule; the two built-in reasons become sentences."""
    if rule.startswith("on_error:"):
        return f"could not be checked: {rule.removeprefix('on_error:')}"
    if rule.startswith("unchecked:"):
        return f"nothing checked the {rule.removeprefix('unchecked:')}"
    return rule


def full(fields: Fields, details: Content | None) -> Fields:
    """The fields with every result: those of a long answer are sealed beside the entry, which holds the strongest only."""
    return {**fields, **json.loads(details.text)} if fields.get("shortened") and isinstance(details, Text) else fields


def reviewed(fields: Fields) -> str:
    """The role of what a reviewer judges: the prompt where nothing was made yet, else the output."""
    return "output" if "output" in (fields.get("bodies") or {}) else "prompt"


def results(fields: Fields) -> list[Fields]:
    """The recorded results of checkers."""
    return [result for result in fields.get("results") or [] if isinstance(result, Mapping)]


def reasons(fields: Fields) -> tuple[Reason, ...]:
    """Why the decision fell as it did: failed checks first, because there nobody has looked yet."""
    decision = fields.get("decision") or {}
    found: list[Reason] = []
    for rule in decision.get("rules") or []:
        if rule.startswith("on_error:"):
            checker = rule.removeprefix("on_error:")
            details = [str(it.get("error") or "") for it in results(fields) if it.get("checker") == checker]
            found.append(Reason("error", rule, (checker,), next((detail for detail in details if detail), "")))
        elif rule.startswith("unchecked:"):
            found.append(Reason("unchecked", rule, ()))
        else:
            found.append(Reason("rule", rule, _checkers_behind(fields, rule)))
    order = {"error": 0, "unchecked": 1, "rule": 2}
    return tuple(sorted(found, key=lambda it: order[it.kind])) or (Reason("default", "", ()),)


def _checkers_behind(fields: Fields, rule: str) -> tuple[str, ...]:
    """The checker a rule listens to: by the recorded redactions, else whichever found something."""
    categories = {it["category"] for it in fields.get("redactions") or [] if it.get("rule") == rule}
    names = []
    for result in results(fields):
        found = {finding["category"] for finding in result.get("findings") or []}
        if found & categories if categories else found:
            names.append(result["checker"])
    return tuple(dict.fromkeys(names))


def flags(fields: Fields, stage: str, policy: Policy | None = None) -> tuple[Flag, ...]:
    """The findings at one stage, numbered in reading order; those about the whole come last."""
    listed = list(_findings(fields, stage))
    listed.sort(key=lambda it: (it[1].get("start") is None, it[1].get("start") or 0, it[1].get("end") or 0))
    found = []
    for number, (checker, finding) in enumerate(listed, 1):
        start, end, region = finding.get("start"), finding.get("end"), finding.get("region")
        found.append(
            Flag(
                number=number,
                checker=checker,
                category=finding["category"],
                score=float(finding.get("score") or 0.0),
                rules=_rules_for(fields, stage, checker, finding, policy),
                span=(start, end) if isinstance(start, int) and isinstance(end, int) else None,
                region=tuple(region) if isinstance(region, Sequence) and len(region) == 4 else None,
                message=str(finding.get("message") or ""),
            )
        )
    return tuple(found)


def _findings(fields: Fields, stage: str) -> Iterator[tuple[str, Fields]]:
    for result in results(fields):
        if result.get("stage") == stage:
            for finding in result.get("findings") or []:
                yield result["checker"], finding


def _rules_for(fields: Fields, stage: str, checker: str, finding: Fields, policy: Policy | None) -> tuple[str, ...]:
    fired = (fields.get("decision") or {}).get("rules") or []
    names = [
        it["rule"]
        for it in fields.get("redactions") or []
        if it.get("stage") == stage and all(it.get(place) == finding.get(place) for place in ("start", "end", "region"))
    ]
    for rule in policy.rules if policy and same_policy(fields, policy) else ():
        fits = rule.checker == checker and any(stage == it.value for it in rule.stages) and rule.id in fired
        if (
            fits
            and finding["score"] >= rule.threshold
            and (not rule.categories or finding["category"] in rule.categories)
        ):
            names.append(rule.id)
    return tuple(dict.fromkeys(names))


def same_policy(fields: Fields, policy: Policy) -> bool:
    """Whether this is the very version that decided."""
    return (fields.get("policy") or {}).get("digest") == policy.digest


def descriptions(fields: Fields, policy: Policy | None) -> dict[str, str]:
    """What the rules that fired say about themselves, if the version that decided is at hand."""
    if policy is None or not same_policy(fields, policy):
        return {}
    return {rule.id: rule.description for rule in policy.rules if rule.description}


def replaced(original: str, shown: str, fields: Fields, stage: str) -> tuple[tuple[int, int, str], ...]:
    """Where the shown text differs from the original by redaction: (start, end, category) in the shown text.

    Empty when the shown text is not the original with the recorded redactions, because then positions would mislead.
    """
    spots, at, cut = [], 0, 0
    for item in _redactions(fields, stage):
        kept = original[cut : item.start]
        start = at + len(kept)
        end = _end(item, shown, start)
        if end is None or not shown.startswith(kept, at):
            return ()
        spots.append((start, end, item.category))
        at, cut = end, item.end
    return tuple(spots) if shown[at:] == original[cut:] else ()


def _end(item: Redaction, shown: str, start: int) -> int | None:
    """Where that ends what was put in the place of a value; None where the operator leaves that open."""
    if item.operator.name == "redact":
        return start
    if item.operator.name == "mask":
        return start + item.end - item.start
    closed = shown.find("]", start) if shown.startswith("[", start) else -1
    return closed + 1 if closed >= 0 else None


def _redactions(fields: Fields, stage: str) -> list[Redaction]:
    found = [it for it in fields.get("redactions") or [] if it.get("stage") == stage and "start" in it]
    cuts = [
        Redaction(it["start"], it["end"], it["category"], it["rule"], Operator(it.get("operator") or "replace"))
        for it in found
    ]
    return sorted(cuts, key=lambda it: it[:4])
