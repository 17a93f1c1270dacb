"""An explanation in words and as data: which finding reached which rule, and what would have changed the decision.

Pure; names of categories, rules and checkers, scores and positions, never content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.envelope import decision_data, finding_data, result_from
from guard.policy.counterfactual import Change, Edit, Evidence, Explanation, explain
from guard.policy.decide import Context
from guard.types import Finding, Mode, Policy

FEW = 5  # changes that a sentence names


def explained(fields: Mapping[str, Any], policy: Policy | None) -> Explanation | None:
    """The explanation of a recorded outcome: its results decided again under the very policy that decided.

    None where that is not to be had, or comes to another decision because what conditions looked at was erased.
    """
    recorded = fields.get("decision") or {}
    if policy is None or (fields.get("policy") or {}).get("digest") != policy.digest:
        return None
    known: dict[str, Any] = {"requester": None, "purpose": None, "tenant": None, "groups": {}, "params": {}}
    context = Context({**known, **(fields.get("request") or {})}, fields.get("items") or {})
    try:
        found = explain(policy, context, [result_from(result) for result in fields.get("results") or []])
    except (KeyError, TypeError, ValueError):
        return None
    now = decision_data(found.decision)
    return found if all(now[name] == recorded.get(name) for name in ("action", "rules", "degraded")) else None


def evidence_words(evidence: Evidence) -> str:
    """`toxicity 0.63 at 0–9 (output) is at or above 0.60, so rule abuse asks for review`."""
    words = f"{_finding(evidence.finding)} ({evidence.stage.value}) is at or above {evidence.rule.threshold:.2f}"
    words += f", so rule {evidence.rule.id} asks for {evidence.action.label}"
    if not evidence.evaluated:
        words += "; its condition could not be evaluated"
    elif evidence.rule.when:
        words += f"; its condition holds: {evidence.rule.when}"
    return words + (" (shadow: counted, not enforced)" if evidence.rule.mode is Mode.SHADOW else "")


def change_words(change: Change) -> str:
    """`without rule abuse: redact (contact)`."""
    rules = f" ({', '.join(change.decision.rules)})" if change.decision.rules else ""
    return f"{edits_words(change)}: {change.decision.action.label}{rules}"


def edits_words(change: Change) -> str:
    """`without rule abuse and without rule threat`; of many the first few."""
    words = [_edit(edit) for edit in change.edits]
    more = f" and {len(words) - FEW} more such changes" if len(words) > FEW else ""
    return " and ".join(words[:FEW]) + more


def _edit(edit: Edit) -> str:
    if edit.kind == "rule":
        return f"without rule {edit.rule}"
    if edit.kind == "threshold":
        return f"with the threshold of rule {edit.rule} at {edit.threshold:.2f} or more"
    if edit.finding is not None:
        return f"without {_finding(edit.finding)}"
    return f"with the check {edit.checker} ({edit.stage}) made and nothing found"


def _finding(finding: Finding) -> str:
    where = f" at {finding.span.start}–{finding.span.end}" if finding.span else ""
    return f"{finding.category} {finding.score:.2f}{where}"


def explanation_data(explanation: Explanation) -> dict[str, Any]:
    """An explanation as `--json` prints it."""
    return {
        "evidence": [
            {
                "rule": it.rule.id,
                "mode": it.rule.mode.value,
                "threshold": it.rule.threshold,
                "when": it.rule.when,
                "evaluated": it.evaluated,
                "action": it.action.label,
                "checker": it.checker,
                "stage": it.stage.value,
                "finding": finding_data(it.finding),
            }
            for it in explanation.evidence
        ],
        "changes": [
            {
                "edits": [_edit_data(edit) for edit in change.edits],
                "decision": {name: value for name, value in decision_data(change.decision).items() if name != "policy"},
            }
            for change in explanation.changes
        ],
    }


def _edit_data(edit: Edit) -> dict[str, Any]:
    data = {
        "kind": edit.kind,
        "rule": edit.rule,
        "threshold": edit.threshold,
        "checker": edit.checker,
        "stage": edit.stage.value if edit.stage else None,
        "finding": finding_data(edit.finding) if edit.finding else None,
    }
    return {name: value for name, value in data.items() if value is not None}
