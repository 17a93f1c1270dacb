"""The nouns as plain data and back: what the record keeps, and what `--json` prints."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from guard.digest import JSON
from guard.operators import Cover, Redaction
from guard.types import (
    Action,
    CheckResult,
    Content,
    Decision,
    Finding,
    Layer,
    Outcome,
    PolicyRef,
    Receipt,
    Region,
    Span,
    Stage,
    Stamp,
    Status,
    Text,
)

Data = dict[str, Any]


def finding_data(finding: Finding) -> Data:
    """`start` and `end` are null for a finding about the whole item; `region` is [x, y, width, height] or null."""
    return {
        "category": finding.category,
        "score": float(finding.score),
        "start": finding.span.start if finding.span else None,
        "end": finding.span.end if finding.span else None,
        "region": list(finding.region) if finding.region else None,
        "message": finding.message,
    }


def result_data(result: CheckResult) -> Data:
    """One check; `elapsed_ms` to a microsecond."""
    return {
        "checker": result.checker,
        "version": result.version,
        "stage": result.stage.value,
        "status": result.status.value,
        "elapsed_ms": round(result.elapsed * 1000, 3),
        "error": result.error,
        "findings": [finding_data(finding) for finding in result.findings],
    }


def result_from(data: Mapping[str, Any]) -> CheckResult:
    """The inverse of `result_data`."""
    return CheckResult(
        checker=data["checker"],
        version=data["version"],
        stage=Stage(data["stage"]),
        status=Status(data["status"]),
        findings=tuple(
            Finding(
                category=item["category"],
                score=item["score"],
                span=Span(item["start"], item["end"]) if item["start"] is not None else None,
                region=Region(*item["region"]) if item["region"] else None,
                message=item["message"],
            )
            for item in data["findings"]
        ),
        elapsed=data["elapsed_ms"] / 1000,
        error=data["error"],
    )


def decision_data(decision: Decision) -> Data:
    """The decision, with the policy that made it."""
    return {
        "action": decision.action.label,
        "rules": list(decision.rules),
        "shadow": list(decision.shadow),
        "degraded": decision.degraded,
        "policy": decision.policy._asdict(),
    }


def decision_from(data: Mapping[str, Any]) -> Decision:
    """The inverse of `decision_data`."""
    return Decision(
        action=Action[data["action"].upper()],
        rules=tuple(data["rules"]),
        shadow=tuple(data["shadow"]),
        degraded=data["degraded"],
        policy=PolicyRef(**data["policy"]),
    )


def redaction_data(stage: Stage, redaction: Redaction | Cover) -> Data:
    """A redaction at a stage, of a text (start, end) or an image (region); of its operator the name."""
    return {"stage": stage.value, **redaction._asdict(), "operator": redaction.operator.name}


def layer_data(layer: Layer) -> Data:
    """A mark."""
    return {"kind": layer.kind, "status": layer.status, "algorithm": layer.algorithm, "detail": dict(layer.detail)}


def stamp_data(stamp: Stamp) -> Data:
    """The marks, for the holder of the content; the record keeps no plain digest of it."""
    return {
        "digest": stamp.digest,
        "layers": [layer_data(layer) for layer in stamp.layers],
        "manifest": stamp.manifest,
    }


def receipt_data(receipt: Receipt) -> Data:
    """A receipt that `guard audit verify-receipt` checks offline."""
    return {
        "entry": receipt.entry,
        "size": receipt.size,
        "root": receipt.root,
        "leaf_hash": receipt.leaf_hash,
        "proof": list(receipt.proof),
        "checkpoint": receipt.checkpoint,
    }


def content_data(content: Content | None) -> JSON:
    """Text as a string; anything else as {media_type, base64}; null when nothing is released."""
    if content is None or isinstance(content, Text):
        return content.text if content else None
    return {"media_type": content.media_type, "base64": base64.b64encode(content.data).decode()}


def outcome_data(outcome: Outcome) -> Data:
    """An outcome as `--json` prints it."""
    return {
        "request_id": outcome.request_id,
        "state": outcome.state.value,
        "decision": decision_data(outcome.decision),
        "results": [result_data(result) for result in outcome.results],
        "content": content_data(outcome.content),
        "stamp": stamp_data(outcome.stamp) if outcome.stamp else None,
        "receipt": receipt_data(outcome.receipt),
        "case": outcome.case,
        "replayed": outcome.replayed,
    }
