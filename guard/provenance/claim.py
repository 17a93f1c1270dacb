"""What a credential says about a generation, as C2PA 2.4 assertions. A claim is worth what its signature is worth."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from guard.types import Layer, PolicyRef
from guard.version import VERSION

GENERATION = "org.genguard.generation"
PARENT = "parent"
INPUT = "input"

_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = _SOURCES + "trainedAlgorithmicMedia"
EDITED = _SOURCES + "compositeWithTrainedAlgorithmicMedia"
AI_SOURCES = frozenset({GENERATED, EDITED})

_NOT_ALLOWED = {"use": "notAllowed"}
_NO_TRAINING = {
    "entries": {
        "cawg.ai_generative_training": _NOT_ALLOWED,
        "cawg.ai_training": _NOT_ALLOWED,
        "cawg.data_mining": _NOT_ALLOWED,
    }
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a credential says of generated content. A prompt is named by its keyed digest only.

    `record` names the log in which the entry of `request_id` lies. `watermark` is a mark that is in the content already; where
    it carries an id, it leads back to this claim when the credential is lost (a soft binding).
    """

    request_id: str
    policy: PolicyRef
    model: str
    model_version: str | None = None
    weights: str | None = None
    prompt_digest: str | None = None
    record: str | None = None
    watermark: Layer | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the content builds on: a credential that it carries already, and the image that the model started from."""

    carried: bool = False
    source: bool = False

    @property
    def parent(self) -> bool:
        """There is one parent at most; with a credential in the content itself, the image is an input to the model."""
        return self.carried or self.source


def definition(claim: Claim, now: dt.datetime, lineage: Lineage) -> dict[str, object]:
    """The manifest, as the library takes it. All assertions are our own, so all count as created, none as gathered."""
    data: dict[str, object] = {
        "c2pa.actions.v2": {"actions": _actions(claim, now, lineage)},
        "c2pa.ai-disclosure": _disclosure(claim),
        "cawg.training-mining": _NO_TRAINING,
        GENERATION: _generation(claim),
    }
    if binding := _soft_binding(claim.watermark):
        data["c2pa.soft-binding"] = binding
    return {
        "claim_generator_info": [{"name": "genguard", "version": VERSION}],
        "assertions": [{"label": label, "data": value, "created": True} for label, value in data.items()],
    }


def _actions(claim: Claim, now: dt.datetime, lineage: Lineage) -> list[dict[str, object]]:
    agent = {"name": claim.model, "version": claim.model_version} if claim.model_version else {"name": claim.model}
    when = now.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    made: dict[str, object] = {"when": when, "softwareAgent": agent, "digitalSourceType": GENERATED}
    if not lineage.parent:
        return [{"action": "c2pa.created", **made}]
    opened: dict[str, object] = {"action": "c2pa.opened", "parameters": {"ingredientIds": [PARENT]}}
    if lineage.carried:  # its own credential says how it was made; we hand it on
        return [opened, {"action": "c2pa.published", **made}]
    return [opened, {"action": "c2pa.edited", **made, "digitalSourceType": EDITED}]


def _disclosure(claim: Claim) -> dict[str, str]:
    disclosure = {"modelType": "c2pa.types.model", "modelName": claim.model}
    return {**disclosure, "modelIdentifier": claim.weights} if claim.weights else disclosure


def _generation(claim: Claim) -> dict[str, object]:
    data: dict[str, object] = {
        "request_id": claim.request_id,
        "policy": claim.policy._asdict(),
        "model": {"name": claim.model, "weights": claim.weights},
    }
    further = {"prompt": claim.prompt_digest, "record": claim.record}
    return data | {name: value for name, value in further.items() if value}


def _soft_binding(watermark: Layer | None) -> Mapping[str, object] | None:
    mark_id = watermark.detail.get("mark_id") if watermark and watermark.status == "applied" else None
    if watermark is None or not isinstance(mark_id, str):
        return None
    value = base64.b64encode(bytes.fromhex(mark_id)).decode()
    return {"alg": f"org.genguard.{watermark.algorithm}", "blocks": [{"scope": {}, "value": value}]}
