"""What would have changed a decision: each claim is true, and no smaller one would be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.policy.counterfactual import Edit, decided, explain
from guard.policy.decide import STAMP, decide
from guard.types import Action, CheckResult, Finding, Mode, Policy, Rule, Span, Stage, Status
from tests.policy.test_decide import CONTEXT, failed, found, policies, policy, results, rule


@given(policies, st.lists(results, max_size=6))
def test_each_change_leads_where_it_says_and_no_part_of_it_does(policy: Policy, some: list[CheckResult]) -> None:
    explained = explain(policy, CONTEXT, some)
    assert explained.decision == decide(policy, CONTEXT, some)
    for change in explained.changes:
        assert change.edits
        assert decided(policy, CONTEXT, some, change.edits) == change.decision
        assert change.decision.action < explained.decision.action
        for edit in change.edits:
            fewer = [other for other in change.edits if other is not edit]
            assert decided(policy, CONTEXT, some, fewer).action is explained.decision.action


@given(policies, st.lists(results, max_size=6))
def test_only_the_policys_default_leaves_nothing_to_change(policy: Policy, some: list[CheckResult]) -> None:
    explained = explain(policy, CONTEXT, some)
    assert (explained.changes == ()) is (explained.decision.action is policy.otherwise)


@given(policies, st.lists(results, max_size=6))
def test_evidence_is_what_fired(policy: Policy, some: list[CheckResult]) -> None:
    explained = explain(policy, CONTEXT, some)
    enforced = {it.rule.id for it in explained.evidence if it.rule.mode is Mode.ENFORCE}
    shadow = {it.rule.id for it in explained.evidence if it.rule.mode is Mode.SHADOW}
    named = {name for name in explained.decision.rules if not name.startswith(("on_error:", "unchecked:"))}
    assert (enforced, shadow) == (named, set(explained.decision.shadow))
    assert all(it.finding.score >= it.rule.threshold for it in explained.evidence)


@example(0.57)
@example(0.58)
@given(st.floats(0, 1, exclude_max=True))
def test_a_raised_threshold_is_above_the_score_and_the_least_of_its_kind(score: float) -> None:
    one = policy(rule(Action.BLOCK, threshold=0))
    [raised] = [
        edit
        for change in explain(one, CONTEXT, [found(Finding("x", score))]).changes
        for edit in change.edits
        if edit.kind == "threshold"
    ]
    assert raised.threshold is not None
    assert score < raised.threshold <= 1
    assert raised.threshold - 0.01 <= score + 1e-9


ABUSE = Rule("abuse", "a", Action.REVIEW, threshold=0.6, when="finding.score < 0.9")
CONTACT = Rule("contact", "b", Action.REDACT, threshold=0.5)
INSULT, MAIL = Finding("toxicity", 0.63, Span(0, 9)), Finding("EMAIL_ADDRESS", 1.0, Span(20, 29))


def test_the_example_of_the_documentation() -> None:
    explained = explain(policy(ABUSE, CONTACT), CONTEXT, [found(INSULT), found(MAIL, checker="b")])
    assert [(it.rule.id, it.finding.score, it.rule.threshold, it.action) for it in explained.evidence] == [
        ("abuse", 0.63, 0.6, Action.REVIEW),
        ("contact", 1.0, 0.5, Action.REDACT),
    ]
    assert [change.edits for change in explained.changes] == [
        (Edit("rule", rule="abuse"),),
        (Edit("threshold", rule="abuse", threshold=0.64),),
        (Edit("finding", checker="a", stage=Stage.OUTPUT, finding=INSULT, at=(0, 0)),),
    ]
    assert {(change.decision.action, change.decision.rules) for change in explained.changes} == {
        (Action.REDACT, ("contact",))
    }


def test_what_two_rules_hold_up_takes_both() -> None:
    both = policy(CONTACT, replace(CONTACT, id="other"))
    explained = explain(both, CONTEXT, [found(MAIL, checker="b")])
    assert [[edit.kind for edit in change.edits] for change in explained.changes] == [["rule", "rule"], ["finding"]]


def test_no_threshold_is_above_a_certain_finding() -> None:
    explained = explain(policy(CONTACT), CONTEXT, [found(MAIL, checker="b")])
    assert [change.edits[0].kind for change in explained.changes] == ["rule", "finding"]


@pytest.mark.parametrize("checker", ["a", STAMP])
def test_a_failed_check_that_had_found_nothing(checker: str) -> None:
    explained = explain(policy(rule(Action.BLOCK)), CONTEXT, [failed(checker)])
    [change] = explained.changes
    assert change.edits == (Edit("check", checker=checker, stage=Stage.OUTPUT, at=(0, -1)),)
    assert change.decision.action is Action.ALLOW
    assert not change.decision.degraded


def test_what_nobody_looked_at_and_somebody_had() -> None:
    skipped = CheckResult("a", "1", Stage.OUTPUT, Status.SKIPPED)
    [change] = explain(policy(rule(Action.BLOCK)), CONTEXT, [skipped]).changes
    assert (change.edits[0].kind, change.decision.action) == ("check", Action.ALLOW)


def test_a_failed_check_beside_a_rule_takes_both() -> None:
    explained = explain(policy(ABUSE, CONTACT), CONTEXT, [found(INSULT), failed("b")])
    assert [[edit.kind for edit in change.edits] for change in explained.changes] == [
        ["rule", "check"],
        ["threshold", "check"],
        ["finding", "check"],
    ]
