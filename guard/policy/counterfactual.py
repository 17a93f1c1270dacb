"""Why a decision fell as it did, and the least that would have changed it. Pure: every claim is a decision taken again.

The decision is a maximum, so what holds it up are the rules and failed checks that ask for just that action. A change has to
take away all of them: by switching the rules off, by raising their thresholds, or by the findings not being there. Each set
of changes is minimal: without any one of them the action stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from guard.policy.decide import OURS, Context, Match, decide, failures, matches
from guard.types import Action, CheckResult, Decision, Finding, Mode, Policy, Rule, Stage, Status

STEP = 100  # thresholds are told in hundredths


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding that reached a rule. `action` is what the rule asks for then, `evaluated` whether its condition could be."""

    rule: Rule
    checker: str
    stage: Stage
    finding: Finding
    action: Action
    evaluated: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """One change. `kind` is "rule" (switched off), "threshold" (raised to at least `threshold`), "finding" (not there) or
    "check" (a check that failed or that nobody made had found nothing)."""

    kind: str
    rule: str | None = None
    threshold: float | None = None
    checker: str | None = None
    stage: Stage | None = None
    finding: Finding | None = None
    at: tuple[int, int] | None = None  # of the result, and of the finding in it


@dataclass(frozen=True, slots=True)
class Change:
    """Changes that together, and no fewer of them, lead to another action."""

    edits: tuple[Edit, ...]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with what led to it and what would have changed it; no changes: the policy's `otherwise` holds it up."""

    decision: Decision
    evidence: tuple[Evidence, ...]
    changes: tuple[Change, ...]


def explain(policy: Policy, context: Context, results: Sequence[CheckResult]) -> Explanation:
    """The explanation of a decision, whatever the stages of the results."""
    decision = decide(policy, context, results)
    found = list(matches(policy, context, results))
    evidence = [
        Evidence(it.rule, it.result.checker, it.result.stage, it.finding, it.action, it.evaluated) for it in found
    ]
    evidence.sort(key=lambda it: (-it.action, it.rule.id, it.stage, -it.finding.score, it.finding.span or (0, 0)))
    holding = [it for it in found if it.rule.mode is Mode.ENFORCE and it.action is decision.action]
    checks = _failed(policy, results, decision.action)
    ways = (_rules_off(holding), _thresholds_raised(holding), _findings_absent(results, holding))
    changes: list[Change] = []
    for way in ways if holding else ((),):
        change = _least(policy, context, results, (*way, *checks), decision.action) if way is not None else None
        if change is not None and change not in changes:
            changes.append(change)
    return Explanation(decision, tuple(evidence), tuple(changes))


def _rules_off(holding: Sequence[Match]) -> tuple[Edit, ...]:
    return tuple(Edit("rule", rule=name) for name in sorted({match.rule.id for match in holding}))


def _thresholds_raised(holding: Sequence[Match]) -> tuple[Edit, ...] | None:
    """None where a score is so high that no threshold is above it."""
    highest: dict[str, float] = {}
    for match in holding:
        highest[match.rule.id] = max(highest.get(match.rule.id, 0.0), match.finding.score)
    if any(score >= 1 for score in highest.values()):
        return None
    return tuple(Edit("threshold", rule=name, threshold=_above(score)) for name, score in sorted(highest.items()))


def _above(score: float) -> float:
    """The next hundredth above a score below 1."""
    step = math.floor(score * STEP)  # one too low for some: 0.57 * 100 is a little less than 57
    return min(1.0, next(number / STEP for number in range(step, step + 3) if number / STEP > score))


def _findings_absent(results: Sequence[CheckResult], holding: Sequence[Match]) -> tuple[Edit, ...]:
    held = {(id(match.result), id(match.finding)) for match in holding}
    return tuple(
        Edit("finding", checker=result.checker, stage=result.stage, finding=finding, at=(row, column))
        for row, result in enumerate(results)
        for column, finding in enumerate(result.findings)
        if (id(result), id(finding)) in held
    )


def _failed(policy: Policy, results: Sequence[CheckResult], action: Action) -> tuple[Edit, ...]:
    """The failed checks that lead to the action: those that an enforced rule relies on, and stages that nobody looked at."""
    reasons = set(failures(policy, results))
    edits = []
    for row, result in enumerate(results):
        alone = Action.BLOCK if result.checker in OURS else policy.on_error
        failed = result.status is Status.ERROR and f"on_error:{result.checker}" in reasons
        unseen = result.status is Status.SKIPPED and f"unchecked:{result.stage.value}" in reasons
        if (failed or unseen) and alone is action:
            edits.append(Edit("check", checker=result.checker, stage=result.stage, at=(row, -1)))
    return tuple(edits)


def _least(
    policy: Policy, context: Context, results: Sequence[CheckResult], edits: Sequence[Edit], action: Action
) -> Change | None:
    """The changes that are needed among these; None when all together change nothing."""
    if not edits or decided(policy, context, results, edits).action is action:
        return None
    needed = list(edits)
    # Of rules and findings each holds the action up alone, so all are needed. A failed check may count only because of a rule,
    # and of a stage that nobody looked at one check is enough.
    for edit in [it for it in edits if it.kind == "check"]:
        fewer = [it for it in needed if it is not edit]
        if decided(policy, context, results, fewer).action is not action:
            needed = fewer
    return Change(tuple(needed), decided(policy, context, results, needed))


def decided(policy: Policy, context: Context, results: Sequence[CheckResult], edits: Sequence[Edit]) -> Decision:
    """The decision as it would be with these changes."""
    off = {edit.rule for edit in edits if edit.kind == "rule"}
    raised = {edit.rule: edit.threshold for edit in edits if edit.kind == "threshold"}
    rules = tuple(
        replace(rule, threshold=raised.get(rule.id) or rule.threshold) for rule in policy.rules if rule.id not in off
    )
    absent = {edit.at for edit in edits if edit.kind == "finding"}
    clean = {edit.at for edit in edits if edit.kind == "check"}
    seen = [
        replace(result, status=Status.OK, error=None, findings=())
        if (row, -1) in clean
        else replace(
            result,
            findings=tuple(it for column, it in enumerate(result.findings) if (row, column) not in absent),
        )
        for row, result in enumerate(results)
    ]
    return decide(replace(policy, rules=rules), context, seen)
