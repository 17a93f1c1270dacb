"""Deciding and redacting: pure functions over a policy and the results of its checks.

The decision is the greatest action that any enforced rule asks for, so more evidence never lowers it and the order of
checkers and findings never matters. What cannot be carried out or evaluated goes up, never down: a redaction without a
place becomes a review, a failed check and a condition that cannot be evaluated become `on_error`, and content that lacks a
mark which the policy requires is blocked, like the rest of a stream that went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from guard.digest import JSON
from guard.operators import Cover, Redaction, plain, strictest, whole
from guard.policy.conditions import holds
from guard.types import (
    Action,
    CheckResult,
    Content,
    Decision,
    Finding,
    Image,
    Item,
    Mode,
    Policy,
    PolicyRef,
    Region,
    Request,
    Rule,
    Span,
    Stage,
    Status,
    Text,
)

Put = Callable[[Redaction, str], str]
STAMP = "stamp"  # the name under which the pipeline reports a required mark that could not be made
STREAM = "stream"  # and that what left in pieces is not how the whole answer begins
OURS = frozenset({STAMP, STREAM})


@dataclass(frozen=True, slots=True)
class Context:
    """What conditions may look at, as plain data: the record stores it, so a decision can be replayed."""

    request: Mapping[str, JSON]
    items: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request, *items: Item) -> Context:
        """The view of a request and its items."""
        view: dict[str, JSON] = {
            "requester": request.requester,
            "purpose": request.purpose,
            "tenant": request.tenant,
            "groups": dict(request.groups),
            "params": dict(request.params),
        }
        return cls(view, {item.stage.value: item_facts(item.content, item.stage, item.language) for item in items})


def item_facts(content: Content, stage: Stage, language: str) -> dict[str, JSON]:
    """Stage, kind, language, and length in characters (text) or bytes."""
    length = len(content.text) if isinstance(content, Text) else len(content.data)
    return {"stage": stage.value, "kind": content.kind, "language": language, "length": length}


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that fired, on what."""

    rule: Rule
    result: CheckResult
    finding: Finding
    action: Action
    evaluated: bool


def matches(policy: Policy, context: Context, results: Iterable[CheckResult]) -> Iterator[Match]:
    """Every rule on every finding that fires it, shadow rules included."""
    by_checker: dict[str, list[Rule]] = {}
    for rule in policy.rules:
        by_checker.setdefault(rule.checker, []).append(rule)
    for result in results:
        for rule in by_checker.get(result.checker, ()) if result.status is Status.OK else ():
            if result.stage in rule.stages:
                yield from _fired(policy, context, rule, result)


def _fired(policy: Policy, context: Context, rule: Rule, result: CheckResult) -> Iterator[Match]:
    for finding in result.findings:
        if finding.score < rule.threshold or (rule.categories and finding.category not in rule.categories):
            continue
        held = True if rule.when is None else holds(rule.when, _variables(context, result, finding))
        if held is None:
            yield Match(rule, result, finding, max(rule.action, policy.on_error), evaluated=False)
        elif held:
            possible = rule.action is not Action.REDACT or _place(context, result, finding) is not None
            yield Match(rule, result, finding, rule.action if possible else Action.REVIEW, evaluated=True)


def _place(context: Context, result: CheckResult, finding: Finding) -> Span | Region | None:
    """Where to redact: a stretch of a text, a part of an image."""
    kind = context.items.get(result.stage.value, {}).get("kind")
    return finding.region if kind == Image.kind else finding.span


def _variables(context: Context, result: CheckResult, finding: Finding) -> dict[str, Any]:
    return {
        "request": context.request,
        "item": context.items.get(result.stage.value, {}),
        "finding": {"category": finding.category, "score": finding.score},
    }


def decide(policy: Policy, context: Context, results: Sequence[CheckResult]) -> Decision:
    """The decision for all results of a request, whatever their stages."""
    actions = [policy.otherwise]
    fired: set[str] = set()
    shadow: set[str] = set()
    degraded = False
    for match in matches(policy, context, results):
        if match.rule.mode is Mode.SHADOW:
            shadow.add(match.rule.id)
            continue
        actions.append(match.action)
        fired.add(match.rule.id)
        degraded = degraded or not match.evaluated
    for reason in failures(policy, results):
        actions.append(Action.BLOCK if reason.removeprefix("on_error:") in OURS else policy.on_error)
        fired.add(reason)
        degraded = True
    return Decision(
        action=max(actions),
        rules=tuple(sorted(fired)),
        policy=PolicyRef(policy.name, policy.version, policy.digest),
        shadow=tuple(sorted(shadow)),
        degraded=degraded,
    )


