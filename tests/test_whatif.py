"""An explanation in words, and of a recorded entry: the very decision, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guard import Guard, review
from guard.policy.counterfactual import Change, Edit, explain
from guard.types import Action, Finding, Mode, Stage
from tests.policy.test_counterfactual import ABUSE, CONTACT, INSULT, MAIL
from tests.policy.test_decide import CONTEXT, failed, found, policy, rule

POLICY: dict[str, Any] = {
    "name": "test",
    "version": "1",
    "checkers": {"doubt": {"use": "sample-words", "params": {"words": ["doubt"], "score": 0.63}}},
    "rules": [
        {
            "id": "hold",
            "checker": "doubt",
            "action": "review",
            "threshold": 0.6,
            "when": 'request.params.style == "plain" && request.requester == "user:1"',
        }
    ],
}


def test_the_words() -> None:
    explained = explain(policy(ABUSE, CONTACT), CONTEXT, [found(INSULT), found(MAIL, checker="b")])
    assert review.evidence_words(explained.evidence[0]) == (
        "toxicity 0.63 at 0–9 (output) is at or above 0.60, so rule abuse asks for review;"
        " its condition holds: finding.score < 0.9"
    )
    assert list(map(review.change_words, explained.changes)) == [
        "without rule abuse: redact (contact)",
        "with the threshold of rule abuse at 0.64 or more: redact (contact)",
        "without toxicity 0.63 at 0–9: redact (contact)",
    ]
    [change] = explain(policy(rule(Action.BLOCK)), CONTEXT, [failed()]).changes
    assert review.change_words(change) == "with the check a (output) made and nothing found: allow"


def test_words_about_shadow_rules_and_conditions() -> None:
    shy = policy(rule(Action.BLOCK, mode=Mode.SHADOW, when="request.missing == 1"))
    [evidence] = explain(shy, CONTEXT, [found(Finding("x", 1.0))]).evidence
    assert review.evidence_words(evidence) == (
        "x 1.00 (output) is at or above 0.50, so rule r asks for block;"
        " its condition could not be evaluated (shadow: counted, not enforced)"
    )


def test_of_many_changes_the_first_few() -> None:
    [decision] = {explain(policy(), CONTEXT, []).decision}
    edits = tuple(Edit("rule", rule=f"r{number}") for number in range(8))
    assert review.edits_words(Change(edits, decision)).endswith("without rule r4 and 3 more such changes")


def test_a_recorded_entry_is_decided_again(sample_plugin: str, tmp_path: Path) -> None:
    with Guard(POLICY, store=f"sqlite:///{tmp_path / 'g.db'}", home=tmp_path) as g:
        outcome = g.check("I doubt it", requester="user:1", style="plain")
        entry = g.ledger.reader.entry(outcome.receipt.entry)
        sealed = g.ledger.reader.body(outcome.receipt.entry, "request")
        assert entry is not None
        import json

        fields = {**entry.fields, "request": json.loads(getattr(sealed, "text", ""))}
        explained = review.explained(fields, g.policy)
        assert explained is not None
        assert [review.change_words(change) for change in explained.changes] == [
            "without rule hold: allow",
            "with the threshold of rule hold at 0.64 or more: allow",
            "without word 0.63 at 2–7: allow",
        ]
        assert explained.evidence[0].stage is Stage.OUTPUT
        # Without what was sealed the condition cannot be decided alike, and a guess is no explanation.
        assert review.explained({**entry.fields, "request": {}}, g.policy) is None
        assert review.explained(fields, None) is None
        assert review.explained({**fields, "results": [{}]}, g.policy) is None
