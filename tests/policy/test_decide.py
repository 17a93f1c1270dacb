"""Deciding: monotone, indifferent to order, never lenient with what failed. Redacting: once, from spans."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.operators import LABEL, Cover, Operator, Redaction, plain
from guard.policy.decide import STAMP, Context, covers, decide, matches, redact, redactions, severity
from guard.types import (
    Action,
    CheckerSpec,
    CheckResult,
    Finding,
    Image,
    Item,
    Mode,
    Policy,
    Region,
    Request,
    Rule,
    Span,
    Stage,
    Status,
    Text,
)

CHECKERS = ("a", "b", "c")
CATEGORIES = ("x", "y")
CONTEXT = Context.of(Request(Text("p"), purpose="test", tenant="acme", params={"n": 3}))
CONDITIONS = (None, 'request.purpose == "test"', "finding.score > 0.5", "request.missing == 1", "item.length > 3")

spans = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
findings = st.builds(Finding, st.sampled_from(CATEGORIES), st.floats(0, 1), st.none() | spans)
stages = st.sampled_from([Stage.INPUT, Stage.OUTPUT])
results = st.builds(
    lambda checker, stage, status, found: CheckResult(
        checker, "1", stage, status, tuple(found) if status is Status.OK else ()
    ),
    st.sampled_from(CHECKERS),
    stages,
    st.sampled_from(Status),
    st.lists(findings, max_size=4),
)
rules = st.builds(
    Rule,
    id=st.uuids().map(str),
    checker=st.sampled_from(CHECKERS),
    action=st.sampled_from(Action),
    stages=st.sampled_from([frozenset(Stage), frozenset({Stage.INPUT}), frozenset({Stage.OUTPUT})]),
    categories=st.sampled_from([frozenset(), frozenset({"x"})]),
    threshold=st.floats(0, 1),
    when=st.sampled_from(CONDITIONS),
    mode=st.sampled_from(Mode),
    operator=st.sampled_from(
        [
            LABEL,
            Operator("mask", chars_to_mask=2),
            Operator("mask", chars_to_mask=3, from_end=True),
            Operator("redact"),
            Operator("replace", new_value="gone"),
        ]
    ),
)
policies = st.builds(
    Policy,
    name=st.just("p"),
    version=st.just("1"),
    digest=st.just("sha256:0"),
    checkers=st.just(tuple(CheckerSpec(name, name) for name in CHECKERS)),
    rules=st.lists(rules, max_size=6).map(tuple),
    on_error=st.sampled_from(Action),
    otherwise=st.sampled_from(Action),
)


@given(policies, st.lists(results, max_size=6), st.lists(results, max_size=3))
def test_more_evidence_never_lowers_the_action(
    policy: Policy, some: list[CheckResult], more: list[CheckResult]
) -> None:
    # `unchecked` goes away when something looks after all; everything else only adds.
    looked = [result for result in some if result.status is not Status.SKIPPED]
    before, after = decide(policy, CONTEXT, looked), decide(policy, CONTEXT, looked + more)
    assert after.action >= before.action
    assert set(after.rules) >= set(before.rules)


@given(policies, st.lists(results, max_size=6), st.randoms())
def test_order_never_matters(policy: Policy, some: list[CheckResult], random: object) -> None:
    shuffled = [replace(result, findings=tuple(reversed(result.findings))) for result in some]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    turned = replace(policy, rules=tuple(reversed(policy.rules)))
    assert decide(policy, CONTEXT, some) == decide(turned, CONTEXT, shuffled)
    for stage in Stage:
        assert redactions(policy, CONTEXT, some, stage) == redactions(turned, CONTEXT, shuffled, stage)
    assert severity(policy, CONTEXT, some) == severity(turned, CONTEXT, shuffled)


@given(policies, st.lists(results, max_size=6))
def test_shadow_rules_change_nothing(policy: Policy, some: list[CheckResult]) -> None:
    without = replace(policy, rules=tuple(rule for rule in policy.rules if rule.mode is Mode.ENFORCE))
    errors_matter_less = [result for result in some if result.status is not Status.ERROR]
    assert decide(policy, CONTEXT, errors_matter_less).action == decide(without, CONTEXT, errors_matter_less).action


@given(policies, st.lists(results, max_size=6), st.text(min_size=45, max_size=60))
def test_redaction_takes_out_every_span_and_nothing_else(policy: Policy, some: list[CheckResult], text: str) -> None:
    policy = replace(policy, rules=tuple(replace(rule, operator=LABEL) for rule in policy.rules))
    cuts = redactions(policy, CONTEXT, some, Stage.OUTPUT)
    assert all(left.end <= right.start for left, right in itertools.pairwise(cuts))
    covered = {position for cut in cuts for position in range(cut.start, cut.end)}
    kept = [char for position, char in enumerate(text) if position not in covered]
    pieces, position = [], 0
    for cut in cuts:
        pieces += [text[position : cut.start], f"[{cut.category}]"]
        position = cut.end
    assert redact(text, cuts) == "".join([*pieces, text[position:]])
    assert len(redact(text, cuts)) == len(kept) + sum(len(cut.category) + 2 for cut in cuts)


@given(policies, st.lists(results, max_size=6), st.randoms())
def test_no_character_of_a_redacted_span_survives(policy: Policy, some: list[CheckResult], random: object) -> None:
    text = "".join(map(chr, range(0x1F300, 0x1F300 + 45)))  # no two alike, all beyond the basic plane
    spans = [
        match
        for match in matches(policy, CONTEXT, some)
        if (match.result.stage, match.rule.mode) == (Stage.OUTPUT, Mode.ENFORCE)
        and match.rule.action is Action.REDACT
        and match.finding.span is not None
    ]
    shuffled = [replace(result, findings=tuple(reversed(result.findings))) for result in some]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    left = redact(text, redactions(policy, CONTEXT, shuffled, Stage.OUTPUT, text))
    assert left == redact(text, redactions(policy, CONTEXT, some, Stage.OUTPUT, text))
    hidden: set[str] = set()
    for match in spans:
        assert match.finding.span is not None
        value = text[slice(*match.finding.span)]
        hidden |= set(value) - set(plain(match.rule.operator, "", value))
    assert not hidden & set(left)
    covered = {char for match in spans if match.finding.span for char in text[slice(*match.finding.span)]}
    assert set(text) - covered <= set(left)


def rule(action: Action, **more: object) -> Rule:
    return Rule("r", "a", action, **more)  # type: ignore[arg-type]


def policy(*rules: Rule, **more: object) -> Policy:
    return Policy("p", "1", "d", tuple(CheckerSpec(name, name) for name in CHECKERS), rules, **more)  # type: ignore[arg-type]


def found(*findings: Finding, checker: str = "a", stage: Stage = Stage.OUTPUT) -> CheckResult:
    return CheckResult(checker, "1", stage, Status.OK, findings)


def failed(checker: str = "a") -> CheckResult:
    return CheckResult(checker, "1", Stage.OUTPUT, Status.ERROR, error="no")


def test_a_threshold_is_inclusive() -> None:
    strict = policy(rule(Action.BLOCK, threshold=0.5))
    assert decide(strict, CONTEXT, [found(Finding("x", 0.5))]).action is Action.BLOCK
    assert decide(strict, CONTEXT, [found(Finding("x", 0.499))]).action is Action.ALLOW


def test_a_redaction_without_a_span_becomes_a_review() -> None:
    redacting = policy(rule(Action.REDACT))
    assert decide(redacting, CONTEXT, [found(Finding("x", 1, Span(0, 1)))]).action is Action.REDACT
    assert decide(redacting, CONTEXT, [found(Finding("x", 1))]).action is Action.REVIEW


REGION = Region(1, 2, 30, 40)


@pytest.mark.parametrize(
    ("content", "place", "action"),
    [
        (Image(b""), {"region": REGION}, Action.REDACT),
        (Image(b""), {}, Action.REVIEW),
        (Image(b""), {"span": Span(0, 3)}, Action.REVIEW),
        (Text("text"), {"span": Span(0, 3)}, Action.REDACT),
        (Text("text"), {"region": REGION}, Action.REVIEW),  # it cannot be carried out, so it must not pass as done
    ],
)
def test_texts_are_redacted_in_spans_and_images_in_regions(
    content: Text | Image, place: dict[str, Any], action: Action
) -> None:
    context = Context.of(Request(Text("p")), Item(content, Stage.INPUT))
    found = [CheckResult("a", "1", Stage.INPUT, Status.OK, (Finding("x", 1.0, **place),))]
    policy = Policy("p", "1", "d", (CheckerSpec("a", "a"),), (Rule("r", "a", Action.REDACT),))
    assert decide(policy, context, found).action is action


def test_what_is_covered_in_an_image_is_each_place_once_and_sorted() -> None:
    context = Context.of(Request(Text("p")), Item(Image(b""), Stage.INPUT))
    places = [Region(9, 0, 1, 1), REGION, REGION, None]
    found = [
        CheckResult("a", "1", Stage.INPUT, Status.OK, tuple(Finding("x", 0.9, region=place) for place in places)),
        CheckResult("a", "1", Stage.OUTPUT, Status.OK, (Finding("x", 1.0, region=Region(0, 0, 9, 9)),)),
    ]
    mask = Operator("mask")
    enforced = Rule("r", "a", Action.REDACT, operator=mask)
    others = (
        Rule("s", "a", Action.REDACT, mode=Mode.SHADOW),
        Rule("t", "a", Action.ANNOTATE),
        Rule("u", "a", Action.REDACT, threshold=1),
    )
    policy = Policy("p", "1", "d", (CheckerSpec("a", "a"),), (enforced, *others))
    assert covers(policy, context, found, Stage.INPUT) == (
        Cover(REGION, "x", "r", mask),
        Cover(Region(9, 0, 1, 1), "x", "r", mask),
    )


def test_a_failed_check_leads_to_on_error_and_is_named() -> None:
    for on_error in Action:
        decision = decide(policy(rule(Action.ALLOW), on_error=on_error), CONTEXT, [failed()])
        assert (decision.action, decision.rules, decision.degraded) == (on_error, ("on_error:a",), True)


def test_a_failed_check_behind_shadow_rules_only_changes_nothing() -> None:
    decision = decide(policy(rule(Action.BLOCK, mode=Mode.SHADOW)), CONTEXT, [failed()])
    assert (decision.action, decision.rules) == (Action.ALLOW, ())


def test_a_missing_required_mark_blocks_whatever_on_error_says() -> None:
    assert decide(policy(on_error=Action.ALLOW), CONTEXT, [failed(STAMP)]).action is Action.BLOCK


def test_what_nobody_looked_at_is_not_clean() -> None:
    skipped = CheckResult("a", "1", Stage.OUTPUT, Status.SKIPPED)
    decision = decide(policy(rule(Action.BLOCK)), CONTEXT, [skipped])
    assert (decision.action, decision.rules) == (Action.REVIEW, ("unchecked:output",))
    assert decide(policy(rule(Action.BLOCK)), CONTEXT, [skipped, found(checker="b")]).action is Action.ALLOW


@pytest.mark.parametrize(
    ("when", "action", "degraded"),
    [
        ('request.purpose == "test"', Action.BLOCK, False),
        ('request.purpose == "other"', Action.ALLOW, False),
        ('request.tenant == "acme"', Action.BLOCK, False),
        ("request.params.n == 3 && finding.score == 1.0", Action.BLOCK, False),
        ("request.params.missing == 3", Action.BLOCK, True),
        ("request.purpose + 1 == 2", Action.BLOCK, True),
        ('request.purpose.matches("^(t+)+e+st$")', Action.BLOCK, False),
        ("1", Action.BLOCK, True),
    ],
)
def test_conditions(when: str, action: Action, degraded: bool) -> None:
    decision = decide(policy(rule(Action.BLOCK, when=when)), CONTEXT, [found(Finding("x", 1.0))])
    assert (decision.action, decision.degraded) == (action, degraded)


def test_where_operators_meet_the_strictest_takes_the_whole_stretch() -> None:
    masking = Rule("m", "a", Action.REDACT, categories=frozenset({"x"}), operator=Operator("mask", chars_to_mask=1))
    both = policy(masking, replace(masking, id="n", categories=frozenset({"y"}), operator=Operator("redact")))
    text = "a12345z"
    [cut] = redactions(
        both, CONTEXT, [found(Finding("x", 1, Span(1, 5)), Finding("y", 1, Span(4, 6)))], Stage.OUTPUT, text
    )
    assert (cut.start, cut.end, cut.category, cut.rule, cut.operator.name) == (1, 6, "x", "m", "redact")
    assert redact(text, [cut]) == "az"
    one = policy(masking)
    twice = redactions(one, CONTEXT, [found(Finding("x", 1, Span(1, 4)), Finding("x", 1, Span(2, 5)))], Stage.OUTPUT)
    assert redact(text, twice) == "a****5z"  # what one mask leaves, the other wanted gone
    same = redactions(
        one, CONTEXT, [found(Finding("x", 1, Span(1, 4))), found(Finding("x", 0.9, Span(1, 4)))], Stage.OUTPUT
    )
    assert redact(text, same) == "a*2345z"


def test_overlaps_go_as_a_whole_under_the_longest_name() -> None:
    cuts = redactions(
        policy(rule(Action.REDACT)),
        CONTEXT,
        [found(Finding("short", 1, Span(2, 5)), Finding("long", 1, Span(4, 10)), Finding("next", 1, Span(10, 12)))],
        Stage.OUTPUT,
    )
    assert cuts == (Redaction(2, 10, "long", "r"), Redaction(10, 12, "next", "r"))
    assert redact("ab12345678cdEF", cuts) == "ab[long][next]EF"


@pytest.mark.parametrize(("score", "level"), [(0.5, 1), (0.6, 2), (0.8, 3), (0.95, 4)])
def test_severity_follows_the_score(score: float, level: int) -> None:
    assert severity(policy(rule(Action.REVIEW)), CONTEXT, [found(Finding("x", score))]) == level
    assert severity(policy(rule(Action.REVIEW)), CONTEXT, [failed()]) == 3