def failures(policy: Policy, results: Sequence[CheckResult]) -> Iterator[str]:
    """`on_error:<checker>` for each failed check that an enforced rule relies on, `unchecked:<stage>` where nothing looked.

    A checker that only shadow rules use may fail without consequence; without any rule a failure counts.
    """
    for result in results:
        rules = [rule for rule in policy.rules if rule.checker == result.checker and result.stage in rule.stages]
        if result.status is Status.ERROR and (not rules or any(rule.mode is Mode.ENFORCE for rule in rules)):
            yield f"on_error:{result.checker}"
    for stage in Stage:
        seen = [result.status for result in results if result.stage is stage]
        if seen and all(status is Status.SKIPPED for status in seen):
            yield f"unchecked:{stage.value}"


def redactions(
    policy: Policy, context: Context, results: Sequence[CheckResult], stage: Stage, text: str = ""
) -> tuple[Redaction, ...]:
    """What the enforced redaction rules take out of the `text` at `stage`: sorted, overlaps merged.

    Spans are widened to whole letters and escape sequences (`guard.operators.whole`). Where they overlap, the whole stretch
    goes, under the name of the longest (then first) of them, by the strictest of their operators.
    """
    found = {
        Redaction(*whole(text, *match.finding.span), match.finding.category, match.rule.id, match.rule.operator)
        for match in _to_redact(policy, context, results, stage)
        if match.finding.span is not None
    }
    groups: list[list[Redaction]] = []
    reached = -1
    for item in sorted(found, key=lambda item: (item.start, -item.end, item.category, item.rule)):
        if item.start < reached:
            groups[-1].append(item)
        else:
            groups.append([item])
        reached = max(reached, item.end)
    return tuple(map(_merged, groups))


def covers(policy: Policy, context: Context, results: Sequence[CheckResult], stage: Stage) -> tuple[Cover, ...]:
    """What the enforced redaction rules cover in the image at `stage`, sorted; parts may overlap."""
    found = {
        Cover(match.finding.region, match.finding.category, match.rule.id, match.rule.operator)
        for match in _to_redact(policy, context, results, stage)
        if match.finding.region is not None
    }
    return tuple(sorted(found, key=lambda item: item[:3]))


def _to_redact(policy: Policy, context: Context, results: Sequence[CheckResult], stage: Stage) -> Iterator[Match]:
    """The matches of the enforced redaction rules at a stage."""
    for match in matches(policy, context, results):
        if match.result.stage is stage and match.rule.mode is Mode.ENFORCE and match.rule.action is Action.REDACT:
            yield match


def _merged(group: Sequence[Redaction]) -> Redaction:
    """One redaction for spans that overlap, in their order."""
    if len({(item.start, item.end, item.operator) for item in group}) == 1:
        return group[0]
    by_name = sorted(group, key=lambda item: item.start - item.end)  # stable: the longest, then the first
    operator = strictest([item.operator for item in by_name])
    return Redaction(group[0].start, max(item.end for item in group), by_name[0].category, by_name[0].rule, operator)


def without_keys(cut: Redaction, value: str) -> str:
    """What operators that need no keys put in the place of a value."""
    return plain(cut.operator, cut.category, value)


def redact(text: str, cuts: Sequence[Redaction], put: Put = without_keys) -> str:
    """The text with each stretch replaced by what `put` makes of it; without keys that is `[CATEGORY]`, a mask or nothing."""
    pieces, done = [], 0
    for cut in cuts:
        pieces += [text[done : cut.start], put(cut, text[cut.start : cut.end])]
        done = cut.end
    return "".join([*pieces, text[done:]])


def severity(policy: Policy, context: Context, results: Sequence[CheckResult]) -> int:
    """1 (low) to 4 (critical), from the highest score behind the rules that hold or block; a failed check is 3."""
    scores = [
        match.finding.score
        for match in matches(policy, context, results)
        if match.rule.mode is Mode.ENFORCE and match.action >= Action.REVIEW
    ]
    top = max(scores, default=0.0)
    level = 4 if top >= 0.95 else 3 if top >= 0.8 else 2 if top >= 0.6 else 1
    return max(level, 3) if any(failures(policy, results)) else level
